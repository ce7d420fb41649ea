"""A JSON array that is sent element by element, which is how Gemini streams without `alt=sse`."""

import re

from blaxel_mcp.apis.streams.events import Event, EventDecoder, check_event_size

_OUTSIDE_STRINGS = re.compile(rb'["{}\[\]]')
_INSIDE_STRINGS = re.compile(rb'["\\]')


class JSONArrayDecoder(EventDecoder):
    """Gives each object of an array as an event, as soon as its last brace is there.

    It only counts brackets. Whether an object is good JSON is found out by who reads the event.
    """

    def __init__(self) -> None:
        # A list of the pieces would take up to forty times their bytes, if each is a byte.
        self._begun = bytearray()
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._escaped = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next chunk and return the events that it completes."""
        events: list[Event] = []
        start = position = 0
        while (found := self._next_mark(chunk, position)) is not None:
            mark, position = chunk[found : found + 1], found + 1
            if mark in (b"{", b"[") and self._opens_event(mark):
                start = found
            elif self._closes_event(mark):
                self._keep(chunk[start:position])
                events.append(Event("message", self._take()))
        if self._depth:
            self._keep(chunk[start:])
        return events

    def finish(self) -> list[Event]:
        """Note whether the array, or an object in it, was left open."""
        self.unfinished = self._in_array or self._depth > 0
        return []

    def _next_mark(self, chunk: bytes, position: int) -> int | None:
        """Find the next bracket outside a string, and step over the strings before it."""
        while position < len(chunk):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            found = (_INSIDE_STRINGS if self._in_string else _OUTSIDE_STRINGS).search(chunk, position)
            if found is None:
                return None
            position = found.end()
            match found[0]:
                case b'"':
                    self._in_string = not self._in_string
                case b"\\":
                    self._escaped = True
                case _:
                    return found.start()
        return None

    def _opens_event(self, mark: bytes) -> bool:
        if self._depth == 0 and mark == b"[" and not self._in_array:
            self._in_array = True
            return False
        self._depth += 1
        return self._depth == 1

    def _closes_event(self, mark: bytes) -> bool:
        if mark in (b"{", b"["):
            return False
        if self._depth == 0:
            self._in_array = False
            return False
        self._depth -= 1
        return self._depth == 0

    def _keep(self, piece: bytes) -> None:
        self._begun += piece
        check_event_size(len(self._begun))

    def _take(self) -> str:
        text = self._begun.decode("utf-8", "replace")
        self._begun = bytearray()
        return text
