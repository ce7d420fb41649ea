"""Streamed answers: server-sent events in each provider's style, and JSON arrays (WHATWG HTML, Server-sent events)."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio.lowlevel
from starlette.responses import Response, StreamingResponse


def named_events(events: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events that are named by their own `type`."""
    return _stream(f"event: {event['type']}\ndata: {_as_json(event)}\n\n" for event in events)


def chat_events(chunks: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events without names that ends with `[DONE]`, as for chat completions."""

    def pieces() -> Iterable[str]:
        for chunk in chunks:
            yield f"data: {_as_json(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    return _stream(pieces())


def plain_events(chunks: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events without names, with Google's line ends."""
    return _stream(f"data: {_as_json(chunk)}\r\n\r\n" for chunk in chunks)


def json_array(values: Iterable[dict[str, Any]]) -> Response:
    """Return a JSON array that is sent element by element."""

    def pieces() -> Iterable[str]:
        separator = "["
        for value in values:
            yield separator + _as_json(value)
            separator = "\n,\r\n"
        yield "]"

    return _stream(pieces(), media_type="application/json")


def _stream(pieces: Iterable[str], *, media_type: str = "text/event-stream") -> Response:
    async def one_by_one() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece
            await anyio.lowlevel.checkpoint()

    return StreamingResponse(one_by_one(), media_type=media_type)


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
