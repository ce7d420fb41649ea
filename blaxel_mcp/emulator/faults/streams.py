"""Responses that fail on the wire: late, endless, cut off, or far larger than they appear."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

CLOSE_CONNECTION = "blaxel_mcp.emulator.close_connection"
"""The ASGI extension of `run_emulator` with which the application closes its connection."""

MEBIBYTE = 1024 * 1024
BOMB_MEBIBYTES = 256
LONG_HEADER_BYTES = 1_000_000
MISSING_BYTES = 1000
SECONDS_PER_WORD = 0.25


class DroppedResponse(Response):
    """Closes the connection without sending anything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - nothing is sent
        """Close the connection and wait until it is closed."""
        await _close(scope, receive)


class TruncatedResponse(Response):
    """Closes the connection before it has sent the announced number of bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and the shorter body, then close the connection."""
        length = len(self.body) + MISSING_BYTES
        headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await _close(scope, receive)


class SlowResponse(Response):
    """Sends a response after a delay in seconds."""

    def __init__(self, response: Response, seconds: float) -> None:
        super().__init__()
        self._response = response
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then send the response."""
        await anyio.sleep(self._seconds)
        await self._response(scope, receive, send)


def dripping() -> Response:
    """Return a response that sends one byte per second and never ends."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await anyio.sleep(1)

    return StreamingResponse(drip(), media_type="application/json")


def flood(mebibytes: int) -> Response:
    """Return a JSON object with one string of this size."""
    return StreamingResponse(_long_json(mebibytes), media_type="application/json")


def many_values(mebibytes: int) -> Response:
    """Return a JSON array of small objects of this size, which needs many times its size once parsed."""

    async def small_objects() -> AsyncIterator[bytes]:
        unit = b'{"":0},'
        yield b"["
        for _ in range(mebibytes):
            yield unit * (MEBIBYTE // len(unit))
            await anyio.lowlevel.checkpoint()
        yield b"0]"

    return StreamingResponse(small_objects(), media_type="application/json")


def deep(levels: int) -> Response:
    """Return a JSON array that nests this deeply."""
    return Response("[" * levels + "]" * levels, media_type="application/json")


def long_headers() -> Response:
    """Return a response with a header of a megabyte."""
    return Response("{}", headers={"x-padding": "a" * LONG_HEADER_BYTES}, media_type="application/json")


def endless_error() -> Response:
    """Return an error whose body never ends."""
    return StreamingResponse(_endlessly(b"The server failed. " * 1000), 500, media_type="text/plain")


def cut_stream() -> Response:
    """Return the start of a streamed chat completion, which ends without a finish reason."""
    return _event_stream("".join(_chat_event(text) for text in ("", "I", " count")))


def slow_stream() -> Response:
    """Return a streamed chat completion that takes about two seconds."""

    async def words() -> AsyncIterator[str]:
        for word in ("Slowly", " but", " surely,", " one", " word", " after", " the", " other."):
            yield _chat_event(word)
            await anyio.sleep(SECONDS_PER_WORD)
        yield _END_OF_CHAT

    return _event_stream(words())


def endless_stream() -> Response:
    """Return a streamed chat completion that never ends."""
    return _event_stream(_endlessly(_chat_event("word ").encode() * 100))


def endless_line() -> Response:
    """Return an event stream whose first line never ends."""

    async def line() -> AsyncIterator[bytes]:
        yield b"data: "
        async for piece in _endlessly(b"a" * MEBIBYTE):
            yield piece

    return _event_stream(line())


def long_event(mebibytes: int) -> Response:
    """Return an event stream with one event of this size, in lines of 1 MiB."""

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(mebibytes):
            yield b"data: " + b"a" * MEBIBYTE + b"\n"
            await anyio.lowlevel.checkpoint()
        yield b"\n"

    return _event_stream(lines())


def many_events(thousands: int) -> Response:
    """Return a complete streamed chat completion of so many thousand tiny events."""

    async def events() -> AsyncIterator[str]:
        for _ in range(thousands):
            yield _chat_event("word ") * 1000
            await anyio.lowlevel.checkpoint()
        yield _END_OF_CHAT

    return _event_stream(events())


def gzip_bomb(mebibytes: int = BOMB_MEBIBYTES) -> Response:
    """Return a small gzip body that expands to a JSON object of this size."""

    async def compressed() -> AsyncIterator[bytes]:
        compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        async for piece in _long_json(mebibytes):
            yield compressor.compress(piece)
        yield compressor.flush()

    return StreamingResponse(compressed(), headers={"content-encoding": "gzip"}, media_type="application/json")


def gzipped(body: bytes, *, share: float = 1) -> Response:
    """Return a gzip response, of which only a share of the compressed bytes is sent."""
    compressed = gzip.compress(body)
    content = compressed[: int(len(compressed) * share)]
    return Response(content, headers={"content-encoding": "gzip"}, media_type="application/json")


async def _long_json(mebibytes: int) -> AsyncIterator[bytes]:
    yield b'{"output": "'
    for _ in range(mebibytes):
        yield b"a" * MEBIBYTE
        await anyio.lowlevel.checkpoint()
    yield b'"}'


async def _endlessly(piece: bytes) -> AsyncIterator[bytes]:
    while True:
        yield piece
        await anyio.lowlevel.checkpoint()


def _event_stream(content: str | AsyncIterator[str] | AsyncIterator[bytes]) -> Response:
    response = Response if isinstance(content, str) else StreamingResponse
    return response(content, media_type="text/event-stream")


def _chat_event(text: str, *, finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    chunk = {"id": "chatcmpl-fault", "object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"


_END_OF_CHAT = _chat_event("", finish_reason="stop") + "data: [DONE]\n\n"


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the connection after everything sent so far has gone out, and wait until it is closed."""
    close = scope["extensions"].get(CLOSE_CONNECTION)
    if close is None:
        raise RuntimeError("This fault closes the connection, which only run_emulator supports.")
    close()
    while (await receive())["type"] != "http.disconnect":
        pass
