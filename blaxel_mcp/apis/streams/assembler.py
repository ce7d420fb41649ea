"""The base class of the assemblers, and safe access to the fields of an event."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.reported_errors import ERROR_WORDS, reported_in_event
from blaxel_mcp.apis.streams.decoders import Event
from blaxel_mcp.apis.streams.deltas import append_text, finalize, joined_text, merge, text_length
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import quote, visible

DONE = "[DONE]"
"""The data of the event that ends a stream of OpenAI's, and of many other providers."""

HEARTBEATS = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})
"""Events that keep a connection open, in any format."""

_USAGE = ("usage", "usageMetadata")
_MAX_ERROR_CHARS = 500


class Assembler(ABC):
    """Builds a provider's non-streaming answer from the events of its stream.

    An unknown event is kept in the answer, under `unknown_events`: a provider may add some, and they are paid for.

    Attributes:
        api: The name of the API that streams in the format; empty if it is none of ours.
        path_ends: The ends of the sub-endpoints that stream in the format.
        kinds: The kinds of the format's events.
        kind_prefixes: The beginnings of these kinds, if they have many.
        ignored_kinds: Events of the format that add nothing to the answer.
        announces_end: Whether the format marks the end of an answer; a stream without that mark is then incomplete.
        linger_seconds: How long a stream that is complete, but has no end marker yet, is waited for: usage may follow.
        error: The first error that the provider sent in the stream, in its own JSON; None if there was none.
        characters: Characters of text, reasoning and arguments received.
        unreadable: Events that begin like a JSON object but cannot be parsed; the answer lacks them.
        ended: Whether the format's end marker was received: nothing follows it.
    """

    api: ClassVar[str] = ""
    path_ends: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[frozenset[str]] = frozenset()
    kind_prefixes: ClassVar[tuple[str, ...]] = ()
    ignored_kinds: ClassVar[frozenset[str]] = frozenset()
    announces_end: bool = True
    linger_seconds: ClassVar[float] = 5.0

    error: Any = None
    characters: int = 0
    unreadable: int = 0
    ended: bool = False
    _values: int = 0

    def __init__(self) -> None:
        self._answer: JSONObject = {}
        self._unknown: list[Any] = []
        # The indexes of the choices that have not ended.
        self._open: set[int] = set()

    @classmethod
    def recognizes(cls, kind: str, data: JSONObject) -> bool:  # noqa: ARG003 - for formats without kinds
        """Return whether an event with this kind and data is one of the format."""
        return kind in cls.kinds or kind.startswith(cls.kind_prefixes)

    @property
    def complete(self) -> bool:
        """Whether the answer is complete: by the format's end marker, or by the state of the answer itself."""
        return self.ended or self._is_complete()

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
                hint="The call was billed. Request the answer without a stream, or a shorter one.",
                billed="yes",
            )
        text = event.data.strip()
        if text == DONE:
            self.ended = True
        elif text.startswith("{"):
            self._feed_object(event.name, text)
        elif event.name == "error":
            self.record_error(text)
        elif text and not {event.name, text} & HEARTBEATS:
            self._keep(json_or_text(text))

    @property
    def text(self) -> str:
        """The text received so far, without reasoning; of the first choice if there are several."""
        return self._text_so_far()

    def value(self) -> JSONObject:
        """Return the answer so far, in the shape of the provider's non-streaming response."""
        unknown = {"unknown_events": self._unknown} if self._unknown else {}
        answer: JSONObject = finalize({**self._built(), **unknown})
        return answer

    def incomplete_reason(self, *, unfinished: bool = False, clean: Callable[[str], str] = str) -> str | None:
        """Return one sentence on why the answer is incomplete after the last event, or None if it is complete.

        Args:
            unfinished: Whether the stream ended inside an event.
            clean: Redacts our secrets in the provider's words, before they are truncated.
        """
        error = self.error
        if isinstance(error, dict):
            values = (error.get(name) for name in (*ERROR_WORDS, "code", "type", "status"))
            error = next(filter(None, values), "no message")
        if error is not None:
            message = quote(clean(visible(str(error))), _MAX_ERROR_CHARS)
            return f'The provider ended its stream with an error: "{message}".'
        if self.unreadable:
            return f"{self.unreadable} of the stream's events could not be read, so parts of the answer are missing."
        if self.complete:
            return None
        if unfinished:
            return "The stream ended in the middle of an event."
        return "The stream ended without the provider's end marker." if self.announces_end else None

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
        kind = kind_of(name, data)
        if "error" in (name, kind):
            self.record_error(data.get("error") or data)
            return
        self.record_error(data.get("error"))
        if data.keys() == {"error"} or kind in HEARTBEATS or kind in self.ignored_kinds:
            return
        if not self._apply(kind, data):
            if error := reported_in_event(data):
                self.record_error(error.get("error") or error)
            else:
                self._keep(data)

    def _keep(self, data: Any) -> None:
        """Keep the data of an event that the format does not know."""
        self._unknown.append(data)

    @abstractmethod
    def _apply(self, kind: str, data: JSONObject) -> bool:
        """Add the object in an event to the answer, and return whether the event is known.

        `kind` is the result of `kind_of`.
        """

    def _built(self) -> JSONObject:
        """Return the answer so far, without unknown events and with text buffers."""
        return self._answer

    def _text_so_far(self) -> str:
        return joined_text([self._answer])

    def _is_complete(self) -> bool:
        """Return whether the answer itself shows that nothing more comes."""
        return False

    def _note_end(self, index: int, *, ended: bool) -> None:
        """Note whether the choice with this index has ended."""
        if ended:
            self._open.discard(index)
        else:
            self._open.add(index)

    def _append(self, target: JSONObject, name: str, piece: str) -> None:
        append_text(target, name, piece)
        self.characters += len(piece)

    def _merge(self, target: JSONObject, delta: JSONObject) -> None:
        merge(target, delta)
        self.characters += text_length(delta)

    def _set(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the answer; usage is merged, and a null replaces nothing."""
        for name, value in fields.items():
            if name in _USAGE:
                value = merge_usage(self._answer.get(name), value)  # noqa: PLW2901 - the same field
            if value is not None or name not in self._answer:
                self._answer[name] = value


def kind_of(name: str, data: Mapping[str, Any]) -> str:
    """Return the kind of an event: its `type` or `event_type`, or the event's name without one."""
    if "type" not in data and "event_type" not in data:
        return name
    return text_in(data, "type") or text_in(data, "event_type") or name


def merge_usage(current: Any, update: Any) -> Any:
    """Return usage with a later report merged in: a figure that is null, missing or smaller changes nothing.

    Providers repeat usage with each event, some without the figures that an earlier event had.
    """
    if isinstance(current, dict) and isinstance(update, dict):
        current |= {name: merge_usage(current.get(name), value) for name, value in update.items()}
        return current
    is_less = {type(current), type(update)} <= {int, float} and update < current
    return current if update is None or is_less else update


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


def object_in(data: Mapping[str, Any], name: str) -> JSONObject:
    """Return the object under a name, or an empty one."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def objects_in(data: Mapping[str, Any], name: str) -> list[JSONObject]:
    """Return the objects in the array under a name."""
    value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def array_at(target: JSONObject, name: str) -> list[Any]:
    """Return the array under a name, to be added to: copying it for each event would take its square."""
    value = target.get(name)
    if not isinstance(value, list):
        value = target[name] = []
    return value


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
