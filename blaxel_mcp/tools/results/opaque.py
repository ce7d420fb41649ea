"""Notes in place of opaque strings: signatures and encrypted content, which no agent reads."""

import re
import string
from typing import Any

from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.core.json_text import run_finder
from blaxel_mcp.tools.results.copy_on_write import with_items, with_members
from blaxel_mcp.tools.results.vectors import Summary

MIN_OPAQUE = 200
"""Characters of the shortest string that is summarized in a long answer."""

MIN_OPAQUE_IN_SHORT = 1000
"""The same in an answer that is short anyway."""

may_hold_opaque = run_finder(string.ascii_letters + string.digits + "_+/=\\.~-", MIN_OPAQUE)
"""Returns whether JSON has a run of characters, escapes included, as an opaque string is one."""

_OPAQUE = re.compile(r"[\w+/=.~-]+", re.ASCII)
_HEAD = 400
_MIN_DISTINCT = 24
"""Minimum of distinct characters among the first `_HEAD` ones of random base64."""

_TEXT_NAMES = frozenset({"arguments", "content", "generated_text", "input", "output_text", "reasoning_content", "text"})
"""Members with the model's own text, which agents read even if it is base64."""

_MAX_POINTER = 120


def summarize_opaque(value: Any, minimum: int) -> Summary:
    """Replace every opaque string of at least `minimum` characters in a JSON value by a note on it."""
    noter = _Noter(minimum)
    return Summary(noter.value(value, ()), noter.count, noter.first)


class _Noter:
    """One walk over a JSON value, with the number of notes so far and the pointer of the first."""

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        self.count = 0
        self.first = ""

    def value(self, value: Any, steps: tuple[str | int, ...]) -> Any:
        match value:
            case str() if len(value) >= self._minimum and _is_opaque(value):
                pointer = spell(steps)
                self.first = self.first if self.count else pointer
                self.count += 1
                place = f", at {pointer}" if len(pointer) <= _MAX_POINTER else ""
                return f"[{len(value):,} characters of opaque data{place}]"
            case dict():
                members = {
                    name: changed
                    for name, member in value.items()
                    if name not in _TEXT_NAMES or not isinstance(member, str)
                    if (changed := self.value(member, (*steps, name))) is not member
                }
                return with_members(value, members)
            case list():
                items = {
                    index: changed
                    for index, item in enumerate(value)
                    if (changed := self.value(item, (*steps, index))) is not item
                }
                return with_items(value, items)
            case _:
                return value


def _is_opaque(text: str) -> bool:
    head = text[:_HEAD]
    if len(set(head)) < _MIN_DISTINCT or not any(map(str.isdigit, head)):
        return False
    return head.lower() != head != head.upper() and _OPAQUE.fullmatch(text) is not None
