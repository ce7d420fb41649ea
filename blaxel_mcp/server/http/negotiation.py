"""Content negotiation by RFC 9110, in front of the SDK, which is stricter.

The SDK serves event streams to clients that accept both JSON and events, and compares the Content-Type by case. The
MCP specification requires both media types of a client, but many send one of them, a wildcard or nothing.
"""

import re
from collections.abc import Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from blaxel_mcp.server.http.errors import RefusedError

JSON, EVENTS = "application/json", "text/event-stream"

_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')
_MEDIA_TYPE = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+")
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


def answers_with_events(headers: Headers) -> bool:
    """Return whether a client gets the answer as an event stream; otherwise it gets JSON.

    If it accepts both, it gets events even if it prefers JSON, since they carry progress. Raises RefusedError (406) if
    it accepts neither.
    """
    ranges = list(_ranges(",".join(headers.getlist("accept"))))
    if not ranges or _quality(EVENTS, ranges) > 0:
        return True
    if _quality(JSON, ranges) > 0:
        return False
    description = "Accept must allow text/event-stream or application/json, the media types of the answers."
    raise RefusedError(406, "not_acceptable", description)


def check_content_type(headers: Headers) -> None:
    """Accept `application/json` in any case and with any parameters; raises RefusedError (415) for other bodies."""
    # A proxy may have joined two headers of the same value.
    types = {item.partition(";")[0].strip().lower() for item in _ITEM.findall(headers.get("content-type", ""))}
    if types != {JSON}:
        description = "Content-Type must be application/json: the body is one JSON-RPC message."
        raise RefusedError(415, "unsupported_media_type", description)
    if headers.get("content-encoding", "").lower() not in ("", "identity"):
        description = "Content-Encoding is not supported: send the body uncompressed."
        raise RefusedError(415, "unsupported_media_type", description, {"Accept-Encoding": "identity"})


def for_the_sdk(scope: Scope) -> Scope:
    """Return the scope of a request with the headers that the SDK wants."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    headers["accept"] = f"{JSON}, {EVENTS}"
    headers["content-type"] = JSON
    return {**scope, "headers": headers.raw}


class JSONSender:
    """Sends an event stream as the JSON of its last event, which is the answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._data = b""

    async def send(self, message: Message) -> None:
        """Send the next ASGI message, or keep it until the answer is there."""
        if begins_events(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        if data := data_of(message.get("body", b"")):
            self._data = data
        if not message.get("more_body", False):
            headers = MutableHeaders(raw=list(self._start["headers"]))
            headers["content-type"], headers["content-length"] = JSON, str(len(self._data))
            await self._send({**self._start, "headers": headers.raw})
            await self._send({"type": "http.response.body", "body": self._data, "more_body": False})


def begins_events(message: Message) -> bool:
    """Return whether an ASGI message begins a response that is an event stream."""
    is_start = message["type"] == "http.response.start"
    return is_start and Headers(raw=message["headers"]).get("content-type", "").startswith(EVENTS)


def data_of(event: bytes) -> bytes:
    """Return the data of an event as the SDK sends it: on one line; empty for a comment."""
    lines = (line for line in event.splitlines() if line.startswith(b"data:"))
    return next(lines, b"").removeprefix(b"data:").strip()


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges of an Accept header in lower case, each with its quality; malformed ones are skipped."""
    for item in _ITEM.findall(accept):
        media_range = item.partition(";")[0].strip().lower()
        if _MEDIA_TYPE.fullmatch(media_range):
            parameters = {name.lower(): value for name, value in _PARAMETER.findall(item)}
            quality = parameters.get("q", "1").strip('"')
            yield media_range, float(quality) if _QUALITY.fullmatch(quality) else 1.0


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """Return the quality of a media type: that of the most specific range that it is in, the best of equals."""
    kind = media_type.partition("/")[0]
    for candidate in (media_type, f"{kind}/*", "*/*"):
        qualities = [quality for media_range, quality in ranges if media_range == candidate]
        if qualities:
            return max(qualities)
    return 0.0
