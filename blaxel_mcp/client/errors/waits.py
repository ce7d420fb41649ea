"""The wait that an error response asks for, in each of the forms in which providers write it."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain
from typing import Any

JSONMapping = Mapping[str, Any]

LONGEST_WAIT_SECONDS = 31 * 86_400.0
"""The longest period of Blaxel's token policies is a month; a longer wait is a mistake."""

_MAX_DETAILS = 20

_WAIT_FIELDS = ("retry_after", "retryAfter", "retry_after_seconds", "estimated_time")
"""Blaxel's SDK reads the first three; the last is Hugging Face's, for a model that is loading."""

_UNITS = {"ms": 0.001, "millis": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_AMOUNT = (
    r"\d{1,9}(?:\.\d{1,9})?\s?"
    r"(?:ms|millis(?:econds?)?|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?)"
)
_AMOUNTS = rf"{_AMOUNT}(?![a-z])|{_AMOUNT}(?=\d)"
_DURATION = rf"(?:{_AMOUNTS})(?:(?:\s|,|and){{0,5}}(?:{_AMOUNTS})){{0,4}}"
_ONE_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|millis|[smhd])", re.IGNORECASE)
_WHOLE_DURATION = re.compile(_DURATION, re.IGNORECASE)
_IN_A_SENTENCE = re.compile(
    rf"\b(?:try(?:ing)?\s+again|retry(?:ing)?|wait|resets?|available)\b(?:\s+[a-z]{{1,12}}){{0,3}}?\s+(?:~\s?)?({_DURATION})",
    re.IGNORECASE,
)
"""As in "Please try again in 1m2.5s", "retry after 6 seconds" and "wait about 2 minutes"."""

_RESET = re.compile(r"(?:x-)?ratelimit-reset(?:-.*)?|anthropic-ratelimit-.*-reset", re.IGNORECASE)
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12

_TURNED_AWAY = frozenset({408, 429, 503, 529})
"""The statuses whose message may say how long to wait."""


def requested_wait(
    headers: Mapping[str, str], levels: tuple[JSONMapping, ...], message: str, *, status: int, now: float
) -> float | None:
    """Return the seconds to wait; None if the response does not say, or says something implausible.

    The `levels` are the objects of the body that may hold a wait, the innermost first. Only the reset of a rate limit
    (429) is a wait, since other responses have it too. `now` is in seconds since the epoch, from which a date counts.
    """
    waits = _structured(headers, levels, now)
    wait = next((seconds for seconds in waits if seconds is not None), None)
    if wait is None and status in _TURNED_AWAY and (match := _IN_A_SENTENCE.search(message)):
        wait = _plausible(_duration(match[1]))
    if wait is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _reset(headers, levels, now)
    return wait


def _structured(headers: Mapping[str, str], levels: tuple[JSONMapping, ...], now: float) -> Iterator[float | None]:
    milliseconds = _seconds(headers.get("retry-after-ms"), now)
    yield None if milliseconds is None else milliseconds / 1000
    yield _seconds(headers.get("retry-after"), now)
    for level in levels:
        yield from (_seconds(level.get(field), now) for field in _WAIT_FIELDS)
    for detail in chain.from_iterable(map(details_of, levels)):
        # That of google.rpc.RetryInfo is "12.5s", or an object.
        delay = detail.get("retryDelay")
        if isinstance(delay, Mapping):
            seconds, nanos = (_number(delay.get(name, 0)) or 0 for name in ("seconds", "nanos"))
            yield _plausible(seconds + nanos / 1e9)
        else:
            yield _seconds(delay, now)


def details_of(level: JSONMapping) -> list[JSONMapping]:
    """Return the first objects in an error's `details`, as Google's APIs have them (google.rpc.Status)."""
    details = level.get("details")
    listed = details[:_MAX_DETAILS] if isinstance(details, list) else []
    return [detail for detail in listed if isinstance(detail, Mapping)]


def _reset(headers: Mapping[str, str], levels: tuple[JSONMapping, ...], now: float) -> float | None:
    """Return when a rate limit ends: the exhausted one if the headers say which, otherwise the first one."""
    used_up: list[float] = []
    others: list[float] = []
    # OpenRouter puts the provider's headers into its body.
    relayed = [metadata.get("headers") for level in levels if isinstance(metadata := level.get("metadata"), Mapping)]
    for source in (headers, *relayed):
        named = {name.lower(): value for name, value in source.items()} if isinstance(source, Mapping) else {}
        for name in filter(_RESET.fullmatch, named):
            wait = _plausible(_until(named[name], now))
            remaining = named.get(name.replace("reset", "remaining"))
            if wait is not None:
                (used_up if str(remaining).strip() == "0" else others).append(wait)
    return max(used_up, default=min(others, default=None))


def _until(value: Any, now: float) -> float | None:
    """Return the seconds until a reset: given as such, as a duration, a date or a time since the epoch."""
    seconds = _number(value)
    if seconds is None:
        return _seconds(value, now)
    if seconds >= _EPOCH_MILLISECONDS:
        return max(0.0, seconds / 1000 - now)
    return max(0.0, seconds - now) if seconds >= _EPOCH_SECONDS else seconds


def _seconds(value: Any, now: float) -> float | None:
    """Return a wait, given as a number, a duration or a date, in seconds; None for anything implausible."""
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        text = value.strip()
        seconds = _duration(text) if _WHOLE_DURATION.fullmatch(text) else _until_date(text, now)
    return _plausible(seconds)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _duration(text: str) -> float:
    return sum(float(amount) * _UNITS[unit.lower()] for amount, unit in _ONE_AMOUNT.findall(text))


def _until_date(text: str, now: float) -> float | None:
    """Return the seconds until a date of HTTP (RFC 9110) or of RFC 3339, in UTC unless it has an offset."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(text)
            return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
        except (ValueError, OverflowError, OSError):
            continue
    return None


def _plausible(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        return None
    return seconds
