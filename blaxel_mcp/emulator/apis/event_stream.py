"""Server-sent events, as the providers that name their events send them (WHATWG HTML, Server-sent events)."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio.lowlevel
from starlette.responses import Response, StreamingResponse


def named_events(events: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events that are named by their own `type`."""
    return _stream(f"event: {event['type']}\ndata: {_json(event)}\n\n" for event in events)


def plain_events(values: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events without names, with Google's line ends."""
    return _stream(f"data: {_json(value)}\r\n\r\n" for value in values)


def json_array(values: Iterable[dict[str, Any]]) -> Response:
    """Return a JSON array that is sent element by element."""
    return _stream(_elements(values), media_type="application/json")


def _stream(pieces: Iterable[str], *, media_type: str = "text/event-stream") -> Response:
    return StreamingResponse(_one_by_one(pieces), media_type=media_type)


async def _one_by_one(pieces: Iterable[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece
        await anyio.lowlevel.checkpoint()


def _elements(values: Iterable[dict[str, Any]]) -> Iterable[str]:
    before = "["
    for value in values:
        yield before + _json(value)
        before = "\n,\r\n"
    yield "]"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
