"""What leaves the client, what it makes of what comes back, and what it never does."""

import asyncio
import datetime as dt
import gzip
import inspect
import ipaddress
import json
import platform
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from blaxel_mcp import __version__
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.endpoints import Endpoint, endpoint_url, split_path
from blaxel_mcp.client.request import APIRequest, APIResponse
from blaxel_mcp.client.trace import CallTrace, deadline
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, InvalidArgumentsError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.support.canaries import CLIENT_CREDENTIALS, KEY, MARKER, WRONG_KEY

pytestmark = pytest.mark.anyio

RUN = "https://run.blaxel.ai/acme/models/house"
BODY = b'{"inputs":"hi"}'


def _configuration(**settings: Any) -> Configuration:
    return Configuration(Settings.model_validate({"workspace": "acme", "api_key": KEY, **settings}))


def _emulated(emulator: Emulator, **settings: Any) -> Configuration:
    values = {"workspace": "demo", "api_key": KEY, "run_url": emulator.run_url, "api_url": emulator.api_url}
    return Configuration(Settings.model_validate({**values, **settings}))


def _with_client_credentials(emulator: Emulator) -> Configuration:
    return _emulated(emulator, api_key=None, client_credentials=CLIENT_CREDENTIALS)


def _request(url: str = RUN, **more: Any) -> APIRequest:
    return APIRequest(**{"method": "POST", "url": url, "workspace": "acme", "content": BODY, **more})


def _to(emulator: Emulator, model: str, body: bytes = BODY) -> APIRequest:
    return _request(f"{emulator.run_url}/demo/models/{model}", workspace="demo", content=body)


async def _send_to(
    handler: Callable[[httpx.Request], Any], request: APIRequest | None = None, **settings: Any
) -> APIResponse:
    async with APIClient(_configuration(**settings), transport=httpx.MockTransport(handler)) as client:
        with anyio.fail_after(30):
            return await client.send(request or _request(), timeout_seconds=20)


async def _fails(
    handler: Callable[[httpx.Request], Any], request: APIRequest | None = None, **settings: Any
) -> BlaxelError:
    with pytest.raises(BlaxelError) as failed:
        await _send_to(handler, request, **settings)
    return failed.value


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _serving(serve: Serve) -> AsyncIterator[str]:
    """A loopback server that does just what `serve` does with each connection."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), b"0"
    )
    return head + await reader.readexactly(int(length))


# What leaves


async def test_request_carries_exactly_the_documented_headers() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    await _send_to(answer)
    (request,) = seen
    system, machine = platform.system().lower(), platform.machine().lower()
    assert sorted((name.decode(), value.decode()) for name, value in request.headers.raw) == [
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, identity"),
        ("Blaxel-Version", "2026-04-28"),
        ("Cache-Control", "no-transform"),
        ("Connection", "keep-alive"),
        ("Content-Length", "15"),
        ("Content-Type", "application/json"),
        ("Host", "run.blaxel.ai"),
        ("User-Agent", f"blaxel-mcp-py/{__version__} ({system}/{machine})"),
        ("X-Blaxel-Authorization", f"Bearer {KEY}"),
        ("X-Blaxel-Workspace", "acme"),
    ]
    assert (request.method, str(request.url), request.content) == ("POST", RUN, BODY)


async def test_request_without_a_body_declares_no_type_and_own_headers_replace_ours() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[[name.decode(), value.decode()] for name, value in request.headers.raw])

    request = _request(method="GET", content=None, headers={"accept": "text/event-stream", "anthropic-version": "1"})
    sent = json.loads((await _send_to(answer, request)).body)
    assert [value for name, value in sent if name.lower() == "accept"] == ["text/event-stream"]
    assert ["Anthropic-Version", "1"] in sent
    assert "content-type" not in {name.lower() for name, _ in sent}


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "authorization",
        "Proxy-Authorization",
        "X-Blaxel-Authorization",
        "x-blaxel-anything",
        "x-api-key",
        "Host",
        "Cookie",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Accept-Encoding",
    ],
)
async def test_header_that_belongs_to_the_server_cannot_be_chosen(name: str) -> None:
    error = await _fails(_never, _request(headers={name: "x"}))
    assert (error.code, error.message) == ("invalid_arguments", f"The header {name!r} is reserved for this server.")


@pytest.mark.parametrize(
    ("headers", "workspace"),
    [
        ({"X-A": "b\r\nX-C: d"}, "acme"),
        ({"X A": "b"}, "acme"),
        ({"X-A": "é"}, "acme"),
        ({"": "b"}, "acme"),
        ({}, "a\nb"),
    ],
)
async def test_header_that_would_not_stay_on_its_line_is_refused(headers: dict[str, str], workspace: str) -> None:
    assert (await _fails(_never, _request(headers=headers, workspace=workspace))).code == "invalid_arguments"


def _never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.method} was sent")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v1/a%20b", "/v1/a%20b"),
        ("/v1/caf%c3%a9", "/v1/caf%c3%a9"),
        ("/v1/模", "/v1/%E6%A8%A1"),
        ("/v1/m:generateContent?alt=sse", "/v1/m:generateContent?alt=sse"),
        ("/v1/<a>|b^`{}[]", "/v1/%3Ca%3E%7Cb%5E%60%7B%7D%5B%5D"),
        ("/a@b,c;d=(e)'!*$&+~", "/a@b,c;d=(e)'!*$&+~"),
        ("/x?q=a b&r=%2F?", "/x?q=a%20b&r=%2F?"),
    ],
    ids=ascii,
)
async def test_path_is_on_the_wire_as_it_was_checked(path: str, sent: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=request.url.raw_path)

    url = endpoint_url(Endpoint(RUN, "classic"), *split_path(path))
    assert (await _send_to(answer, _request(url))).body.decode() == f"/acme/models/house{sent}"


async def test_host_that_is_not_trusted_gets_no_credentials() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=sorted(request.headers))

    names = json.loads((await _send_to(answer, _request("https://elsewhere.example/x"))).body)
    assert not {"authorization", "x-blaxel-authorization"} & set(names)


async def test_without_credentials_nothing_is_sent() -> None:
    with pytest.raises(ConfigurationError):
        await _send_to(_never, api_key=None)


async def test_redirect_is_an_error_and_the_other_host_hears_nothing() -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://evil.example/"})

    error = await _fails(answer)
    assert (error.code, error.status, hosts) == ("upstream_error", 307, ["run.blaxel.ai"])


async def test_cookies_are_neither_kept_nor_sent() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"set-cookie": "a=b; Path=/"}, json="cookie" in request.headers)

    async with APIClient(_configuration(), transport=httpx.MockTransport(answer)) as client:
        answers = [(await client.send(_request(), timeout_seconds=20)).body for _ in range(2)]
    assert answers == [b"false", b"false"]


async def test_proxy_of_the_environment_carries_other_hosts_and_never_loopback(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await _read_request(reader)).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()

    async with _serving(proxy) as url:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        async with APIClient(_emulated(emulator)) as client:
            with anyio.fail_after(30):
                direct = await client.send(_to(emulator, "house-classifier"), timeout_seconds=20)
                await client.send(_request("http://box.example/x"), timeout_seconds=20)
    assert (direct.status, lines) == (200, [b"POST http://box.example/x HTTP/1.1"])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HTTPS_PROXY", "gopher://proxy.example", "The proxy"),
        ("HTTPS_PROXY", "http://proxy.example:port", "The proxy"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem", "The certificates"),
    ],
)
async def test_unusable_environment_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    trace = CallTrace()
    async with APIClient(_configuration()) as client:
        with pytest.raises(ConfigurationError) as failed:
            await client.send(_request(), timeout_seconds=20, trace=trace)
    assert not trace.sent
    assert failed.value.message.startswith(said)
    assert name in failed.value.hint


# What comes back


async def test_answer_is_given_back_whole_and_the_trace_tells_of_it() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(201, headers={"X-Some": "a", "CF-Ray": "ray", "X-CF-Request-Id": "id"}, content=b" {} ")

    trace = CallTrace()
    async with APIClient(_configuration(), transport=httpx.MockTransport(answer)) as client:
        response = await client.send(_request(), timeout_seconds=20, trace=trace)
    headers = {"x-some": "a", "cf-ray": "ray", "x-cf-request-id": "id", "content-length": "4"}
    assert response == APIResponse(status=201, headers=headers, body=b" {} ")
    assert (trace.attempts, trace.status, trace.request_id, trace.sent) == (1, 201, "id", True)
    assert trace.first_byte_seconds is not None
    assert trace.first_byte_seconds > 0


async def test_secret_that_upstream_echoes_is_taken_out_of_bodies_headers_and_errors() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        key = request.headers["x-blaxel-authorization"]
        status = 400 if request.method == "PUT" else 200
        return httpx.Response(status, headers={"x-echo": key, "cf-ray": key}, json={"message": key})

    response = await _send_to(answer)
    error = await _fails(answer, _request(method="PUT"))
    assert json.loads(response.body) == {"message": "Bearer [redacted]"}
    assert response.headers["x-echo"] == "Bearer [redacted]"
    assert KEY not in f"{error} {error.request_id} {error!r}"


async def test_secret_in_a_large_body_is_taken_out_too() -> None:
    padding = b"x" * 1_500_000

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=padding + KEY.encode())

    assert (await _send_to(answer)).body == padding + b"[redacted]"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(status: int) -> None:
    assert (await _send_to(lambda _: httpx.Response(status))).status == status


async def test_compressed_answer_is_decoded() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=_Stream([gzip.compress(b"hello")]))

    assert (await _send_to(answer)).body == b"hello"


class _Stream(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.given += 1
            yield chunk


async def test_answer_over_the_limit_is_given_up_early_and_says_what_is_known() -> None:
    stream = _Stream([b"x" * 1000] * 100)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"cf-ray": "ray"}, stream=stream)

    error = await _fails(answer, limits={"max_response_bytes": 5000})
    found = (error.code, error.billed, error.status, error.request_id)
    assert found == ("response_too_large", "yes", 200, "ray")
    assert stream.given == 6


async def test_error_body_is_read_up_to_a_bound_and_no_further() -> None:
    stream = _Stream([b'{"message": "' + b"x" * 64_000] + [b"x" * 64_000] * 1000)
    error = await _fails(lambda _: httpx.Response(400, stream=stream))
    assert error.status == 400
    assert stream.given < 10


@pytest.mark.parametrize("encoding", ["br", "gzip"])
async def test_error_whose_body_cannot_be_decoded_is_told_by_its_status(encoding: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, headers={"content-encoding": encoding}, stream=_Stream([b"\x8b\x00rubbish"]))

    assert (await _fails(answer)).code == "not_found"


async def test_error_whose_body_breaks_off_is_told_by_its_status() -> None:
    class Breaking(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"err'
            raise httpx.ReadError("cut")

    assert (await _fails(lambda _: httpx.Response(401, stream=Breaking()))).code == "authentication_failed"


FAULTS = [
    ("fault-401", "authentication_failed", "blaxel"),
    ("fault-401-provider", "authentication_failed", "provider"),
    ("fault-402", "quota_exceeded", "blaxel"),
    ("fault-403", "permission_denied", "blaxel"),
    ("fault-403-text", "permission_denied", "blaxel"),
    ("fault-404-unavailable", "model_unavailable", "blaxel"),
    ("fault-413", "request_too_large", "blaxel"),
    ("fault-429", "rate_limited", "blaxel"),
    ("fault-429-body", "rate_limited", "blaxel"),
    ("fault-429-provider", "rate_limited", "provider"),
    ("fault-500", "upstream_error", "blaxel"),
    ("fault-500-provider", "provider_error", "provider"),
    ("fault-502-empty", "upstream_error", "blaxel"),
    ("fault-html-504", "upstream_error", "blaxel"),
    ("fault-not-dispatched", "model_unavailable", "blaxel"),
    ("fault-redirect", "upstream_error", "blaxel"),
    ("fault-drop", "network_error", "network"),
    ("fault-truncated", "network_error", "network"),
    ("fault-truncated-gzip", "bad_response", "network"),
    ("fault-gzip-bomb", "response_too_large", "local"),
    ("no-such-model", "unknown_model", "blaxel"),
]


@pytest.mark.parametrize(("model", "code", "origin"), FAULTS, ids=[row[0] for row in FAULTS])
async def test_failure_of_the_platform_is_told_as_what_it_is(
    emulator: Emulator, model: str, code: str, origin: str
) -> None:
    async with APIClient(_emulated(emulator, limits={"max_response_bytes": 1_000_000})) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_to(emulator, model), timeout_seconds=30)
    assert (failed.value.code, failed.value.origin) == (code, origin)


async def test_control_plane_errors_are_blaxels(emulator: Emulator) -> None:
    async with APIClient(_emulated(emulator)) as client:
        url = f"{emulator.api_url}/models/none"
        request = _request(url, method="GET", content=None, workspace="demo", runs_model=False)
        with pytest.raises(BlaxelError) as failed:
            await client.send(request, timeout_seconds=20)
    assert (failed.value.code, failed.value.origin, failed.value.status) == ("unknown_model", "blaxel", 404)


# Credentials that are refused


async def test_token_that_was_revoked_is_renewed_and_the_request_sent_once_more(emulator: Emulator) -> None:
    trace = CallTrace()
    async with APIClient(_with_client_credentials(emulator)) as client:
        await client.send(_to(emulator, "house-classifier"), timeout_seconds=20)
        emulator.revoke_tokens()
        response = await client.send(_to(emulator, "house-classifier"), timeout_seconds=20, trace=trace)
    assert (response.status, trace.attempts, emulator.token_exchanges) == (200, 2, 2)


async def test_renewed_token_that_is_refused_too_ends_the_call(emulator: Emulator) -> None:
    trace = CallTrace()
    async with APIClient(_with_client_credentials(emulator)) as client:
        with pytest.raises(BlaxelError) as failed:
            await client.send(_to(emulator, "fault-401"), timeout_seconds=20, trace=trace)
    assert (failed.value.code, trace.attempts, emulator.token_exchanges) == ("authentication_failed", 2, 2)


async def test_provider_that_refuses_its_key_costs_neither_a_renewal_nor_a_second_call(emulator: Emulator) -> None:
    trace = CallTrace()
    async with APIClient(_with_client_credentials(emulator)) as client:
        with pytest.raises(BlaxelError):
            await client.send(_to(emulator, "fault-401-provider"), timeout_seconds=20, trace=trace)
    assert (trace.attempts, emulator.token_exchanges) == (1, 1)


async def test_api_key_that_is_refused_is_not_sent_again(emulator: Emulator) -> None:
    async with APIClient(_emulated(emulator, api_key=WRONG_KEY)) as client:
        with pytest.raises(BlaxelError) as failed:
            await client.send(_to(emulator, "house-classifier"), timeout_seconds=20)
    assert (failed.value.code, failed.value.billed, len(emulator.requests)) == ("authentication_failed", "no", 1)


# Time

AMPLE_SECONDS = 1.0
"""A deadline that leaves time to send a request over an open pool even on a busy machine."""


async def test_answer_that_drips_for_ever_ends_at_the_deadline_and_the_server_sees_it(emulator: Emulator) -> None:
    trace = CallTrace()
    async with APIClient(_emulated(emulator)) as client:
        await client.send(_to(emulator, "house-classifier"))
        with anyio.fail_after(30):
            with pytest.raises(BlaxelError) as failed:
                await client.send(_to(emulator, "fault-drip"), timeout_seconds=AMPLE_SECONDS, trace=trace)
            await emulator.requests[1].wait_aborted()
    error = failed.value
    assert (error.code, error.origin, error.billed, error.retryable) == ("timeout", "network", "maybe", False)
    assert error.message == "The call timed out after 1 second, before the answer was complete."
    assert "limits.timeout_seconds" in error.hint
    assert (error.status, error.request_id) == (200, emulator.requests[1].request_id)
    assert (trace.attempts, trace.status, trace.sent) == (1, 200, True)


async def test_deadline_that_passes_while_a_token_is_fetched_has_sent_and_cost_nothing() -> None:
    async def stall(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v0/oauth/token"
        await anyio.sleep_forever()
        raise AssertionError

    trace = CallTrace()
    config = _configuration(api_key=None, client_credentials=CLIENT_CREDENTIALS)
    async with APIClient(config, transport=httpx.MockTransport(stall)) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_request(), timeout_seconds=0.2, trace=trace)
    assert (failed.value.code, failed.value.billed, failed.value.retryable) == ("timeout", "no", True)
    assert failed.value.message == "The call timed out after 0.2 seconds, and nothing was sent."
    assert (trace.sent, trace.attempts) == (False, 0)


class _Reporting(httpx.AsyncBaseTransport):
    """Answers the first request; reports of the others what the network's transport reports, and never answers them."""

    def __init__(self, *events: tuple[str, str]) -> None:
        self._events = events
        self._is_first = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._is_first:
            self._is_first = False
            return httpx.Response(200, json={})
        for event, method in self._events:
            await request.extensions["trace"](event, {"request": httpcore.Request(method, RUN)})
        await anyio.sleep_forever()
        raise AssertionError


CONNECTING = ("connection.connect_tcp.started", "POST")
TO_PROXY = ("http11.send_request_headers.started", "CONNECT")
DEPARTED = ("http11.send_request_headers.started", "POST")

DEPARTURES = {
    "connecting": ([CONNECTING], "no"),
    "asking a proxy": ([CONNECTING, TO_PROXY], "no"),
    "sent": ([CONNECTING, DEPARTED], "maybe"),
    "sent through a proxy": ([CONNECTING, TO_PROXY, DEPARTED], "maybe"),
    "sent over a kept connection": ([DEPARTED], "maybe"),
}


async def test_deadline_tells_a_request_that_left_from_one_that_did_not() -> None:
    outcomes: dict[str, tuple[str, str, bool]] = {}

    async def time_out(name: str, events: list[tuple[str, str]]) -> None:
        trace = CallTrace()
        async with APIClient(_configuration(), transport=_Reporting(*events)) as client:
            await client.send(_request())
            with pytest.raises(BlaxelError) as failed:
                await client.send(_request(), timeout_seconds=AMPLE_SECONDS, trace=trace)
        outcomes[name] = (failed.value.code, failed.value.billed, trace.sent)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for name, (events, _) in DEPARTURES.items():
                group.start_soon(time_out, name, events)

    assert outcomes == {name: ("timeout", billed, billed == "maybe") for name, (_, billed) in DEPARTURES.items()}


async def test_connecting_has_a_limit_of_its_own() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _serving(silent) as url, APIClient(_configuration(limits={"connect_seconds": 0.2})) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_request(url.replace("http:", "https:")), timeout_seconds=20)
    host = url.removeprefix("http://")
    assert failed.value.message == f"{host} could not be reached within 0.2 seconds, and nothing was sent."
    assert (failed.value.code, failed.value.billed, failed.value.retryable) == ("network_error", "no", True)


async def test_an_error_that_stalls_is_told_by_what_came_of_it() -> None:
    body = b'{"error": {"code": "WORKLOAD_NOT_FOUND", "message": "No model of this name", "origin": "platform"}}'

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.read()

    async with _serving(stall) as url, APIClient(_configuration(run_url=url), error_seconds=0.5) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_request(url), timeout_seconds=60)
    assert (failed.value.code, failed.value.status, failed.value.billed) == ("unknown_model", 404, "no")
    assert "No model of this name" in failed.value.message


async def test_deadline_of_a_caller_spans_several_requests() -> None:
    trace = CallTrace()
    async with APIClient(_configuration(), transport=_Reporting(DEPARTED)) as client:

        async def send_twice() -> None:
            with deadline(AMPLE_SECONDS, trace):
                await client.send(_request(), trace=trace)
                await client.send(_request(), trace=trace)

        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await send_twice()
    assert (failed.value.code, failed.value.billed, trace.attempts) == ("timeout", "maybe", 2)


async def test_cancelled_call_is_seen_by_the_server_and_raises_nothing_of_ours(emulator: Emulator) -> None:
    async with APIClient(_emulated(emulator)) as client:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(client.send, _to(emulator, "fault-slow-30s"))
                seen = await emulator.wait_for(lambda request: request.path.endswith("fault-slow-30s"))
                group.cancel_scope.cancel()
            await seen.wait_aborted()
        assert (await client.send(_to(emulator, "house-classifier"), timeout_seconds=20)).status == 200


async def test_more_calls_are_in_flight_at_once_than_the_librarys_own_pool_would_let() -> None:
    arrived, all_here = 0, asyncio.Event()

    async def together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await _read_request(reader)
        arrived += 1
        if arrived == 150:
            all_here.set()
        await all_here.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()

    async with _serving(together) as url, APIClient(_configuration()) as client:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(150):
                    group.start_soon(client.send, _request(url))
    assert arrived == 150


# The network


async def test_refused_connection_says_that_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with APIClient(_configuration()) as client:
            trace = CallTrace()
            with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
                await client.send(_request(f"http://127.0.0.1:{port}/x"), timeout_seconds=20, trace=trace)
    error = failed.value
    assert error.message == f"127.0.0.1:{port} could not be reached: it refused the connection, and nothing was sent."
    assert (error.code, error.origin, error.billed, error.retryable) == ("network_error", "network", "no", True)
    assert not trace.sent


async def test_server_that_speaks_no_tls_is_told_from_one_that_is_down() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with _serving(plain) as url, APIClient(_configuration()) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError, match="the TLS handshake failed") as failed:
            await client.send(_request(url.replace("http:", "https:")), timeout_seconds=20)
    assert (failed.value.code, failed.value.billed) == ("network_error", "no")


def test_a_resolver_that_does_not_answer_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over, outlasted = threading.Event(), []

    def no_answer(*_: object, **__: object) -> list[object]:
        outlasted.append(not is_over.wait(60))
        raise socket.gaierror

    async def call() -> None:
        async with APIClient(_configuration(limits={"connect_seconds": 0.2})) as client:
            await client.send(_request("https://slow.example/x"), timeout_seconds=20)

    monkeypatch.setattr(socket, "getaddrinfo", no_answer)
    with pytest.raises(BlaxelError, match=r"slow\.example could not be reached within 0\.2 seconds"):
        asyncio.run(call())
    is_over.set()

    assert not any(outlasted)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_key(host: str, tmp_path: Path) -> None:
    received = bytearray()

    async def read_all(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path / "certificate.pem", host))
    server = await asyncio.start_server(read_all, "127.0.0.1", 0, ssl=context)
    url = f"https://{host}:{server.sockets[0].getsockname()[1]}"
    async with server, APIClient(_configuration(run_url=url)) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError, match="certificate") as failed:
            await client.send(_request(f"{url}/demo/models/m"), timeout_seconds=20)
    assert (failed.value.code, failed.value.billed, bytes(received)) == ("network_error", "no", b"")


def _self_signed(file: Path, host: str) -> Path:
    """Write a key and a certificate for a host, which is valid today and signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(plain + certificate.public_bytes(Encoding.PEM))
    return file


def _rejected(verify_code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = verify_code
    return error


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name could not be resolved"),
        (ConnectionRefusedError(111, "refused"), "it refused the connection"),
        (ssl.SSLCertVerificationError(1, "self-signed"), "its certificate is not trusted on this machine"),
        (_rejected(10), "its certificate has expired"),
        (_rejected(9), "its certificate is not valid yet"),
        (_rejected(18), "its certificate is self-signed"),
        (_rejected(62), "its certificate is for another host name"),
        (_rejected(20), "its certificate is from an issuer that this machine does not trust"),
        (ssl.SSLError(1, "wrong version"), "the TLS handshake failed"),
        (OSError(101, "Network is unreachable"), "no connection could be made"),
        (ExceptionGroup("all", [OSError(), ConnectionRefusedError()]), "it refused the connection"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_cause_of_a_failed_connection_is_named(cause: Exception, said: str) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("failed") from cause

    error = await _fails(refuse)
    assert error.message == f"run.blaxel.ai could not be reached: {said}, and nothing was sent."
    assert error.hint


async def test_connection_that_ends_before_the_answer_may_have_cost_something() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await _read_request(reader)

    async with _serving(hang_up) as url, APIClient(_configuration()) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_request(url), timeout_seconds=20)
    error = failed.value
    assert (error.code, error.billed, error.retryable) == ("network_error", "maybe", False)
    assert error.message.endswith("broke off before the answer was complete.")


async def test_answer_that_is_cut_short_is_an_error_that_says_what_is_known(emulator: Emulator) -> None:
    async with APIClient(_emulated(emulator)) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_to(emulator, "fault-truncated"), timeout_seconds=20)
    error = failed.value
    found = (error.code, error.billed, error.status, error.request_id)
    assert found == ("network_error", "maybe", 200, emulator.requests[0].request_id)


async def test_second_attempt_that_fails_is_not_told_with_the_status_of_the_first() -> None:
    answers: list[int] = []

    def refuse_then_drop(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v0/oauth/token":
            return httpx.Response(200, json={"access_token": f"{MARKER}-token-{len(answers)}", "expires_in": 7200})
        answers.append(1)
        if len(answers) == 1:
            return httpx.Response(401)
        raise httpx.ReadError("cut")

    error = await _fails(refuse_then_drop, api_key=None, client_credentials=CLIENT_CREDENTIALS)
    assert (len(answers), error.code, error.status, error.billed) == (2, "network_error", None, "maybe")


def _exceptions() -> list[type[Exception]]:
    found = (value for _, value in inspect.getmembers(httpx, inspect.isclass) if issubclass(value, Exception))
    return sorted(found, key=lambda kind: kind.__name__)


_UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
_NOT_WRITABLE = {"InvalidURL", "LocalProtocolError", "UnsupportedProtocol"}


def _made(kind: type[Exception]) -> Exception:
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", RUN)
        return httpx.HTTPStatusError("m", request=request, response=httpx.Response(500, request=request))
    if issubclass(kind, httpx.StreamConsumed | httpx.StreamClosed | httpx.ResponseNotRead | httpx.RequestNotRead):
        return kind()
    return kind("m")


@pytest.mark.parametrize("kind", _exceptions(), ids=lambda kind: kind.__name__)
async def test_every_exception_of_the_library_becomes_one_of_ours(kind: type[Exception]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise _made(kind)

    error = await _fails(fail)
    if kind.__name__ in _UNSENT:
        expected = ("network_error", "no", True)
    elif kind.__name__ in _NOT_WRITABLE:
        expected = ("invalid_arguments", "no", False)
    elif kind is httpx.DecodingError:
        expected = ("bad_response", "maybe", False)
    else:
        expected = ("network_error", "maybe", False)
    assert (error.code, error.billed, error.retryable) == expected


@pytest.mark.parametrize(
    "url", ["ftp://h.example/x", "/relative", "", "http://", "http://h.example:port/", "http://[::1"]
)
async def test_url_that_cannot_be_called_is_refused(url: str) -> None:
    async with APIClient(_configuration()) as client:
        with pytest.raises(InvalidArgumentsError, match="nothing was sent"):
            await client.send(_request(url), timeout_seconds=20)


async def test_host_name_that_no_resolver_takes_is_a_name_that_is_not_known() -> None:
    async with APIClient(_configuration()) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(_request(f"http://{'a' * 64}.example/"), timeout_seconds=20)
    assert failed.value.billed == "no"
    assert failed.value.code in {"network_error", "invalid_arguments"}


async def test_failure_while_a_token_is_fetched_costs_nothing() -> None:
    def drop(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    error = await _fails(drop, api_key=None, client_credentials=CLIENT_CREDENTIALS)
    assert (error.code, error.billed) == ("network_error", "no")


async def test_closing_the_client_closes_its_connections() -> None:
    gone = asyncio.Event()

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        assert await reader.read() == b""
        gone.set()

    async with _serving(keep_alive) as url:
        with anyio.fail_after(30):
            async with APIClient(_configuration()) as client:
                await client.send(_request(url))
                assert not gone.is_set()
            await gone.wait()


async def test_an_answer_that_came_while_the_process_was_suspended_is_read(emulator: Emulator) -> None:
    """A blocked event loop is to the deadline what a stopped process is: late, with the answer in the socket."""
    is_blocked, loop = threading.Event(), asyncio.get_running_loop()

    def block() -> None:
        is_blocked.set()
        time.sleep(1.5)  # longer than the deadline

    def answer_meanwhile(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while BODY not in connection.recv(65_536):
                pass
            loop.call_soon_threadsafe(block)
            is_blocked.wait(30)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_meanwhile, args=(listener,))
        thread.start()
        async with APIClient(_emulated(emulator)) as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with deadline(1.0, CallTrace()):
                response = await client.send(_request(url), timeout_seconds=20)
        thread.join()

    assert response.body == b"{}"
