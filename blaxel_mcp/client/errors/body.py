"""Parses the headers and the body of an error response, and identifies who made the error.

Errors come from Blaxel's gateway, its control plane, the provider behind it or a web server in
front of it, each in its own shape. Useful advice depends on knowing which. Blaxel's own shapes are
those of its documentation (troubleshooting/error-codes) and its Python SDK (core/errors).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from blaxel_mcp.core.redaction import quote, scrub

MAX_MESSAGE_CHARS = 500
"""Quoted at most of upstream's own message."""

_MAX_ADVICE_CHARS = 300
_LONGEST_WAIT_SECONDS = 31 * 86_400.0
"""The longest period of Blaxel's token policies is a month; a longer wait is a mistake."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_EDGE_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_VERSION_REFUSED = "invalid_api_version"
"""The only error of the control plane with its code in place of the text."""

_WAIT_FIELDS = ("retry_after", "retryAfter", "retry_after_seconds", "estimated_time")
"""Blaxel's SDK reads the first three; the last is Hugging Face's, for a model that is loading."""

Author = Literal["blaxel", "provider"]
Form = Literal["json", "text", "page", "empty"]
JSONMapping = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The content of an error response.

    Attributes:
        author: Who made the error; None if the response does not say.
        form: The kind of body: JSON, plain text, an HTML page or nothing usable.
        code: The error's name, such as `WORKLOAD_NOT_FOUND`; never a number.
        message: Upstream's message, safe to quote; empty if there is none.
        retryable: Whether upstream calls the error retryable; None if it does not say.
        safe_to_retry: Whether upstream says that this very request can be sent again.
        dispatched: Whether the request reached the model; None if upstream does not say.
        retry_after_seconds: The wait that upstream asks for.
        loading: Whether the provider is loading the model, as Hugging Face reports it.
        action: What Blaxel suggests to do, safe to quote.
        do_not: What Blaxel advises against, safe to quote.
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
    """Parse an error response; any bytes are accepted.

    Args:
        headers: The response's headers, with lower-case names.
        body: The response's body, without this server's own secrets.
        now: Seconds since the epoch, from which a Retry-After date counts.
    """
    is_platform = headers.get("x-blaxel-source", "").strip().lower() == "platform"
    code = _code(headers.get("x-blaxel-error-code"))
    from_headers = ErrorBody(
        author="blaxel" if is_platform or code else None,
        form="empty",
        code=code,
        dispatched=_was_dispatched(headers.get("x-blaxel-dispatch-state")),
        retry_after_seconds=_seconds(headers.get("retry-after"), now),
    )
    text = body.decode("utf-8", "replace").strip()
    value = _json(text)
    if isinstance(value, Mapping) and value:
        return _read_object(value, from_headers, now)
    form, message = _plain(text, value, headers.get("content-type", ""))
    return replace(from_headers, form=form, message=message)


def _json(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    # Google's streaming endpoints wrap their error object in an array.
    return value[0] if isinstance(value, list) and value else value


def _plain(text: str, value: Any, content_type: str) -> tuple[Form, str]:
    """Return the form and the message of a body that is no JSON object."""
    if isinstance(value, str):
        return "text", quote(value, MAX_MESSAGE_CHARS)
    if "html" in content_type.lower() or text.startswith("<"):
        return "page", ""
    if not text or text[0] in "{[" or "json" in content_type.lower():
        return "empty", ""
    message = quote(text, MAX_MESSAGE_CHARS)
    return ("text", message) if message else ("empty", "")


def _read_object(outer: JSONMapping, from_headers: ErrorBody, now: float) -> ErrorBody:
    error = outer.get("error")
    inner: JSONMapping = error if isinstance(error, Mapping) else {}
    # Blaxel's SDK reads the outer `code` first and the header last.
    version = error if error == _VERSION_REFUSED else None
    codes = (version, outer.get("code"), inner.get("code"), inner.get("status"), inner.get("type"), outer.get("type"))
    message = _message(outer, inner)
    safe_to_retry = _field(outer, inner, "safe_to_retry_request") is True
    retryable = safe_to_retry or _field(outer, inner, "retryable")
    dispatched = _was_dispatched(_field(outer, inner, "dispatch_state"))
    wait = from_headers.retry_after_seconds
    waits = (_seconds(level.get(field), now) for level in (inner, outer) for field in _WAIT_FIELDS)
    return ErrorBody(
        author=from_headers.author or _author(outer, inner) or ("provider" if message else None),
        form="json",
        code=next((code for code in map(_code, codes) if code and code != "error"), from_headers.code),
        message=quote(message, MAX_MESSAGE_CHARS),
        retryable=retryable if isinstance(retryable, bool) else None,
        safe_to_retry=safe_to_retry,
        dispatched=from_headers.dispatched if dispatched is None else dispatched,
        retry_after_seconds=next((each for each in waits if each is not None), None) if wait is None else wait,
        loading=_is_number(_field(outer, inner, "estimated_time")) or isinstance(outer.get("estimated_time"), float),
        action=_advice(inner, "action"),
        do_not=_advice(inner, "do_not"),
    )


def _author(outer: JSONMapping, inner: JSONMapping) -> Author | None:
    origin = inner.get("origin", outer.get("origin"))
    if isinstance(origin, str):
        return "blaxel" if origin == "platform" else "provider"
    # Google has a numeric `code` and a `status` in capitals, the other way around.
    is_edge = _is_edge_code(inner.get("code")) and _is_number(inner.get("status")) and "type" not in inner
    return "blaxel" if is_edge or _is_control_plane(outer) else None


def _is_control_plane(outer: JSONMapping) -> bool:
    if isinstance(outer.get("error"), str):
        # Hugging Face's {"error": "text"} has the same shape without the code.
        return _is_number(outer.get("code")) or outer["error"] == _VERSION_REFUSED
    return _is_edge_code(outer.get("code")) and _is_number(outer.get("status_code"))


def _is_edge_code(value: Any) -> bool:
    return isinstance(value, str) and _EDGE_CODE.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdecimal())


def _message(outer: JSONMapping, inner: JSONMapping) -> str:
    for level, field in (
        (inner, "message"),
        (outer, "message"),
        (outer, "error_description"),
        (outer, "error"),
        (outer, "detail"),
        (inner, "detail"),
    ):
        value = level.get(field)
        if isinstance(value, list):
            # FastAPI's validation errors, which Mistral and many custom models answer with.
            texts = (item.get("msg") if isinstance(item, Mapping) else item for item in value[:3])
            value = "; ".join(text if isinstance(text, str) else "" for text in texts)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _was_dispatched(state: Any) -> bool | None:
    return state != "not_dispatched" if isinstance(state, str) else None


def _field(outer: JSONMapping, inner: JSONMapping, name: str) -> Any:
    return inner.get(name, outer.get(name))


def _advice(error: JSONMapping, field: str) -> str:
    text = error.get(field)
    return quote(text, _MAX_ADVICE_CHARS) if isinstance(text, str) else ""


def _code(value: Any) -> str | None:
    # The last condition rejects a key in the place of a code.
    return value if isinstance(value, str) and _CODE.fullmatch(value) and scrub(value) == value else None


def _seconds(value: Any, now: float) -> float | None:
    """Return a wait, given as a number or a date, in seconds; None for anything implausible."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    except ValueError:
        try:
            seconds = max(0.0, parsedate_to_datetime(str(value)).timestamp() - now)
        except (ValueError, OverflowError, OSError):
            return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LONGEST_WAIT_SECONDS else None
