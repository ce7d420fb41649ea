"""What the body and the headers of an error response say, and who wrote them.

An error on the way to a model comes from Blaxel's gateway, from its control plane, from the
provider behind it or from a web server in front of it all, and each has its own shape. Telling
the provider's from Blaxel's is what good advice hangs on. The shapes of Blaxel's own are those
that its documentation (troubleshooting/error-codes) and its Python SDK (core/errors) know.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from blaxel_mcp.core.redaction import quote, scrub

MAX_MESSAGE_CHARS = 500
"""How much of upstream's own message is quoted."""

_MAX_ADVICE_CHARS = 300
_LONGEST_WAIT_SECONDS = 31 * 86_400.0
"""Blaxel's token policies count by the month at most; a longer wait is a mistake."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_EDGE_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_VERSION_REFUSED = "invalid_api_version"
"""The one error of the control plane that has its name where the others have their text."""

_WAIT_FIELDS = ("retry_after", "retryAfter", "retry_after_seconds", "estimated_time")
"""The first three are what Blaxel's SDK reads, the last is Hugging Face's for a model that loads."""

Author = Literal["blaxel", "provider"]
Form = Literal["json", "text", "page", "empty"]
JSONMapping = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """An error response, read.

    Attributes:
        author: Who made the error; None when nothing tells.
        form: What the body is: JSON, plain text, an HTML page or nothing of use.
        code: The error's name, such as `WORKLOAD_NOT_FOUND`; never a number.
        message: What it says, fit to be quoted; empty when it says nothing.
        retryable: Whether it calls itself worth another try; None when it does not say.
        safe_to_retry: Whether it says of this very request that it may be sent again.
        dispatched: Whether the request reached the model; None when it does not say.
        retry_after_seconds: How long it asks to wait.
        loading: Whether the provider is loading the model just now, as Hugging Face says it.
        action: What it suggests to do, fit to be quoted.
        do_not: What it advises against, fit to be quoted.
    """

    author: Author | None
    form: Form
    code: str | None = None
    message: str = ""
    retryable: bool | None = None
    safe_to_retry: bool = False
    dispatched: bool | None = None
    retry_after_seconds: float | None = None
    loading: bool = False
    action: str = ""
    do_not: str = ""


def read_error_body(headers: Mapping[str, str], body: bytes, *, now: float) -> ErrorBody:
    """Read an error response; whatever the bytes are, this gives an answer.

    Args:
        headers: The response's, with lower-case names.
        body: The response's, with this server's own secrets removed.
        now: Seconds since the epoch, from which a Retry-After date counts.
    """
    text = body.decode("utf-8", "replace").strip()
    told = _read_headers(headers, now)
    value = _json(text)
    if isinstance(value, Mapping) and value:
        return _read_object(value, told, now)
    form, message = _plain(text, value, headers.get("content-type", ""))
    return replace(told, form=form, message=message)


def _read_headers(headers: Mapping[str, str], now: float) -> ErrorBody:
    """Read what the headers tell, which is what holds where the body says nothing."""
    platform = headers.get("x-blaxel-source", "").strip().lower() == "platform"
    code = _code(headers.get("x-blaxel-error-code"))
    return ErrorBody(
        author="blaxel" if platform or code else None,
        form="empty",
        code=code,
        dispatched=_was_dispatched(headers.get("x-blaxel-dispatch-state")),
        retry_after_seconds=_seconds(headers.get("retry-after"), now),
    )


def _json(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    # Google's streaming endpoints wrap their error object in an array.
    return value[0] if isinstance(value, list) and value else value


def _plain(text: str, value: Any, content_type: str) -> tuple[Form, str]:
    if isinstance(value, str):
        return "text", quote(value, MAX_MESSAGE_CHARS)
    if "html" in content_type.lower() or text.startswith("<"):
        return "page", ""
    if not text or text[0] in "{[" or "json" in content_type.lower():
        return "empty", ""
    message = quote(text, MAX_MESSAGE_CHARS)
    return ("text", message) if message else ("empty", "")


def _read_object(outer: JSONMapping, told: ErrorBody, now: float) -> ErrorBody:
    error = outer.get("error")
    inner: JSONMapping = error if isinstance(error, Mapping) else {}
    # Blaxel's SDK reads the outer `code` first and the header last.
    version = error if error == _VERSION_REFUSED else None
    codes = (version, outer.get("code"), inner.get("code"), inner.get("status"), inner.get("type"), outer.get("type"))
    dispatched = _was_dispatched(_field(outer, inner, "dispatch_state"))
    return ErrorBody(
        author=told.author or _author(outer, inner),
        form="json",
        code=next((code for code in map(_code, codes) if code and code != "error"), told.code),
        message=quote(_message(outer, inner), MAX_MESSAGE_CHARS),
        retryable=_retryable(outer, inner),
        safe_to_retry=_field(outer, inner, "safe_to_retry_request") is True,
        dispatched=told.dispatched if dispatched is None else dispatched,
        retry_after_seconds=_wait(outer, inner, now) if told.retry_after_seconds is None else told.retry_after_seconds,
        loading=_is_number(_field(outer, inner, "estimated_time")) or isinstance(outer.get("estimated_time"), float),
        action=_advice(inner, "action"),
        do_not=_advice(inner, "do_not"),
    )


def _wait(outer: JSONMapping, inner: JSONMapping, now: float) -> float | None:
    waits = (_seconds(level.get(field), now) for level in (inner, outer) for field in _WAIT_FIELDS)
    return next((wait for wait in waits if wait is not None), None)


def _author(outer: JSONMapping, inner: JSONMapping) -> Author | None:
    origin = inner.get("origin", outer.get("origin"))
    if isinstance(origin, str):
        return "blaxel" if origin == "platform" else "provider"
    if _is_edge_envelope(inner) or _is_control_plane(outer):
        return "blaxel"
    return "provider" if _message(outer, inner) else None


def _is_edge_envelope(error: JSONMapping) -> bool:
    # Google's has them the other way about: a numeric `code` and a `status` in capitals.
    return (
        isinstance(error.get("code"), str)
        and _EDGE_CODE.fullmatch(error["code"]) is not None
        and _is_number(error.get("status"))
        and "type" not in error
    )


def _is_control_plane(outer: JSONMapping) -> bool:
    if isinstance(outer.get("error"), str):
        # Hugging Face's {"error": "text"} has the same shape without the code.
        return _is_number(outer.get("code")) or outer["error"] == _VERSION_REFUSED
    code = outer.get("code")
    return isinstance(code, str) and bool(_EDGE_CODE.fullmatch(code)) and _is_number(outer.get("status_code"))


def _is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdecimal())


def _message(outer: JSONMapping, inner: JSONMapping) -> str:
    return next((text for text in _messages(outer, inner) if text.strip()), "")


def _messages(outer: JSONMapping, inner: JSONMapping) -> Iterator[str]:
    for level, field in (
        (inner, "message"),
        (outer, "message"),
        (outer, "error_description"),
        (outer, "error"),
        (outer, "detail"),
        (inner, "detail"),
    ):
        value = level.get(field)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield "; ".join(_item_message(item) for item in value[:3])


def _item_message(item: Any) -> str:
    """Read one of FastAPI's validation errors, which is what Mistral and many own models answer with."""
    text = item.get("msg") if isinstance(item, Mapping) else item
    return text if isinstance(text, str) else ""


def _retryable(outer: JSONMapping, inner: JSONMapping) -> bool | None:
    if _field(outer, inner, "safe_to_retry_request") is True:
        return True
    flag = _field(outer, inner, "retryable")
    return flag if isinstance(flag, bool) else None


def _was_dispatched(state: Any) -> bool | None:
    return state != "not_dispatched" if isinstance(state, str) else None


def _field(outer: JSONMapping, inner: JSONMapping, name: str) -> Any:
    return inner.get(name, outer.get(name))


def _advice(error: JSONMapping, field: str) -> str:
    text = error.get(field)
    return quote(text, _MAX_ADVICE_CHARS) if isinstance(text, str) else ""


def _code(value: Any) -> str | None:
    # The second condition keeps out a key in the place of a code.
    return value if isinstance(value, str) and _CODE.fullmatch(value) and scrub(value) == value else None


def _seconds(value: Any, now: float) -> float | None:
    """Read a wait in seconds, as a number or a date; None for what no one can have meant."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    except ValueError:
        seconds = _seconds_until(str(value), now)
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LONGEST_WAIT_SECONDS else None


def _seconds_until(date: str, now: float) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return math.nan
