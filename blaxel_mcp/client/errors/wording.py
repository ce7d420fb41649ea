"""How an error response is told: what happened in one sentence, and what to do next in another.

Upstream's own words are quoted as data and never spoken as ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from blaxel_mcp.client.errors.body import Author, ErrorBody
from blaxel_mcp.core.exceptions import Billed, ErrorCode
from blaxel_mcp.core.redaction import quote

_MAX_CONTENT_TYPE_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error response, judged: `author` is whose side it is on, the rest is as in `BlaxelError`."""

    status: int
    author: Author
    code: ErrorCode
    billed: Billed
    retryable: bool
    body: ErrorBody


_BLAXEL_HINTS: Mapping[ErrorCode, str] = MappingProxyType(
    {
        "authentication_failed": "Check the Blaxel credentials that this server was given, "
        "or run `bl login WORKSPACE` again.",
        "permission_denied": "The credentials are known but may not do this: check the workspace's name and the "
        "role that they have in it.",
        "unknown_model": "Check the model's name, and that it lives in the workspace that was called.",
        "not_found": "Check the path and the workspace's name.",
        "model_unavailable": "Look at the model's status in Blaxel's console; when it is deployed, call again.",
        "rate_limited": "A token policy of the model or a limit of the workspace may be behind it; both are in "
        "Blaxel's console.",
        "quota_exceeded": "Waiting does not help: the workspace's plan has to be raised in Blaxel's console.",
        "request_too_large": "Send a smaller body.",
        "invalid_arguments": "Mend the request as the message says.",
        "configuration_error": "The settings `workspace` and `api_version` are what Blaxel goes by here.",
    }
)

_PROVIDER_HINTS: Mapping[ErrorCode, str] = MappingProxyType(
    {
        "model_unavailable": "The provider is loading the model, a cold start: it answers once that is done.",
        "request_too_large": "Send a smaller body.",
        "rate_limited": "It is the provider's own limit, which can be raised at the provider.",
        "quota_exceeded": "The account at the provider has no credit left; waiting does not help.",
    }
)

_PROVIDER_KEY = (
    "The Blaxel credentials are fine: the provider refused its own key, which is kept in the workspace's "
    "integration connection in Blaxel."
)

_PROVIDER_STATUS_HINTS: Mapping[int, str] = MappingProxyType(
    {
        401: _PROVIDER_KEY,
        403: _PROVIDER_KEY,
        404: "Check the path, and `model` in the body: they are for the provider to know.",
    }
)

_UNCERTAIN = "The model may have run and been paid for, so do not send the call again without need."
_UNSENT = "The model was not reached; the call can be sent again."


def describe(failure: Failure, *, content_type: str, request_id: str | None) -> str:
    """Say in one sentence who answered what; an HTML page is named and never shown."""
    who = "Blaxel" if failure.author == "blaxel" else "The model's provider"
    named = f" {failure.body.code}" if failure.body.code else ""
    answered = f"{who} answered {failure.status}{named}"
    if failure.status < HTTPStatus.BAD_REQUEST:
        return f"{answered}, a redirect, which is not followed."
    if failure.body.message:
        return f"{answered}: {_quotation(failure.body.message)}."
    declared = quote(content_type, _MAX_CONTENT_TYPE_CHARS) or "no content type"
    what = "an HTML page" if failure.body.form == "page" else "no message"
    return f"{answered} with {what} ({declared}, request id {request_id or 'unknown'})."


def advise(failure: Failure) -> str:
    """Say what to do next, with what Blaxel itself suggests as a quotation."""
    parts = [_wait(failure), _hint(failure)]
    if failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if failure.billed == "maybe":
            parts.append(_UNCERTAIN)
        elif failure.retryable:
            parts.append(_UNSENT)
    if failure.body.action:
        parts.append(f"Blaxel suggests: {_quotation(failure.body.action)}.")
    if failure.body.do_not:
        parts.append(f"Blaxel advises against: {_quotation(failure.body.do_not)}.")
    return " ".join(part for part in parts if part)


def _wait(failure: Failure) -> str:
    seconds = failure.body.retry_after_seconds
    if failure.retryable and seconds is not None:
        return f"Wait {seconds:g} seconds before the next call."
    return "Wait before the next call." if failure.code == "rate_limited" else ""


def _quotation(text: str) -> str:
    # A quotation mark inside would let upstream's text end the quotation and go on in our name.
    return '"' + text.replace('"', "'").removesuffix(".") + '"'


def _hint(failure: Failure) -> str:
    if failure.status < HTTPStatus.BAD_REQUEST:
        return "Check `run_url`, `api_url` and the model's `url`: credentials are not carried to another address."
    if failure.author == "provider":
        return _provider_hint(failure)
    if failure.body.form == "text" and "sandbox model" in failure.body.message.lower():
        return "A trial model serves few paths; /v1/chat/completions is the one to try."
    return _BLAXEL_HINTS.get(failure.code, "")


def _provider_hint(failure: Failure) -> str:
    known = _PROVIDER_HINTS.get(failure.code) or _PROVIDER_STATUS_HINTS.get(failure.status)
    if known or failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return known or ""
    return "Mend the body as the provider's message says."
