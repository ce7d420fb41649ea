"""Values that arrive in fragments: strings that grow, objects and arrays that fill up.

A growing string is kept as its pieces: adding each of a hundred thousand pieces to a string
that an object holds would copy it a hundred thousand times.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from blaxel_mcp.core.json_text import JSONObject

WHOLE = frozenset({"id", "type", "role", "name", "format", "object", "signature"})
"""Strings that a provider sends whole, some of them again with every piece of what they name."""

_RUNNING_PARTS = ("text", "thinking")
"""Parts of a message's content that go on from one piece to the next without a number (Mistral)."""

_MOST_OPEN = 64
"""How many of an array's last items may still grow; a bound on the search among them."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class Fragments:
    """A string that is still growing."""

    __slots__ = ("_pieces",)

    def __init__(self, first: str = "") -> None:
        self._pieces = [first]

    def append(self, piece: str) -> None:
        """Let it grow at its end."""
        self._pieces.append(piece)

    def __bool__(self) -> bool:
        return any(self._pieces)

    def __str__(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return whole_characters(self._pieces[0])


def whole_characters(text: str) -> str:
    r"""Put together the characters that were cut between their surrogates; half of one becomes U+FFFD.

    A provider that cuts its answer between two `\u` escapes leaves half a character in each of
    two events, and half a character has no spelling in UTF-8.
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def append_text(holder: JSONObject, name: str, piece: str) -> None:
    """Let the string under `name` grow; it begins with the piece if there is none."""
    held = holder.get(name)
    if not isinstance(held, Fragments):
        held = holder[name] = Fragments(held if isinstance(held, str) else "")
    held.append(piece)


def merge(held: JSONObject, delta: JSONObject) -> None:
    """Take a delta in: strings grow, objects are merged, arrays are continued, of the rest the last counts.

    A null adds nothing to what is there.
    """
    for name, value in delta.items():
        held[name] = _first_said(held.get(name), value) if name in WHOLE else _merged(held.get(name), value)


def settled(value: Any) -> Any:
    """Return a copy without fragments: plain JSON, in which every string can be written as UTF-8."""
    match value:
        case dict():
            return {whole_characters(name): settled(inner) for name, inner in value.items()}
        case list():
            return [settled(inner) for inner in value]
        case str():
            return whole_characters(value)
        case Fragments():
            return str(value)
    return value


def joined_text(holders: Iterable[JSONObject], name: str = "text") -> str:
    """Join the strings that the objects have under a name."""
    return "".join(str(held) for holder in holders if isinstance(held := holder.get(name), str | Fragments))


def text_length(delta: Any) -> int:
    """How many characters of an answer a delta brings, whatever they belong to."""
    match delta:
        case str():
            return len(delta)
        case list():
            return sum(map(text_length, delta))
        case dict():
            return sum(text_length(value) for name, value in delta.items() if name not in WHOLE)
    return 0


def _first_said(held: Any, value: Any) -> Any:
    return held if held not in (None, "") else value


def _merged(held: Any, value: Any) -> Any:
    match value:
        case None:
            return held
        case str():
            return _grown(held, value)
        case dict():
            target: JSONObject = held if isinstance(held, dict) else {}
            merge(target, value)
            return target
        case list():
            return _continued(held, value)
    return value


def _grown(held: Any, piece: str) -> Any:
    if isinstance(held, list):
        # The content of a message went on as plain text after parts of another kind (Mistral).
        return _continued(held, [{"type": "text", "text": piece}] if piece else [])
    if isinstance(held, Fragments):
        held.append(piece)
        return held
    return Fragments(piece)


def _continued(held: Any, added: list[Any]) -> list[Any]:
    items: list[Any] = held if isinstance(held, list) else []
    if isinstance(held, Fragments) and held:
        items = [{"type": "text", "text": held}]
    for item in added:
        begun = _begun(items, item)
        if begun is None:
            items.append(_merged(None, item))
        else:
            merge(begun, item)
    return items


def _begun(items: list[Any], item: Any) -> JSONObject | None:
    """Find the item that another one continues: the one of its index, or the last one if it runs on."""
    if not isinstance(item, dict):
        return None
    index = item.get("index")
    recent = (held for held in islice(reversed(items), _MOST_OPEN) if isinstance(held, dict))
    if index is not None:
        held = next((held for held in recent if held.get("index") == index), None)
        return None if held and _is_another_call(held, item) else held
    last = next(recent, None)
    return last if last and (_runs_on(last, item) or _is_same_call(last, item)) else None


def _runs_on(last: JSONObject, item: JSONObject) -> bool:
    return item.get("type") in _RUNNING_PARTS and item.get("type") == last.get("type")


def _is_same_call(last: JSONObject, item: JSONObject) -> bool:
    """Whether an item without an index brings more of the tool call before it."""
    return "function" in item and "function" in last and item.get("id") in (None, "", last.get("id"))


def _is_another_call(held: JSONObject, item: JSONObject) -> bool:
    """Whether an item is another tool call in spite of its index.

    Gemini's OpenAI-compatible endpoint has sent several calls under index 0. A server that makes
    up a new id for every piece of one call (vLLM has) does not repeat the function's name.
    """
    function = item.get("function")
    return (
        isinstance(function, dict)
        and bool(function.get("name"))
        and bool(item.get("id"))
        and item["id"] != held.get("id")
    )
