"""Output as the pages of docs/ show it: readable JSON that is the same in each run."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_WIDTH = 100

# What differs between runs: ids, times and ports. Nothing else is replaced.
_STEADY = (
    (r"call_[\w-]{22}", "call_0123456789abcdefABCDEF"),
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:4000"),
    (r"\b(chatcmpl|cmpl|msg|resp|rs)([-_])[0-9a-f]{16,}", r"\1\g<2>0123456789abcdef"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "01234567-89ab-cdef-0123-456789abcdef"),
    (r'"(created|created_at|completed_at)":( ?)\d+', r'"\1":\g<2>1795000000'),
    (r'"(responseId|request_id)":( ?)"[^"]+"', r'"\1":\g<2>"0123456789abcdef"'),
    (r'"(elapsed_ms|first_byte_ms)":( ?)[\d.]+', r'"\1":\g<2>41.7'),
    (r'"id":( ?)"[0-9a-f]{24}"', r'"id":\1"0123456789abcdef01234567"'),
    (r"\b\d+ ms\b", "42 ms"),
    (r"waiting for \d+ s", "waiting for 50 s"),
    (r"emulator-\d{6}", "emulator-000001"),
    (r"(?<=\n)\n(?=\n)", ""),
)


def steady(text: str, home: Path | None = None) -> str:
    """Return a text with fixed values instead of those that differ between runs."""
    for pattern, replacement in _STEADY:
        text = re.sub(pattern, replacement, text)
    today = datetime.now(UTC).date()
    days = {today.isoformat(): "2026-11-24", (today + timedelta(days=1)).isoformat(): "2026-11-25"}
    text = re.sub("|".join(days), lambda found: days[found[0]], text)
    return text.replace(str(home), "~") if home else text


def pretty(value: Any, indent: int = 0) -> str:
    """Return readable JSON: what fits on one line is on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + 2
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    lines = [("" if name is None else f"{json.dumps(name)}: ") + pretty(item, inner) for name, item in items]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f",\n{' ' * inner}".join((f"{opening}\n{' ' * inner}{lines[0]}", *lines[1:])) + f"\n{' ' * indent}{closing}"
