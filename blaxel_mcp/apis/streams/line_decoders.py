"""Streams that are written line by line: server-sent events and newline-delimited JSON."""

import re

from blaxel_mcp.apis.streams.events import Event, EventDecoder, check_event_size
from blaxel_mcp.core import json_text

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _LineSplitter:
    """Splits bytes into lines that end in LF, CR or CRLF; no byte of a UTF-8 sequence looks like either."""

    def __init__(self) -> None:
        # Not a list of pieces, which takes up to forty times their bytes if each is one byte.
        self._line = bytearray()
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that a chunk completes."""
        if self._after_cr and chunk.startswith(b"\n"):
            # The line was returned at its CR: waiting for an LF would delay an event.
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        if lines:
            self._append(lines[0])
            lines[0] = self.rest()
            self._line, self._first = bytearray(), False
            # Only the first line can have begun in an earlier chunk.
            check_event_size(max(map(len, lines)))
        if rest:
            self._append(rest)
        return lines

    def rest(self) -> bytes:
        """Return the line that is not complete."""
        line = bytes(self._line)
        return line.removeprefix(_BYTE_ORDER_MARK) if self._first else line

    def _append(self, piece: bytes) -> None:
        self._line += piece
        check_event_size(len(self._line))


class ServerSentEventDecoder(EventDecoder):
    """Server-sent events, by the rules of WHATWG HTML ("Interpreting an event stream").

    `id` and `retry` are ignored: they are for reconnecting, and a call that costs money is
    never repeated automatically.
    """

    def __init__(self) -> None:
        self._lines = _LineSplitter()
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    @staticmethod
    def begins_with(first: bytes) -> bool:
        """Return whether a byte may begin a field or a comment: no field's name begins like JSON."""
        return first not in b"[{"

    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next chunk and return the events that it completes."""
        events: list[Event] = []
        for line in self._lines.feed(chunk):
            if line:
                self._add_field(line)
                continue
            if self._data:
                events.append(Event(self._name or "message", "\n".join(self._data)))
            self._name, self._data, self._size = "", [], 0
        return events

    def finish(self) -> list[Event]:
        """Set `unfinished` if no empty line has ended the last event, and drop that event, as the rules say.

        It is returned if it is an error or shows that it is whole: some servers omit the last empty line.
        """
        rest = self._lines.rest()
        if rest:
            self._add_field(rest)
        self.unfinished = bool(self._name or self._data) or (bool(rest) and not rest.startswith(b":"))
        data = "\n".join(self._data)
        # Nothing can be missing from OpenAI's end marker or from a JSON object.
        is_whole = self._name == "error" or data.strip() == "[DONE]" or _is_json(data, dict)
        return [Event(self._name or "message", data)] if data and is_whole else []

    def _add_field(self, line: bytes) -> None:
        # A comment is a line whose field name is empty.
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"event":
            self._name = text
        elif field in (b"data", b"error"):
            # Servers of llama.cpp's kind send errors in a field of that name, which the rules do not know.
            if field == b"error":
                self._name = "error"
            self._data.append(text)
            self._size += len(line)
            check_event_size(self._size)


class NDJSONDecoder(EventDecoder):
    """Newline-delimited JSON: a value on each line; the last one may lack its line end."""

    def __init__(self) -> None:
        self._lines = _LineSplitter()

    @staticmethod
    def begins_with(first: bytes) -> bool:
        """Return whether a byte begins an object."""
        return first == b"{"

    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next chunk and return the events that it completes."""
        lines = self._lines.feed(chunk)
        return [Event("message", line.decode("utf-8", "replace")) for line in lines if line.strip()]

    def finish(self) -> list[Event]:
        """Return the last line if it is complete: without a line end, only valid JSON shows that."""
        rest = self._lines.rest().decode("utf-8", "replace").strip()
        self.unfinished = bool(rest) and not _is_json(rest)
        return [Event("message", rest)] if rest and not self.unfinished else []


def _is_json(text: str, kind: type = object) -> bool:
    try:
        return isinstance(json_text.parse(text), kind)
    except ValueError:
        return False
