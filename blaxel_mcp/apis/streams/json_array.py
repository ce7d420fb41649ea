"""A JSON array sent element by element: how Gemini streams without `alt=sse`."""

import re

from blaxel_mcp.apis.streams.events import Event, EventDecoder, check_event_size

_OUTSIDE_STRINGS = re.compile(rb'["{}\[\]]')
_INSIDE_STRINGS = re.compile(rb'["\\]')


class JSONArrayDecoder(EventDecoder):
    """Returns each object of an array as an event, as soon as its closing brace has arrived.

    It only counts brackets; the assembler parses the object.
    """

    def __init__(self) -> None:
        # Not a list of pieces, which takes up to forty times their bytes if each is one byte.
        self._object = bytearray()
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False

    @staticmethod
    def begins_with(first: bytes) -> bool:
        """Return whether a byte begins an array, or an object that is the only one."""
        return first in b"[{"

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
