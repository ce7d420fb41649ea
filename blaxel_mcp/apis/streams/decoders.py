"""Decoders of event streams: server-sent events, newline-delimited JSON, and JSON arrays sent element by element."""

import re
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""Maximum size of one event: the limit of Blaxel's own command line (toolkit, cli/core/sse.go)."""


class Event(NamedTuple):
    """One event: its name, which is `message` if the stream sets none, and its data as text."""

    name: str
    data: str


class EventDecoder(ABC):
    """Decodes a stream's bytes, in chunks split anywhere, into events."""

    unfinished: bool = False
    """Whether the stream ended inside an event, which is dropped; known after `finish`."""

    json_starts: ClassVar[bytes] = b""
    """The bytes that a stream of JSON begins with; empty for another encoding, which begins with none of JSON's."""

    def begins_with(self, first: bytes) -> bool:
        """Return whether a stream in this encoding may begin with a byte that is no white space."""
        return first in self.json_starts if self.json_starts else first not in b"[{"

    @abstractmethod
    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next chunk and return the events that it completes.

        Raises:
            UpstreamError: `bad_response`: an event is longer than `MAX_EVENT_BYTES`.
        """

    @abstractmethod
    def finish(self) -> list[Event]:
        """Decode the end of the stream and return the event that it completes, if any."""


def check_event_size(size: int) -> None:
    """Reject an event of which `size` bytes have arrived.

    Raises:
        UpstreamError: `bad_response`: it is longer than `MAX_EVENT_BYTES`.
    """
    if size > MAX_EVENT_BYTES:
        raise UpstreamError(
            f"The endpoint's event stream holds an event of more than {MAX_EVENT_BYTES} bytes; the rest was not read.",
            code="bad_response",
            origin="provider",
            hint="The call was billed. Request the answer without a stream, or a shorter one.",
            billed="yes",
        )


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

    json_starts = b"{"

    def __init__(self) -> None:
        self._lines = _LineSplitter()

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


_OUTSIDE_STRINGS = re.compile(rb'["{}\[\]]')
_INSIDE_STRINGS = re.compile(rb'["\\]')


class JSONArrayDecoder(EventDecoder):
    """Returns each object of an array as an event, as soon as its closing brace has arrived.

    It only counts brackets; the assembler parses the object. Instead of an array, there may be a single object.
    """

    json_starts = b"[{"

    def __init__(self) -> None:
        # Not a list of pieces, which takes up to forty times their bytes if each is one byte.
        self._object = bytearray()
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next chunk and return the events that it completes."""
        events: list[Event] = []
        start = position = 0
        while (at := self._next_bracket(chunk, position)) is not None:
            position = at + 1
            if chunk[at] == ord("[") and self._depth == 0 and not self._in_array:
                self._in_array = True
            elif chunk[at] in b"{[":
                self._depth += 1
                start = at if self._depth == 1 else start
            elif self._depth == 0:
                self._in_array = False
            else:
                self._depth -= 1
                if self._depth == 0:
                    self._append(chunk[start:position])
                    events.append(Event("message", self._object.decode("utf-8", "replace")))
                    self._object = bytearray()
        if self._depth:
            self._append(chunk[start:])
        return events

    def finish(self) -> list[Event]:
        """Set `unfinished` if the array, or an object in it, is still open."""
        self.unfinished = self._in_array or self._depth > 0
        return []

    def _next_bracket(self, chunk: bytes, position: int) -> int | None:
        """Return the position of the next bracket outside strings, and track the strings before it."""
        while position < len(chunk):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            match = (_INSIDE_STRINGS if self._in_string else _OUTSIDE_STRINGS).search(chunk, position)
            if match is None:
                return None
            position = match.end()
            if match[0] == b'"':
                self._in_string = not self._in_string
            elif match[0] == b"\\":
                self._escaped = True
            else:
                return match.start()
        return None

    def _append(self, piece: bytes) -> None:
        self._object += piece
        check_event_size(len(self._object))
