"""Notes in place of opaque strings: signatures and encrypted content, which no agent reads."""

import re
import string
from collections.abc import Mapping
from typing import Any

from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.core.json_text import run_finder
from blaxel_mcp.tools.results.replacement import Steps, Summary, summarize

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

    def note(part: Any, steps: Steps, _: Mapping[str, Any]) -> str | None:
        if not isinstance(part, str) or len(part) < minimum or _TEXT_NAMES.intersection(steps[-1:]):
            return None
        if not _is_opaque(part):
            return None
        pointer = spell(steps)
        place = f", at {pointer}" if len(pointer) <= _MAX_POINTER else ""
        return f"[{len(part):,} characters of opaque data{place}]"

    return summarize(value, note)


def _is_opaque(text: str) -> bool:
    head = text[:_HEAD]
    if len(set(head)) < _MIN_DISTINCT or not any(map(str.isdigit, head)):
        return False
    return head.lower() != head != head.upper() and _OPAQUE.fullmatch(text) is not None
