"""Streams that are written line by line: server-sent events and newline-delimited JSON."""

import re

from blaxel_mcp.apis.streams.events import Event, EventDecoder, check_event_size
from blaxel_mcp.core import json_text

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Lines:
    """Cuts bytes into lines that end in LF, CR or CRLF. No byte of a UTF-8 sequence looks like either."""

    def __init__(self) -> None:
        # A list of the pieces would take up to forty times their bytes, if each is a byte.
        self._begun = bytearray()
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that a chunk completes."""
        if self._after_cr and chunk.startswith(b"\n"):
            # The line was handed out at its CR: waiting for an LF would hold an event back.
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = _LINE_END.split(chunk)
        lines = [self._whole(line) for line in ended]
        self._begin(rest)
        return lines

    def rest(self) -> bytes:
        """Return the line that is not complete."""
        return self._without_mark(bytes(self._begun))

    def _whole(self, end: bytes) -> bytes:
        self._begin(end)
        line = self.rest()
        self._begun, self._first = bytearray(), False
        return line

    def _begin(self, piece: bytes) -> None:
        self._begun += piece
        check_event_size(len(self._begun))

    def _without_mark(self, line: bytes) -> bytes:
        return line.removeprefix(_BYTE_ORDER_MARK) if self._first else line


class ServerSentEventDecoder(EventDecoder):
    """Server-sent events, by the rules of WHATWG HTML ("Interpreting an event stream").

    `id` and `retry` are for reconnecting, which a call that costs money never does by itself:
    they are read and forgotten.
    """

    def __init__(self) -> None:
        self._lines = _Lines()
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next chunk and return the events that it completes."""
        events = (self._take(line) for line in self._lines.feed(chunk))
        return [event for event in events if event is not None]

    def finish(self) -> list[Event]:
        """Drop an event that no empty line has ended, as the rules say, and note that there was one."""
        rest = self._lines.rest()
        self.unfinished = bool(self._name or self._data) or (bool(rest) and not rest.startswith(b":"))
        return []

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        # A comment is a line whose field name is empty.
        field, _, value = line.partition(b":")
        text = _text(value.removeprefix(b" "))
        if field == b"event":
            self._name = text
        elif field == b"data":
            self._data.append(text)
            self._size += len(line)
            check_event_size(self._size)
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event


class NDJSONDecoder(EventDecoder):
    """Newline-delimited JSON: a value on each line, the last of which may lack its line end."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next chunk and return the events that it completes."""
        return [Event("message", _text(line)) for line in self._lines.feed(chunk) if line.strip()]

    def finish(self) -> list[Event]:
        """Return the last line if it is whole, which without a line end only its JSON can tell."""
        rest = _text(self._lines.rest()).strip()
        if not rest:
            return []
        try:
            json_text.parse(rest)
        except ValueError:
            self.unfinished = True
            return []
        return [Event("message", rest)]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
