"""Parses the headers and the body of an error response, and identifies who made the error.

Errors come from Blaxel's gateway, its control plane, the provider behind it or a web server in
front of it, each in its own shape. Useful advice depends on knowing which. Blaxel's own shapes are
those of its documentation (troubleshooting/error-codes) and its Python SDK (core/errors).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from blaxel_mcp.client.errors.waits import JSONMapping, details_of, requested_wait
from blaxel_mcp.core.redaction import Redact, quote, scrub

MAX_MESSAGE_CHARS = 500
"""Maximum number of characters that are quoted from upstream's message."""

_MAX_ADVICE_CHARS = 300
_MAX_LISTED = 3
"""Maximum number of validation errors in a message."""

_MAX_NESTED = 4
"""Levels of nesting that are searched for a message."""

_MAX_RAW_CHARS = 64 * 1024
"""A longer text inside an error is not parsed as JSON."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_EDGE_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_VERSION_REFUSED = "invalid_api_version"
"""The only control plane error with a code in place of the text."""

Author = Literal["blaxel", "provider"]
Form = Literal["json", "text", "page", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The content of an error response.

    Attributes:
        author: Who made the error; None if the response does not say.
        form: The kind of body: JSON, plain text, an HTML page or nothing usable.
        code: The error's name, such as `WORKLOAD_NOT_FOUND`; never a number.
        message: Upstream's message, safe to quote; empty if there is none.
        retryable: Whether upstream calls the error retryable; None if it does not say.
        safe_to_retry: Whether upstream says that this very request can be retried.
        dispatched: Whether the request reached the model; None if upstream does not say.
        loading: Whether the provider is loading the model, as Hugging Face reports it.
        action, do_not: What Blaxel suggests to do and advises against, safe to quote.
        names: All names of the error, in lower case: its codes, types and reasons.
        parameter: Whether the error is about a field of the request.
        generated: The model's output that the provider rejected, verbatim; empty for none.
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
    names: frozenset[str] = frozenset()
    parameter: bool = False
    generated: str = field(default="", repr=False)


def read_error_body(
    headers: Mapping[str, str], body: bytes, *, now: float, status: int = 0, redact: Redact | None = None
) -> ErrorBody:
    """Parse an error response; any bytes are accepted.

    The headers have lower-case names. `now` is in seconds since the epoch, from which a Retry-After date counts; the
    status decides where a wait is looked for.
    """
    text = body.decode("utf-8", "replace").strip()
    value = _json(text)
    if isinstance(value, Mapping) and value:
        return read_error_object(value, headers, now=now, status=status, redact=redact)
    form, message = _plain(text, value, headers.get("content-type", ""))
    message = quote(message, MAX_MESSAGE_CHARS, redact)
    wait = requested_wait(headers, (), message, status=status, now=now)
    form = form if message or form != "text" else "empty"
    return replace(_from_headers(headers), form=form, message=message, retry_after_seconds=wait)


def _from_headers(headers: Mapping[str, str]) -> ErrorBody:
    is_platform = headers.get("x-blaxel-source", "").strip().lower() == "platform"
    code = _code(headers.get("x-blaxel-error-code"))
    dispatched = _was_dispatched(headers.get("x-blaxel-dispatch-state"))
    return ErrorBody(author="blaxel" if is_platform or code else None, form="empty", code=code, dispatched=dispatched)


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
        return "text", value
    if "html" in content_type.lower() or text.startswith("<"):
        return "page", ""
    if not text or text[0] in "{[" or "json" in content_type.lower():
        return "empty", ""
    return "text", text


def read_error_object(
    outer: JSONMapping, headers: Mapping[str, str], *, now: float, status: int, redact: Redact | None
) -> ErrorBody:
    """Read the error in a JSON object, whose other members may be of any size; the arguments are as above."""
    error = outer.get("error")
    inner: JSONMapping = error if isinstance(error, Mapping) else {}
    message = quote(_message(outer, inner), MAX_MESSAGE_CHARS, redact)
    from_headers = _from_headers(headers)
    # Blaxel's SDK reads the outer `code` first and the header last.
    version = outer["error"] if outer.get("error") == _VERSION_REFUSED else None
    named = (version, outer.get("code"), inner.get("code"), inner.get("status"), inner.get("type"), outer.get("type"))
    codes = [code for code in map(_code, named) if code and code != "error"]
    safe_to_retry = _field(outer, inner, "safe_to_retry_request") is True
    retryable = safe_to_retry or _field(outer, inner, "retryable")
    dispatched = _was_dispatched(_field(outer, inner, "dispatch_state"))
    # Of google.rpc.ErrorInfo.
    reasons = (detail.get("reason") for detail in details_of(inner))
    parameter = _field(outer, inner, "param")
    generated = _field(outer, inner, "failed_generation")
    if not message and isinstance(parameter, str):
        message = quote(f"param: {parameter}", MAX_MESSAGE_CHARS, redact)
    # OpenAI's errors have both, Mistral's only the object: both are a provider's, with or without a message.
    is_provider = bool(message) or {"type", "param"} <= inner.keys() or outer.get("object") == "error"
    return ErrorBody(
        author=from_headers.author or _author(outer, inner) or ("provider" if is_provider else None),
        form="json",
        code=codes[0] if codes else from_headers.code,
        message=message,
        retryable=retryable if isinstance(retryable, bool) else None,
        safe_to_retry=safe_to_retry,
        dispatched=from_headers.dispatched if dispatched is None else dispatched,
        retry_after_seconds=requested_wait(headers, (inner, outer), message, status=status, now=now),
        loading=_is_number(_field(outer, inner, "estimated_time")) or isinstance(outer.get("estimated_time"), float),
        action=_advice(inner, "action", redact),
        do_not=_advice(inner, "do_not", redact),
        names=frozenset(name.lower() for name in (*codes, *filter(None, map(_code, reasons)))),
        parameter=isinstance(parameter, str),
        generated=generated if isinstance(generated, str) else json.dumps(generated) if generated else "",
    )


def _author(outer: JSONMapping, inner: JSONMapping) -> Author | None:
    origin = inner.get("origin", outer.get("origin"))
    if isinstance(origin, str):
        return "blaxel" if origin == "platform" else "provider"
    # Google has a numeric `code` and a `status` in capitals, the other way around.
    is_edge = _is_edge_code(inner.get("code")) and _is_number(inner.get("status")) and "type" not in inner
    if isinstance(outer.get("error"), str):
        # Hugging Face's {"error": "text"} has the same shape without the code.
        is_control_plane = _is_number(outer.get("code")) or outer["error"] == _VERSION_REFUSED
    else:
        is_control_plane = _is_edge_code(outer.get("code")) and _is_number(outer.get("status_code"))
    return "blaxel" if is_edge or is_control_plane else None


def _is_edge_code(value: Any) -> bool:
    return isinstance(value, str) and _EDGE_CODE.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdecimal())


def _message(outer: JSONMapping, inner: JSONMapping) -> str:
    places = (
        (inner, "message"),
        (outer, "message"),
        (outer, "error_description"),
        (outer, "error"),
        (outer, "errors"),
        (outer, "detail"),
        (inner, "detail"),
        # Of gateways and clouds in front of a provider.
        *((outer, name) for name in ("msg", "error_msg", "err_msg", "errorMessage", "title")),
    )
    message = next((text for level, name in places if (text := _words(level.get(name)))), "")
    metadata = inner.get("metadata")
    if not isinstance(metadata, Mapping):
        return message
    # OpenRouter's own message is "Provider returned error"; the provider's is beside it, often as JSON.
    raw, provider = metadata.get("raw"), metadata.get("provider_name")
    value = _json(raw) if isinstance(raw, str) and len(raw) <= _MAX_RAW_CHARS else raw
    error = value.get("error") if isinstance(value, Mapping) else None
    words = _words(error) or _words(value) or _words(raw)
    source = f" ({provider})" if isinstance(provider, str) and words else ""
    return f"{message}{source}: {words}" if words else message


def _words(value: Any, levels: int = _MAX_NESTED) -> str:
    """Return the text of a message: a string, or validation errors, each with the field that it is about.

    FastAPI lists them, and so do Mistral and many custom models; Mistral's list is inside its message.
    """
    if isinstance(value, str):
        return value if value.strip() else ""
    if not levels:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(item, levels - 1) for item in value[:_MAX_LISTED])))
    if not isinstance(value, Mapping):
        return ""
    texts = (_words(value.get(name), levels - 1) for name in ("msg", "message", "error", "detail", "errors"))
    text = next(filter(None, texts), "")
    location = value.get("loc", value.get("field"))
    steps = location if isinstance(location, list) else [location]
    named = ".".join(str(step) for step in steps if isinstance(step, str | int))
    return f"{named}: {text}" if text and named not in ("", "body") else text


def _was_dispatched(state: Any) -> bool | None:
    return state != "not_dispatched" if isinstance(state, str) else None


def _field(outer: JSONMapping, inner: JSONMapping, name: str) -> Any:
    return inner.get(name, outer.get(name))


def _advice(error: JSONMapping, name: str, redact: Redact | None) -> str:
    text = error.get(name)
    return quote(text, _MAX_ADVICE_CHARS, redact) if isinstance(text, str) else ""


def _code(value: Any) -> str | None:
    # The last condition rejects a key in place of a code.
    return value if isinstance(value, str) and _CODE.fullmatch(value) and scrub(value) == value else None
