"""The connections to the network: odd answers, the next call's own answer, and what is kept open for how long."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.connecting import Certificates
from blaxel_mcp.client.direct_transport import DirectTransport
from blaxel_mcp.client.request import APIRequest, translate_error
from blaxel_mcp.client.trace import CallTrace
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.support.canaries import KEY

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
NEXT = b'{"answer": "to the next call"}'
EVIL = OK + b'content-length: 8\r\n\r\n{"x": 1}'
BIG = 64 * 1024 - len(OK + b"content-length: 65000\r\n\r\n")
"""Bytes of a body that ends where a library that reads 64 KiB at a time has read once."""


def sized(body: bytes, *lines: bytes, status: bytes = OK) -> bytes:
    return status + b"".join(line + b"\r\n" for line in (b"content-length: %d" % len(body), *lines)) + b"\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", lines: bytes = b"") -> bytes:
    head = OK + lines + b"transfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


@dataclass
class Upstream:
    """Answers the first request with `odd` bytes, and each later one as it should."""

    odd: bytes
    closes: bool = False
    piece: int = 1 << 30
    requests: int = 0
    url: str = ""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if self.requests > 1:
                    writer.write(sized(NEXT))
                    continue
                for start in range(0, len(self.odd), self.piece):
                    writer.write(self.odd[start : start + self.piece])
                    await writer.drain()
                self.answered.set()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def serving(
    upstream: Upstream, certificates: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[APIClient]:
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=certificates)
    scheme, port = "https" if certificates else "http", server.sockets[0].getsockname()[1]
    upstream.url = f"{scheme}://{host}:{port}/models/house"
    try:
        async with APIClient(Configuration(Settings.model_validate({"workspace": "acme", "api_key": KEY}))) as client:
            yield client
    finally:
        server.close()


async def outcome(client: APIClient, url: str, seconds: float = 60) -> tuple[int | str, bytes | str]:
    """Return the status and the body of a call, or the code of its error and whether it was billed."""
    try:
        response = await client.send(APIRequest(method="GET", url=url, workspace="acme"), timeout_seconds=seconds)
    except BlaxelError as error:
        return error.code, error.billed
    return response.status, response.body


BROKEN = ("network_error", "maybe")
REFUSED = ("upstream_error", "no")
HI = (200, b"hi")
MANY = b"HTTP/1.1 100 Continue\r\n\r\n" * 1000

TABLE = {
    "a length": (sized(b"hi"), False, HI),
    "a length, byte by byte": (sized(b"hi"), False, HI),
    "chunks": (chunked(b"h", b"i"), False, HI),
    "chunks with an extension": (OK + b"transfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n", False, HI),
    "chunks with a trailer": (chunked(b"hi", end=b"0\r\nx-sum: 1\r\n\r\n"), False, HI),
    "neither length nor chunks": (OK + b"\r\nhi", True, HI),
    "HTTP/1.0 with a length": (sized(b"hi", status=b"HTTP/1.0 200 OK\r\n"), False, HI),
    "HTTP/1.0 without": (b"HTTP/1.0 200 OK\r\n\r\nhi", True, HI),
    "HTTP/2.0": (sized(b"hi", status=b"HTTP/2.0 200 OK\r\n"), False, HI),
    "HTTP/0.9": (b"hi", True, BROKEN),
    "length and chunks": (chunked(b"hi", lines=b"content-length: 5\r\n"), False, HI),
    "one length twice": (sized(b"hi", b"content-length: 2"), False, HI),
    "two lengths": (sized(b"hi", b"content-length: 3"), False, BROKEN),
    "a list of lengths": (OK + b"content-length: 2, 3\r\n\r\nhi", False, BROKEN),
    "a negative length": (OK + b"content-length: -2\r\n\r\nhi", False, BROKEN),
    "a length with a sign": (OK + b"content-length: +2\r\n\r\nhi", False, BROKEN),
    "a length that is no number": (OK + b"content-length: two\r\n\r\nhi", False, BROKEN),
    "line feeds alone": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", False, HI),
    "a folded header": (sized(b"hi", b"x-a: 1", b"  2"), False, HI),
    "a header without a colon": (sized(b"hi", b"nonsense"), False, BROKEN),
    "a space before a colon": (sized(b"hi", b"x-a : 1"), False, BROKEN),
    "a zero byte in a header": (sized(b"hi", b"x-a: \0"), False, BROKEN),
    "a header in Latin-1": (sized(b"hi", b"x-a: \xe9"), False, HI),
    "an answer behind a body": (sized(b"hi") + EVIL, False, HI),
    "an answer behind chunks": (chunked(b"hi") + EVIL, False, HI),
    "an answer behind a large body": (sized(b"h" * BIG) + EVIL, False, (200, b"h" * BIG)),
    "the beginning of an answer behind a body": (sized(b"hi") + b"HTTP/1.1 2", False, HI),
    "an empty line behind a body": (sized(b"hi") + b"\r\n", False, HI),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"hi"), False, HI),
    "a thousand interim answers": (MANY + sized(b"hi"), False, HI),
    "an interim answer with headers": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + sized(b"hi"), False, HI),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nhi", False, BROKEN),
    "no content, with a body": (sized(b"hi", status=b"HTTP/1.1 204 No Content\r\n"), False, (204, b"")),
    "not modified, with a body": (
        sized(b"hi", status=b"HTTP/1.1 304 Not Modified\r\n"),
        False,
        ("upstream_error", "no"),
    ),
    "nothing": (b"", True, BROKEN),
    "a head that ends early": (OK + b"content-len", True, BROKEN),
    "a body that ends early": (OK + b"content-length: 9\r\n\r\nhi", True, BROKEN),
    "chunks that end early": (chunked(b"hi", end=b""), True, BROKEN),
    "a chunk that ends early": (OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhi", True, BROKEN),
    "a chunk size that is no number": (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", False, BROKEN),
    "a negative chunk size": (OK + b"transfer-encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", False, BROKEN),
    "a chunk size of 21 digits": (OK + b"transfer-encoding: chunked\r\n\r\n%s\r\nhi" % (b"F" * 21), False, BROKEN),
    "a chunk longer than its size": (OK + b"transfer-encoding: chunked\r\n\r\n1\r\nhi\r\n0\r\n\r\n", False, BROKEN),
    "a coding besides chunks": (chunked(b"hi", lines=b"transfer-encoding: gzip\r\n"), False, BROKEN),
    "a head without an end": (OK + b"x-a: " + b"a" * 200_000, False, BROKEN),
    "an empty line first": (b"\r\n" + sized(b"hi"), False, BROKEN),
    "a status of two digits": (sized(b"hi", status=b"HTTP/1.1 20 OK\r\n"), False, BROKEN),
    "a status of four digits": (sized(b"hi", status=b"HTTP/1.1 2000 OK\r\n"), False, BROKEN),
    "no reason": (sized(b"hi", status=b"HTTP/1.1 200\r\n"), False, HI),
    "bytes that are not HTTP": (bytes(range(128, 256)) * 9, True, BROKEN),
    "the announcement to close": (sized(b"hi", b"connection: close"), False, HI),
}


@pytest.mark.parametrize("kind", TABLE)
async def test_an_odd_answer_has_one_outcome_and_the_next_call_gets_its_own(kind: str) -> None:
    odd, closes, expected = TABLE[kind]
    upstream = Upstream(odd, closes=closes, piece=1 if "byte by byte" in kind else 1 << 30)

    async with serving(upstream) as client:
        first = await outcome(client, upstream.url)
        second = await outcome(client, upstream.url)

    assert (first, second) == (expected, (200, NEXT))


async def test_interim_answers_without_an_end_are_read_until_the_deadline() -> None:
    upstream = Upstream(MANY * 320, piece=len(MANY))

    async with serving(upstream) as client:
        first = await outcome(client, upstream.url, seconds=1)
        second = await outcome(client, upstream.url)

    assert (first, second) == (("timeout", "maybe"), (200, NEXT))


@pytest.mark.parametrize("late", [b"x", EVIL, EVIL * 50_000])
async def test_bytes_that_arrive_late_are_not_the_answer_to_the_next_call(late: bytes) -> None:
    upstream = Upstream(sized(b"hi"))

    async with serving(upstream) as client:
        assert await outcome(client, upstream.url) == HI
        upstream.writers[0].write(late)
        assert await outcome(client, upstream.url) == (200, NEXT)

    assert len(upstream.writers) == 2


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(how: str) -> None:
    upstream = Upstream(sized(b"hi"))

    async with serving(upstream) as client:
        assert await outcome(client, upstream.url) == HI
        if how == "close":
            upstream.writers[0].close()
        else:
            upstream.writers[0].transport.abort()
        await asyncio.sleep(0)
        assert await outcome(client, upstream.url) == (200, NEXT)

    assert len(upstream.writers) == 2


async def test_calls_one_after_the_other_share_a_connection_and_calls_at_once_do_not() -> None:
    upstream = Upstream(sized(b"hi"))

    async with serving(upstream) as client:
        for _ in range(3):
            await outcome(client, upstream.url)
        assert len(upstream.writers) == 1
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(outcome, client, upstream.url)

    assert len(upstream.writers) == 3
    assert upstream.requests == 6


async def test_a_cancelled_call_closes_its_connection() -> None:
    upstream = Upstream(OK + b"content-length: 9\r\n\r\nhi")

    async with serving(upstream) as client, anyio.create_task_group() as group:
        group.start_soon(outcome, client, upstream.url)
        await upstream.answered.wait()
        group.cancel_scope.cancel()
    with anyio.fail_after(30):
        await upstream.ended.wait()

    assert upstream.requests == 1


def transport(**limits: Any) -> DirectTransport:
    return DirectTransport(Certificates(), httpx.Limits(**limits))


async def fetch(carrier: DirectTransport, url: str) -> bytes:
    response = await carrier.handle_async_request(httpx.Request("GET", url))
    try:
        return await response.aread()
    finally:
        await response.aclose()


async def test_an_idle_connection_is_closed_at_its_time_without_another_call() -> None:
    upstream = Upstream(sized(b"hi"))
    carrier = transport(keepalive_expiry=0.01)

    async with serving(upstream):
        assert await fetch(carrier, upstream.url) == b"hi"
        with anyio.fail_after(30):
            await upstream.ended.wait()
        assert await fetch(carrier, upstream.url) == NEXT
        await carrier.aclose()


async def test_no_more_idle_connections_are_kept_than_the_limit_says() -> None:
    upstream = Upstream(sized(b"hi"))
    carrier = transport(max_keepalive_connections=1)

    async with serving(upstream):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(fetch, carrier, upstream.url)
        with anyio.fail_after(30):
            await upstream.ended.wait()
        await fetch(carrier, upstream.url)
        assert len(upstream.writers) == 3
        await carrier.aclose()


async def test_closing_ends_idle_and_running_requests_alike() -> None:
    upstream = Upstream(OK + b"content-length: 9\r\n\r\nhi")
    carrier = transport()

    async with serving(upstream):
        response = await carrier.handle_async_request(httpx.Request("GET", upstream.url))
        await carrier.aclose()
        with pytest.raises(httpx.TransportError):
            await response.aread()
        assert await fetch(carrier, upstream.url) == NEXT
        await carrier.aclose()
        with anyio.fail_after(30):
            await upstream.ended.wait()


async def test_a_host_is_reached_at_whichever_of_its_addresses_answers() -> None:
    upstream = Upstream(sized(b"hi"))

    async with serving(upstream, host="localhost") as client:
        assert await outcome(client, upstream.url) == HI


async def test_a_large_request_is_sent_whole_while_the_server_reads_slowly() -> None:
    received = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            await reader.readexactly(1024 * 1024)
            await asyncio.sleep(0)
        received.set()
        writer.write(sized(b"hi"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with APIClient(Configuration(Settings.model_validate({"workspace": "acme", "api_key": KEY}))) as client:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        request = APIRequest(method="POST", url=url, workspace="acme", content=bytes(20 * 1024 * 1024))
        response = await client.send(request, timeout_seconds=60)
    server.close()

    assert received.is_set()
    assert response.body == b"hi"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A file with the certificate of `localhost`, and a server's context that uses it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    file, key_file = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context


@pytest.mark.parametrize("kind", ["a length", "chunks", "an answer behind a body", "an answer behind a large body"])
async def test_an_answer_over_tls_is_the_calls_own(
    kind: str, certificates: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    odd, _, expected = TABLE[kind]
    upstream = Upstream(odd)

    async with serving(upstream, certificates[1], "localhost") as client:
        assert await outcome(client, upstream.url) == expected
        assert await outcome(client, upstream.url) == (200, NEXT)


async def test_a_body_over_tls_may_end_without_the_closing_alert(
    certificates: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    upstream = Upstream(OK + b"\r\nhi")

    async with serving(upstream, certificates[1], "localhost") as client, anyio.create_task_group() as group:

        async def cut_when_answered() -> None:
            await upstream.answered.wait()
            connection = upstream.writers[0].transport
            with socket.socket(fileno=os.dup(connection.get_extra_info("socket").fileno())) as raw:
                raw.shutdown(socket.SHUT_WR)

        group.start_soon(cut_when_answered)
        assert await outcome(client, upstream.url) == HI


async def test_a_certificate_that_is_not_trusted_is_named(certificates: tuple[Path, ssl.SSLContext]) -> None:
    upstream = Upstream(sized(b"hi"))

    async with serving(upstream, certificates[1], "localhost") as client:
        with pytest.raises(BlaxelError, match="self-signed") as failed:
            await client.send(APIRequest(method="GET", url=upstream.url, workspace="acme"), timeout_seconds=30)

    assert failed.value.billed == "no"
    assert not upstream.requests


async def test_a_name_that_leads_to_this_machine_is_not_connected_to_if_it_has_to_be_public() -> None:
    upstream = Upstream(sized(b"hi"))

    async with serving(upstream, host="localhost"):
        transport = DirectTransport(Certificates(), httpx.Limits())
        # A connection that another request has left open makes no difference.
        await (await transport.handle_async_request(httpx.Request("GET", upstream.url))).aread()
        request = httpx.Request("GET", upstream.url, extensions={"must_be_public": True})
        with pytest.raises(httpx.ConnectError) as failed:
            await transport.handle_async_request(request)
        await transport.aclose()

    error = translate_error(failed.value, upstream.url, CallTrace(), connect_seconds=10)
    assert "its name leads to this machine or a private network" in str(error)
    assert (error.retryable, upstream.requests) == (False, 1)
