"""The base class of the assemblers, and safe access to the fields of an event."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.streams.events import Event
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.json_text import JSONObject

DONE = "[DONE]"
"""The data of the event that ends a stream of OpenAI's, and of many other providers."""


class Assembler(ABC):
    """Builds a provider's non-streaming answer from the events of its stream.

    Unknown events are ignored, so that a provider may add some.

    Attributes:
        error: The first error that the provider sent in the stream, in its own JSON; None if there was none.
        characters: Characters of text, reasoning and arguments received.
        unreadable: Events that begin like a JSON object but cannot be parsed; the answer lacks them.
    """

    announces_end: ClassVar[bool] = True
    """Whether the format marks the end of an answer; a stream without that mark is then incomplete."""

    error: Any = None
    characters: int = 0
    unreadable: int = 0
    _ended: bool = False
    _values: int = 0

    @property
    def complete(self) -> bool:
        """Whether the provider marked the answer as complete."""
        return self._ended

    def feed(self, event: Event) -> None:
        """Add the next event to the answer.

        Raises:
            UpstreamError: `response_too_large`: the events hold more values than one answer may.
        """
        # All events count together: many small ones take up many times their bytes.
        self._values += json_text.values_at_most(event.data)
        if self._values > json_text.MAX_VALUES:
            raise UpstreamError(
                f"The endpoint's event stream holds more than {json_text.MAX_VALUES} values; the rest was not read.",
                code="response_too_large",
                origin="local",
                hint="The call was billed. Request the answer without a stream, or a shorter one.",
                billed="yes",
            )
        text = event.data.strip()
        if text == DONE:
            self._ended = True
        elif text.startswith("{"):
            self._feed_object(event.name, text)
        elif event.name == "error":
            self.record_error(text)

    @property
    @abstractmethod
    def text(self) -> str:
        """The text received so far, without reasoning; of the first choice if there are several."""

    @abstractmethod
    def value(self) -> JSONObject:
        """Return the answer so far, in the shape of the provider's non-streaming response."""

    def record_error(self, error: Any) -> None:
        """Keep an error that the provider reported, unless it is empty or another one came first."""
        if self.error is None and error:
            self.error = error

    def _feed_object(self, name: str, text: str) -> None:
        try:
            data: JSONObject = bounded_json(text)
        except ValueError:
            self.unreadable += 1
            return
        kind = text_in(data, "type") or name
        if kind == "error":
            self.record_error(data.get("error") or data)
            return
        self.record_error(data.get("error"))
        self._apply(kind, data)

    @abstractmethod
    def _apply(self, kind: str, data: JSONObject) -> None:
        """Add the object in an event to the answer; `kind` is its `type`, or the event's name without one."""


def bounded_json(text: str) -> Any:
    """Parse JSON within the limits of one answer.

    Raises:
        ValueError: it is not JSON, nests too deeply, or has too many values or a number too large to be written again.
    """
    brackets = text.count("{") + text.count("[")
    if brackets > json_text.MAX_DEPTH and json_text.depth(text) > json_text.MAX_DEPTH:
        raise ValueError("it nests too deeply")
    if not json_text.is_affordable(text):
        raise ValueError("it has too many values")
    return json_text.parse(text, finite=True)


def json_or_text(text: str) -> Any:
    """Parse JSON within the limits of one answer; return text that is no such JSON as it is."""
    try:
        return bounded_json(text)
    except ValueError:
        return text


def object_in(data: Mapping[str, Any], *names: str) -> JSONObject:
    """Return the object under a path of names, or an empty one."""
    value: Any = data
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else {}


def objects_in(data: Mapping[str, Any], name: str) -> list[JSONObject]:
    """Return the objects in the array under a name."""
    value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_in(data: Mapping[str, Any], name: str) -> str:
    """Return the string under a name, or an empty one."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def index_in(data: Mapping[str, Any], name: str = "index") -> int:
    """Return the index under a name, or 0: an item without an index is the only one."""
    value = data.get(name)
    return value if isinstance(value, int) else 0


def in_order(items: Mapping[int, JSONObject]) -> list[JSONObject]:
    """Return the items, sorted by index."""
    return [items[index] for index in sorted(items)]
