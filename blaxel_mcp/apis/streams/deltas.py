"""Values that arrive in pieces: strings that grow, objects and arrays that fill up.

A growing string is kept as its pieces: adding each of a hundred thousand pieces to a string
that an object holds would copy it a hundred thousand times.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from blaxel_mcp.core.json_text import JSONObject

_WHOLE_FIELDS = frozenset({"id", "type", "role", "name", "format", "object", "signature"})
"""Strings that providers send whole, some of them again with every delta."""

_UNNUMBERED_PARTS = ("text", "thinking")
"""Parts of a message's content whose deltas have no index: each continues the last part of its type (Mistral)."""

_MAX_OPEN_ITEMS = 64
"""Last items of an array that may still grow; a bound on the search among them."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class TextBuffer:
    """A string that is still growing."""

    __slots__ = ("_pieces",)

    def __init__(self, first: str = "") -> None:
        self._pieces = [first]

    def append(self, piece: str) -> None:
        """Add a piece at the end."""
        self._pieces.append(piece)

    def __bool__(self) -> bool:
        return any(self._pieces)

    def __str__(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return _join_surrogates(self._pieces[0])


def append_text(target: JSONObject, name: str, piece: str) -> None:
    """Append a piece to the string under `name`, which begins with it if there is none."""
    current = target.get(name)
    if not isinstance(current, TextBuffer):
        current = target[name] = TextBuffer(current if isinstance(current, str) else "")
    current.append(piece)


def merge(target: JSONObject, delta: JSONObject) -> None:
    """Merge a delta into `target`: strings are appended, objects merged, arrays continued, other values replaced.

    A null changes nothing.
    """
    for name, value in delta.items():
        current = target.get(name)
        if name not in _WHOLE_FIELDS:
            target[name] = _merged(current, value)
        elif current in (None, ""):
            target[name] = value


def joined_text(items: Iterable[Any]) -> str:
    """Join the strings that the objects among the items have as `text`."""
    texts = (item.get("text") for item in items if isinstance(item, dict))
    return "".join(str(text) for text in texts if isinstance(text, str | TextBuffer))


def text_length(delta: Any) -> int:
    """Count the characters that a delta adds to an answer, in any of its fields."""
    match delta:
        case str():
            return len(delta)
        case list():
            return sum(map(text_length, delta))
        case dict():
            return sum(text_length(value) for name, value in delta.items() if name not in _WHOLE_FIELDS)
    return 0


def _join_surrogates(text: str) -> str:
    r"""Join characters that were split between their surrogates; half a character becomes U+FFFD.

    A provider that splits its answer between two `\u` escapes leaves half a character in each of
    two events, and half a character cannot be encoded in UTF-8.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def finalize(value: Any) -> Any:
    """Return a copy as plain JSON: without text buffers, and every string valid in UTF-8."""
    match value:
        case dict():
            return {_join_surrogates(name): finalize(inner) for name, inner in value.items()}
        case list():
            return [finalize(inner) for inner in value]
        case str():
            return _join_surrogates(value)
        case TextBuffer():
            return str(value)
    return value


def _merged(current: Any, value: Any) -> Any:
    """Return `current`, of any type or None, with a value of a delta merged into it."""
    match value:
        case None:
            return current
        case str() if isinstance(current, list):
            # Mistral continues a message's content as plain text after parts of another type.
            return _continued(current, [{"type": "text", "text": value}] if value else [])
        case str():
            buffer = current if isinstance(current, TextBuffer) else TextBuffer()
            buffer.append(value)
            return buffer
        case dict():
            target: JSONObject = current if isinstance(current, dict) else {}
            merge(target, value)
            return target
        case list():
            return _continued(current, value)
    return value


def _continued(current: Any, deltas: list[Any]) -> list[Any]:
    """Return the array `current` with each delta merged into the item that it continues, or appended."""
    items: list[Any] = current if isinstance(current, list) else []
    if isinstance(current, TextBuffer) and current:
        items = [{"type": "text", "text": current}]
    for delta in deltas:
        item = _open_item(items, delta) if isinstance(delta, dict) else None
        if item is None:
            items.append(_merged(None, delta))
        else:
            merge(item, delta)
    return items


def _open_item(items: list[Any], delta: JSONObject) -> JSONObject | None:
    """Return the item that a delta continues: the one with its index or, if it has none, perhaps the last one."""
    recent = (item for item in islice(reversed(items), _MAX_OPEN_ITEMS) if isinstance(item, dict))
    index = delta.get("index")
    if index is not None:
        item = next((item for item in recent if item.get("index") == index), None)
        return None if item and _begins_another_call(item, delta) else item
    last = next(recent, {})
    same_part = delta.get("type") in _UNNUMBERED_PARTS and delta.get("type") == last.get("type")
    same_call = "function" in delta and "function" in last and delta.get("id") in (None, "", last.get("id"))
    return last if same_part or same_call else None


def _begins_another_call(item: JSONObject, delta: JSONObject) -> bool:
    """Whether a delta begins another tool call than the item with the same index.

    Gemini's OpenAI-compatible endpoint has sent several calls under index 0. A server that
    generates a new id for every delta of one call (vLLM has) does not repeat the function's name.
    """
    function = delta.get("function")
    return (
        isinstance(function, dict)
        and bool(function.get("name"))
        and bool(delta.get("id"))
        and delta["id"] != item.get("id")
    )
