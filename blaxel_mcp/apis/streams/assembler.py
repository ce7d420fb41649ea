"""What the assemblers of all stream formats have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.streams.events import Event
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.json_text import JSONObject

DONE = "[DONE]"
"""The data of the event by which OpenAI, and many after it, end a stream."""


class Assembler(ABC):
    """Puts a provider's events together into the answer that it would have given without a stream.

    Events and fields that are not known are passed over, so that a provider may add some.

    Attributes:
        error: The error that the provider sent in the middle, in its own JSON; None if it sent none.
        characters: How many characters of text, reasoning and arguments have come.
        unreadable: How many events were not the JSON that they begin to be, and are left out.
    """

    announces_end: ClassVar[bool] = True
    """Whether the format has a sign that the answer is complete, whose absence means that it is not."""

    error: Any = None
    characters: int = 0
    unreadable: int = 0
    _ended: bool = False
    _values: int = 0

    @property
    def complete(self) -> bool:
        """Whether the provider's own end of the answer was seen."""
        return self._ended

    def feed(self, event: Event) -> None:
        """Take the next event; what is no good of it is passed over.

        Raises:
            UpstreamError: `response_too_large`: the events hold more values than one answer may.
        """
        self._count_values(event)
        data = self._read(event)
        if data is None:
            return
        kind = text_in(data, "type") or event.name
        if kind == "error":
            self.fail(data.get("error") or data)
            return
        self.fail(data.get("error"))
        self._take(kind, data)

    @property
    @abstractmethod
    def text(self) -> str:
        """The text that has come, of the first choice where there are several; reasoning is not in it."""

    @abstractmethod
    def value(self) -> JSONObject:
        """The answer as far as it has come, in the shape that the provider gives without a stream."""

    def fail(self, error: Any) -> None:
        """Note an error that the provider tells of; the first one is kept."""
        if self.error is None and error:
            self.error = error

    def _count_values(self, event: Event) -> None:
        """Hold the events together to what one answer may: small ones take up many times their bytes."""
        self._values += json_text.values_at_most(event.data)
        if self._values > json_text.MAX_VALUES:
            raise UpstreamError(
                f"The endpoint's event stream holds more than {json_text.MAX_VALUES} values; the rest was not read.",
                code="response_too_large",
                origin="local",
                hint="Ask for the answer without a stream, or for less of it. The call was paid for.",
                billed="yes",
            )

    def _read(self, event: Event) -> JSONObject | None:
        """The object in an event, if there is one."""
        text = event.data.strip()
        if text == DONE:
            self._ended = True
        elif event.name == "error" and not text.startswith("{"):
            self.fail(text)
        elif text.startswith("{"):
            try:
                value: JSONObject = bounded_json(text)
                return value
            except ValueError:
                self.unreadable += 1
        return None

    @abstractmethod
    def _take(self, kind: str, data: JSONObject) -> None:
        """Take the object in an event; `kind` is its `type`, or else the event's name."""


def bounded_json(text: str) -> Any:
    """Read JSON that nests no deeper than an answer may, and holds nothing that cannot be written again.

    Raises:
        ValueError: it is not JSON, nests too deeply, or has too many values or a number too large.
    """
    brackets = text.count("{") + text.count("[")
    if brackets > json_text.MAX_DEPTH and json_text.depth(text) > json_text.MAX_DEPTH:
        raise ValueError("it nests too deeply")
    if not json_text.is_affordable(text):
        raise ValueError("it has too many values")
    return json_text.parse(text, finite=True)


def object_in(data: Mapping[str, Any], *names: str) -> JSONObject:
    """The object under a path of names, empty where there is none."""
    value: Any = data
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else {}


def objects_in(data: Mapping[str, Any], name: str) -> list[JSONObject]:
    """The objects in the array under a name."""
    value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_in(data: Mapping[str, Any], name: str) -> str:
    """The string under a name, empty where there is none."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def index_in(data: Mapping[str, Any], name: str = "index") -> int:
    """The index under a name; what has none is the first and only one."""
    value = data.get(name)
    return value if isinstance(value, int) else 0


def in_order(items: Mapping[int, JSONObject]) -> list[JSONObject]:
    """The items by their index."""
    return [items[index] for index in sorted(items)]
