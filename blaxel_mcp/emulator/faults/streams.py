"""Responses that go wrong on the wire: late, without end, cut off, or far larger than they look."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

CLOSE_CONNECTION = "blaxel_mcp.emulator.close_connection"
"""The ASGI extension by which `run_emulator` lets the application close its connection."""

MEBIBYTE = 1024 * 1024
BOMB_MEBIBYTES = 256
LONG_HEADER_BYTES = 1_000_000
TRUNCATED_BY_BYTES = 1000
SECONDS_A_WORD = 0.25


class DroppedResponse(Response):
    """Closes the connection without a byte of an answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - nothing is sent
        """Close the connection and wait until it is gone."""
        await _close(scope, receive)


class TruncatedResponse(Response):
    """Closes the connection before the announced length is reached."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and the body, which is shorter than they say, and close."""
        length = len(self.body) + TRUNCATED_BY_BYTES
        headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await _close(scope, receive)


class SlowResponse(Response):
    """Answers in full, after a while."""

    def __init__(self, response: Response, seconds: float) -> None:
        super().__init__()
        self._response = response
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then send the answer."""
        await anyio.sleep(self._seconds)
        await self._response(scope, receive, send)


def dripping() -> Response:
    """Return a response that sends one byte a second and never ends."""
    return StreamingResponse(_drip(), media_type="application/json")


def flood(mebibytes: int) -> Response:
    """Return a JSON object with one string of so many MiB."""
    return StreamingResponse(_long_json(mebibytes), media_type="application/json")


def cut_stream() -> Response:
    """Return the beginning of a streamed chat completion, which ends before it says so."""
    events = "".join(_event(text) for text in ("", "I", " count"))
    return Response(events, media_type="text/event-stream")


def slow_stream() -> Response:
    """Return a streamed chat completion that takes a while."""
    return StreamingResponse(_words(), media_type="text/event-stream")


async def _words() -> AsyncIterator[str]:
    for word in ("Slowly", " but", " surely,", " one", " word", " after", " the", " other."):
        yield _event(word)
        await anyio.sleep(SECONDS_A_WORD)
    yield _event("", finish_reason="stop")
    yield "data: [DONE]\n\n"


def _event(text: str, *, finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    chunk = {"id": "chatcmpl-fault", "object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"


def gzip_bomb(mebibytes: int = BOMB_MEBIBYTES) -> Response:
    """Return a small gzip body that expands to a JSON object of so many MiB."""
    return _encoded_stream(_gzip_stream(_long_json(mebibytes)))


def many_values(mebibytes: int) -> Response:
    """Return a JSON array of so many MiB of small objects, each of which takes up many times its bytes once read."""
    return StreamingResponse(_small_objects(mebibytes), media_type="application/json")


def deep(levels: int) -> Response:
    """Return JSON that nests so deeply."""
    return Response("[" * levels + "]" * levels, media_type="application/json")


def long_headers() -> Response:
    """Return an answer with a header of a megabyte."""
    return Response("{}", headers={"x-padding": "a" * LONG_HEADER_BYTES}, media_type="application/json")


def endless_error() -> Response:
    """Return an error whose body never ends."""
    return StreamingResponse(_endlessly(b"The server failed. " * 1000), 500, media_type="text/plain")


def endless_stream() -> Response:
    """Return a streamed chat completion that never comes to its end."""
    return StreamingResponse(_endlessly(_event("word ").encode() * 100), media_type="text/event-stream")


def endless_line() -> Response:
    """Return an event stream whose first line never ends."""
    return StreamingResponse(_beginning(b"data: ", b"a" * MEBIBYTE), media_type="text/event-stream")


def long_event(mebibytes: int) -> Response:
    """Return an event stream of one event of so many MiB, in lines of one each."""
    return StreamingResponse(_long_event(mebibytes), media_type="text/event-stream")


def many_events(thousands: int) -> Response:
    """Return a streamed chat completion in so many thousand tiny events, whole."""
    return StreamingResponse(_many_events(thousands), media_type="text/event-stream")


def gzipped(body: bytes) -> Response:
    """Return a proper gzip answer."""
    return _encoded(gzip.compress(body))


def truncated_gzip(body: bytes) -> Response:
    """Return a gzip answer whose compressed data stops halfway."""
    compressed = gzip.compress(body)
    return _encoded(compressed[: len(compressed) // 2])


def _encoded(content: bytes) -> Response:
    return Response(content, headers={"content-encoding": "gzip"}, media_type="application/json")


def _encoded_stream(content: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(content, headers={"content-encoding": "gzip"}, media_type="application/json")


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await anyio.sleep(1)


async def _long_json(mebibytes: int) -> AsyncIterator[bytes]:
    yield b'{"output": "'
    for _ in range(mebibytes):
        yield b"a" * MEBIBYTE
        await anyio.lowlevel.checkpoint()
    yield b'"}'


async def _small_objects(mebibytes: int) -> AsyncIterator[bytes]:
    unit = b'{"":0},'
    yield b"["
    for _ in range(mebibytes):
        yield unit * (MEBIBYTE // len(unit))
        await anyio.lowlevel.checkpoint()
    yield b"0]"


async def _endlessly(piece: bytes) -> AsyncIterator[bytes]:
    while True:
        yield piece
        await anyio.lowlevel.checkpoint()


async def _beginning(begin: bytes, piece: bytes) -> AsyncIterator[bytes]:
    yield begin
    async for more in _endlessly(piece):
        yield more


async def _long_event(mebibytes: int) -> AsyncIterator[bytes]:
    for _ in range(mebibytes):
        yield b"data: " + b"a" * MEBIBYTE + b"\n"
        await anyio.lowlevel.checkpoint()
    yield b"\n"


async def _many_events(thousands: int) -> AsyncIterator[bytes]:
    for _ in range(thousands):
        yield _event("word ").encode() * 1000
        await anyio.lowlevel.checkpoint()
    yield _event("", finish_reason="stop").encode() + b"data: [DONE]\n\n"


async def _gzip_stream(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    async for piece in content:
        yield compressor.compress(piece)
    yield compressor.flush()


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the connection once what was sent has gone out, and wait until it is closed."""
    close = scope["extensions"].get(CLOSE_CONNECTION)
    if close is None:
        raise RuntimeError("This fault closes its connection, which needs run_emulator.")
    close()
    while (await receive())["type"] != "http.disconnect":
        pass
