"""Enforces a model's locked fields in any request that a caller composes. These are pure functions.

A locked field is enforced if its value is sent once, where the API reads it, and no synonym is sent with it. A request
in which that is impossible is rejected.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.field_names import BATCHES, CONVERSATIONS, DATA, fold
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.lock_tables import (
    CONVERSATION_OF,
    NOTES,
    PLACES,
    RELATED,
    SYNONYMS,
    SYSTEM,
    SYSTEM_IS_A_MESSAGE,
    TOOLS,
    WRAPPERS,
    body_format,
)

_SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class _Lock:
    """A locked field: the folded names that mean the same, and the place in the body where its value goes."""

    name: str
    group: frozenset[str]
    place: tuple[str, ...]
    value: Any


@dataclass(slots=True)
class _Locks:
    """The locked fields of one request, by the folded names that must not be sent with another value."""

    locks: list[_Lock]
    repairs: list[str] = field(default_factory=list)
    by_name: dict[str, _Lock] = field(default_factory=dict)
    anywhere: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        related = {name: lock for lock in self.locks for name in RELATED.get(lock.group, ())}
        self.by_name = related | {name: lock for lock in self.locks for name in lock.group}
        self.anywhere = related.keys() | (self.by_name.keys() & SYNONYMS.keys())

    @property
    def system(self) -> _Lock | None:
        """The lock on the system instructions."""
        return self.by_name.get("system")

    def scrub(self, value: Any, place: tuple[str, ...] = (), chain: str = "") -> Any:
        """Return a part of the body, at a place, without locked fields.

        The chain is the names of the place, folded and joined, from the last wrapper on.
        """
        if isinstance(value, list):
            return [self.scrub(item, place, chain) for item in value]
        if not isinstance(value, dict):
            return value
        result: JSONObject = {}
        for name, item in value.items():
            folded, path = fold(name), (*place, name)
            counts_here = folded in self.anywhere and chain not in NOTES
            lock = self.by_name.get(chain + folded) or (self.by_name[folded] if counts_here else None)
            if lock:
                self._report(lock, path, item)
            elif folded in CONVERSATIONS and isinstance(item, list):
                result[name] = self._without_what_is_locked(item)
            elif folded in DATA and not (folded in ("input", "inputs") and isinstance(item, dict)):
                result[name] = item
            else:
                result[name] = self.scrub(item, path, "" if folded in WRAPPERS else chain + folded)
        return result

    def _report(self, lock: _Lock, path: tuple[str, ...], value: Any) -> None:
        name = ".".join(path)
        if path != lock.place:
            self.repairs.append(f"{literal(name)} was removed: {lock.name} is locked by the settings")
        elif value != lock.value:
            self.repairs.append(f"{name} is locked by the settings and was reset to its locked value")

    def _without_what_is_locked(self, messages: list[Any]) -> list[Any]:
        """Return a conversation without system messages, and without items that bring tools, if those are locked."""
        for lock, kind, is_one in (
            (self.system, "a system message", _is_system),
            (self.by_name.get("tools"), "an item with tools", _has_tools),
        ):
            others = [message for message in messages if not (lock and is_one(message))]
            if lock and len(others) < len(messages):
                self.repairs.append(f"{kind} was removed: {lock.name} is locked by the settings")
            messages = others
        return messages


def enforce_locks(
    body: Any, locked: Mapping[str, Any], *, api: str | None, method: str, path: str, query: str, is_own_path: bool
) -> tuple[Any, list[str]]:
    """Return the body with the locked fields in place, and a sentence per field of the caller's that was replaced.

    The body is None if there is none, and the API if it is not known. `is_own_path` is whether the path is the model's
    own, as the settings or its record say.

    Raises:
        BlaxelError: `permission_denied`: the locked fields cannot be enforced in this request.
    """
    configured = api if is_own_path else None
    form = configured if configured not in (None, "raw") else body_format(decoded_fully(path)) or configured
    locks = _Locks([_lock(path, value, form or "") for path, value in _leaves(locked)])
    names = ", ".join(f"`{lock.name}`" for lock in locks.locks)
    _check_query(query, locks)
    if body is None:
        if form or is_own_path or query:
            raise _not_enforceable(names, f"a {method} without a body would reach the model without them")
        return body, []
    if form is None and not is_own_path:
        raise _not_enforceable(names, f"the format of a body at {literal(path or '/')} is not known")
    if not isinstance(body, dict):
        raise _not_enforceable(names, "the body is not an object")
    streams = locks.by_name.get("stream") if form == "generate-content" else None
    if problem := _obstacle(body, locks, form, is_own_path=is_own_path):
        raise _not_enforceable(names, problem)
    if streams and not is_own_path and streams.value is not (":stream" in decoded_fully(path).casefold()):
        raise _not_enforceable("`stream`", "the path says whether the answer is a stream")
    result: JSONObject = locks.scrub(body)
    for lock in locks.locks:
        if lock is not streams and (lock.group is not SYSTEM or form not in SYSTEM_IS_A_MESSAGE):
            _put(result, lock.place, lock.value)
    if locks.system and form in SYSTEM_IS_A_MESSAGE:
        result["messages"] = [{"role": "system", "content": locks.system.value}, *result.get("messages", [])]
    return result, locks.repairs


def _check_query(query: str, locks: _Locks) -> None:
    for name, _ in query_parameters(query):
        words = [fold(word) for word in re.split(r"[.\[\]]", name)]
        if lock := next((locks.by_name[word] for word in (*words, "".join(words)) if word in locks.by_name), None):
            raise _not_enforceable(f"`{lock.name}`", f"the query parameter {literal(name)} means the same")


def query_parameters(query: str) -> list[tuple[str, str]]:
    """Return the names and values in a query, read as by servers that decode often and split at `;` too."""
    pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    return [(decoded_fully(name), decoded_fully(value)) for name, value in pairs]


def decoded_fully(text: str) -> str:
    """Return text without percent escapes, at any depth of encoding."""
    while (decoded := unquote(text)) != text:
        text = decoded
    return text


def _leaves(locked: Mapping[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the place and the value of each locked field; the fields of an object are locked one by one."""
    for name, value in locked.items():
        if isinstance(value, Mapping) and value and not (not place and fold(name) in SYSTEM):
            yield from _leaves(value, (*place, name))
        else:
            yield (*place, name), value


def _lock(place: tuple[str, ...], value: Any, form: str) -> _Lock:
    chain = ""
    for name in place[:-1]:
        chain = "" if fold(name) in WRAPPERS else chain + fold(name)
    own = chain + fold(place[-1])
    group = SYNONYMS.get(own, frozenset({own}))
    places = next((places for key, places in PLACES.get(form, {}).items() if key in group), ())
    if form == "generate-content" and fold(place[0]) == "generationconfig":
        place = ("generationConfig", *place[1:])
    if group is SYSTEM and form == "generate-content" and isinstance(value, str):
        value = {"parts": [{"text": value}]}
    target = place if place in places or not places else places[0]
    return _Lock(".".join(place), group, target, value)


def _obstacle(body: JSONObject, locks: _Locks, form: str | None, *, is_own_path: bool) -> str | None:
    """Return why locked fields cannot be enforced in a body like this; None if they can."""
    folded = {fold(name): value for name, value in body.items()}
    if not BATCHES.isdisjoint(folded):
        return "the body holds whole requests"
    if form == "responses" and isinstance(folded.get("prompt"), Mapping):
        return "a stored prompt brings fields of its own"
    if "cachedcontent" in folded and not locks.by_name.keys().isdisjoint({"system", "tools"}):
        return "cached content brings instructions and tools of its own"
    return _no_place_for_system(body, form, is_own_path=is_own_path) if locks.system else None


def _no_place_for_system(body: JSONObject, form: str | None, *, is_own_path: bool) -> str | None:
    """Return why a locked system message cannot be enforced in a body like this; None if it can."""
    if form == "completions" and not is_own_path:
        return "a completion has no system message"
    conversation = CONVERSATION_OF.get(form or "")
    if conversation is None:
        return None
    if any(fold(name) == conversation and name != conversation for name in body):
        return f"the body spells `{conversation}` otherwise"
    messages = body.get(conversation, [])
    is_text = form == "responses" and isinstance(messages, str)
    return None if is_text or isinstance(messages, list) else f"`{conversation}` is not an array"


def _put(body: JSONObject, place: tuple[str, ...], value: Any) -> None:
    """Set a field, and make the objects that lead to it; other spellings of those are merged into them."""
    node = body
    for name in place[:-1]:
        merged: JSONObject = {}
        for spelling in [spelling for spelling in node if spelling != name and fold(spelling) == fold(name)]:
            inner = node.pop(spelling)
            merged |= inner if isinstance(inner, dict) else {}
        inner = node.get(name)
        node[name] = node = merged | (inner if isinstance(inner, dict) else {})
    node[place[-1]] = value


def _is_system(message: Any) -> bool:
    # A role that is no text, such as `["system"]`, counts as what it holds.
    return isinstance(message, dict) and any(
        fold(name) == "role" and fold(str(role)) in _SYSTEM_ROLES for name, role in message.items()
    )


def _has_tools(item: Any) -> bool:
    """Return whether an item of OpenAI's Responses API, such as the result of a search for tools, brings tools."""
    return isinstance(item, dict) and any(fold(name) in TOOLS for name in item)


def _not_enforceable(names: str, reason: str) -> BlaxelError:
    return BlaxelError(
        f"The settings of this server lock {names}, and {reason}.",
        code="permission_denied",
        hint="POST an object to the model's own path, without other spellings of the locked fields.",
    )
