"""Secrets in what upstream says: a provider that quotes the request, a token endpoint that quotes its credentials.

`leaks` checks after every test that none has leaked; these tests state that there was one to redact.
"""

import base64
import codecs
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from urllib.parse import quote

import anyio
import httpx
import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.runtime import Environment, build_runtime
from blaxel_mcp.tools.run_model import read_invocation
from tests.support.canaries import CLIENT_CREDENTIALS, CLIENT_ID, CLIENT_SECRET, KEY
from tests.support.connecting import answer_of, connect, error_of, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

REDACTED = "[redacted]"
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}


class Provider(httpx.AsyncBaseTransport):
    """A provider that answers every call in the same way, and has no model records."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "/v0/" in request.url.path:
            return httpx.Response(404, json={"code": 404, "error": "not found"})
        assert request.headers["x-blaxel-authorization"] == f"Bearer {KEY}"
        return self._answer()


async def call(
    emulator: Emulator, answer: Callable[[], httpx.Response], *, streamed: bool = False
) -> types.CallToolResult:
    """Call a model, and read the stored answer too."""
    config = leading_to(emulator, tools={"stream": "always" if streamed else "never"})
    async with connect(config, transport=Provider(answer)) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})
        if not result.is_error:
            call_id = receipt_of(result)["call_id"]
            await client.read_resource(f"blaxel://calls/{call_id}")
            await client.call_tool("read_result", {"call_id": call_id})
        return result


def escaped(text: str) -> str:
    """Return a JSON string with every character escaped."""
    return '"' + "".join(f"\\u{ord(character):04x}" for character in text) + '"'


BEARER = f"Bearer {KEY}"

SPELLINGS = [
    pytest.param(json.dumps(KEY), id="plain"),
    pytest.param(json.dumps(KEY).replace("/", r"\/"), id="as PHP writes JSON"),
    pytest.param(json.dumps(KEY).replace("=", r"\u003d"), id="as Gson writes JSON"),
    pytest.param(escaped(KEY), id="all of it escaped"),
    pytest.param(json.dumps(f"?key={quote(KEY, safe='')}"), id="in a URL"),
    pytest.param(json.dumps(f"?key={quote(KEY, safe='').lower()}"), id="in a URL, in small letters"),
    *(
        pytest.param(json.dumps(base64.b64encode(f"{'x' * before}{BEARER}".encode()).decode()), id=f"base64, {before}")
        for before in range(3)
    ),
    pytest.param(json.dumps(base64.urlsafe_b64encode(BEARER.encode()).decode()), id="base64 for URLs"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_key_in_an_answer_is_redacted_in_every_encoding(emulator: Emulator, spelling: str) -> None:
    answer = f'{{"headers": {{"x-blaxel-authorization": {spelling}}}, "price": "5\\u20ac \\\\u0041"}}'

    result = await call(emulator, lambda: httpx.Response(200, content=answer, headers=JSON))

    assert REDACTED in text_of(result)
    assert REDACTED in answer_of(result)["headers"]["x-blaxel-authorization"]
    assert answer_of(result)["price"] == "5€ \\u0041"


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_key_in_an_error_is_redacted_in_every_encoding(emulator: Emulator, spelling: str) -> None:
    body = f'{{"error": {{"message": {spelling}}}}}'

    result = await call(emulator, lambda: httpx.Response(400, content=body, headers=JSON))

    assert REDACTED in error_of(result)["message"]


EDGE = {"error": {"code": "FORBIDDEN", "status": 403, "message": KEY, "action": KEY, "do_not": KEY}}


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        pytest.param(lambda: httpx.Response(400, text=f"bad header {KEY}"), 1, id="a text"),
        pytest.param(lambda: httpx.Response(403, json=EDGE), 3, id="message and advice of the edge"),
        pytest.param(lambda: httpx.Response(401, json={"code": 401, "error": KEY}), 1, id="the control plane's form"),
        pytest.param(lambda: httpx.Response(422, json={"detail": [{"msg": KEY}]}), 1, id="a list of details"),
        pytest.param(lambda: httpx.Response(500, headers={"cf-ray": KEY}), 1, id="the request's id"),
        pytest.param(lambda: httpx.Response(500, headers={"content-type": f"text/{KEY}"}), 1, id="the content type"),
        pytest.param(
            lambda: httpx.Response(400, json={"error": {"message": f"{KEY[:5]}\u200b{KEY[5:]}"}}),
            1,
            id="with an invisible character in it",
        ),
    ],
)
async def test_a_key_in_any_place_of_an_error_is_redacted(
    emulator: Emulator, answer: Callable[[], httpx.Response], times: int
) -> None:
    result = await call(emulator, answer)

    assert text_of(result).count(REDACTED) == times


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: httpx.Response(400, json={"error": {"message": "No.", "code": KEY}}), id="a code"),
        pytest.param(lambda: httpx.Response(307, headers={"location": f"https://x.example/{KEY}"}), id="a redirect"),
        pytest.param(lambda: httpx.Response(200, html=f"<html>{KEY}</html>"), id="a page"),
        pytest.param(lambda: httpx.Response(504, html=f"<html>{KEY}</html>"), id="a page of an error"),
        pytest.param(lambda: httpx.Response(200, content=f'{{"a": "{KEY}', headers=JSON), id="JSON that is cut off"),
    ],
)
async def test_an_answer_that_is_not_shown_leaves_no_key_in_the_error(
    emulator: Emulator, answer: Callable[[], httpx.Response]
) -> None:
    assert error_of(await call(emulator, answer))["message"]


async def test_a_key_in_the_headers_of_an_answer_is_redacted(emulator: Emulator) -> None:
    headers = {"x-cf-request-id": KEY, "x-echo": BEARER, "content-type": f"application/{KEY}"}

    result = await call(emulator, lambda: httpx.Response(200, content=b"\x00\x01", headers=headers))

    assert receipt_of(result)["request_id"] == REDACTED


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso8859-1", "cp1252"])
async def test_a_key_in_a_text_of_any_character_set_is_redacted(emulator: Emulator, codec: str) -> None:
    headers = {"content-type": f"text/plain; charset={codecs.lookup(codec).name}"}

    result = await call(emulator, lambda: httpx.Response(200, content=f"it was {KEY}.".encode(codec), headers=headers))

    assert KEY not in text_of(result)
    assert text_of(result).startswith("it was ")


def event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


END = b'data: {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(event(f"it was {KEY}.") + END, id="in one event"),
        pytest.param(b"".join(map(event, f"it was {KEY}.")) + END, id="a character in each"),
        pytest.param(event("it was ") + event(base64.b64encode(KEY.encode()).decode()) + END, id="in base64"),
    ],
)
async def test_a_key_in_a_stream_is_redacted(emulator: Emulator, body: bytes) -> None:
    result = await call(emulator, lambda: httpx.Response(200, content=body, headers=EVENTS), streamed=True)

    assert f"it was {REDACTED}" in answer_of(result)["choices"][0]["message"]["content"]


async def test_a_key_in_a_broken_stream_is_redacted(emulator: Emulator) -> None:
    body = event(f"it was {KEY}.") + b'data: {"id"'

    result = await call(emulator, lambda: httpx.Response(200, content=body, headers=EVENTS), streamed=True)

    assert result.is_error
    assert REDACTED in result.model_dump_json()


async def test_a_key_in_the_error_at_the_end_of_a_stream_is_redacted(emulator: Emulator) -> None:
    body = b'data: {"error": {"message": "it was ' + KEY.encode() + b'"}}\n\n'

    result = await call(emulator, lambda: httpx.Response(200, content=body, headers=EVENTS), streamed=True)

    assert f"it was {REDACTED}" in error_of(result)["message"]


async def test_a_key_that_arrives_in_pieces_is_never_shown(emulator: Emulator) -> None:
    said = f"it was {KEY}, {KEY[:-1]}! {KEY[:15]}"

    async def body() -> AsyncIterator[bytes]:
        for character in said:
            yield event(character)
        yield END

    answer = httpx.Response(200, content=body(), headers=EVENTS)
    app = build_runtime(
        leading_to(emulator, tools={"stream": "always"}), environment=Environment(transport=Provider(lambda: answer))
    )
    context, shown = CallContext(), list[str]()
    context.progress.listener = shown.append
    invocation = read_invocation({"model": "house-chat", "data": {"messages": []}}, app.discovery.catalog)
    async with app.connected():
        await app.inference.run(invocation, context)

    # The beginning of a key that continues differently is no key.
    assert shown[-1] == f"it was {REDACTED}, {KEY[:-1]}! {KEY[:15]}"
    assert len(shown) > len(said)
    assert not any(KEY[:5] in text for text in shown[: len(f"it was {KEY}, ")])
    # Text that was shown once never changes.
    assert all(later.startswith(text) for text, later in pairwise(shown))


async def test_half_a_key_at_the_end_of_a_broken_stream_is_not_shown(emulator: Emulator) -> None:
    body = event(f"it was {KEY[:-1]}")

    result = await call(emulator, lambda: httpx.Response(200, content=body, headers=EVENTS), streamed=True)

    assert result.is_error
    assert [block.text for block in result.content if isinstance(block, types.TextContent)][1:] == ["it was "]


# The token endpoint


class TokenEndpoint(httpx.AsyncBaseTransport):
    """A token endpoint with one answer; nothing else is reachable."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path.endswith("/oauth/token")
        await request.aread()
        return self._answer(request)


def refuses(request: httpx.Request) -> httpx.Response:
    said = f"{CLIENT_ID} with {CLIENT_SECRET}, that is {request.headers['authorization']}"
    return httpx.Response(400, json={"error": "invalid_client", "error_description": said})


def breaks(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError(f"cut after {request.headers}", request=request)


def cannot_be_reached(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"no route for {request.headers}", request=request)


def is_not_written(request: httpx.Request) -> httpx.Response:
    raise httpx.LocalProtocolError(f"Illegal header value {request.headers['authorization']!r}", request=request)


def has_a_bug(request: httpx.Request) -> httpx.Response:
    raise RuntimeError(f"{request.headers.raw} {request.content!r}")


def gives_a_page(request: httpx.Request) -> httpx.Response:
    return httpx.Response(502, html=f"<p>{request.headers['authorization']}</p>")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(refuses, "authentication_failed", id="refused with the secret in the reason"),
        pytest.param(breaks, "network_error", id="broken off"),
        pytest.param(cannot_be_reached, "network_error", id="out of reach"),
        pytest.param(is_not_written, "invalid_arguments", id="not written"),
        pytest.param(gives_a_page, "upstream_error", id="a page"),
        pytest.param(has_a_bug, "upstream_error", id="an exception that nobody expects"),
    ],
)
async def test_a_failing_token_exchange_shows_no_secret(
    emulator: Emulator, answer: Callable[[httpx.Request], httpx.Response], code: str
) -> None:
    config = leading_to(emulator, api_key=None, client_credentials=CLIENT_CREDENTIALS, discovery={"enabled": False})
    async with connect(config, transport=TokenEndpoint(answer)) as client:
        with anyio.fail_after(30):
            result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == code
    assert error_of(result)["billed"] == "no"


async def test_a_replaced_token_is_still_redacted(emulator: Emulator) -> None:
    config = leading_to(emulator, api_key=None, client_credentials=CLIENT_CREDENTIALS)
    async with connect(config) as client:
        first = await client.call_tool("run_model", {"model": "fault-echo-headers", "data": {}})
        (old,) = emulator.tokens
        emulator.revoke_tokens()
        second = await client.call_tool("run_model", {"model": "fault-echo-headers", "data": {}})
        (*_, new) = emulator.tokens
        emulator.models.clear()

    assert old != new
    for result in (first, second):
        assert REDACTED in answer_of(result)["headers"]["x-blaxel-authorization"]
