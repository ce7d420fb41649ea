"""Words the message and the hint of an error response.

Upstream's own text is always quoted as data.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from blaxel_mcp.client.errors.body import Author, ErrorBody
from blaxel_mcp.core.exceptions import Billed, ErrorCode
from blaxel_mcp.core.redaction import quote

_MAX_CONTENT_TYPE_CHARS = 60
_MAYBE_BILLED = "The model may have run and been billed"
_CONTENT_TYPE = re.compile(r"[\w.+-]{1,20}/[\w.+-]{1,30}(?:; ?[\w-]{1,12}=\"?[\w.:-]{1,20}\"?)?")
_REQUEST_ID = re.compile(r"[\w.:=+/@-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A classified error response.

    `author` is who made the error, `runs_model` whether the request was a call of a model, `bad_key` whether a provider
    rejected its own key; the other fields are as in `BlaxelError`.
    """

    status: int
    author: Author
    code: ErrorCode
    billed: Billed
    retryable: bool
    runs_model: bool
    bad_key: bool
    body: ErrorBody


_STATUS_HINTS: Mapping[int, str] = {
    405: "This endpoint does not accept the HTTP method: use another method or path.",
    408: "The request timed out on its way, before the model had it.",
}
_TOO_LARGE = "Send a smaller request body."
_FIX_BODY = "Fix the request body: the provider's message says what is wrong."
_CHECK_REQUEST = "Check the request's method, path and body."
_CHECK_SETTINGS = "Check `api_url`, `api_version` and `workspace` in the settings."

_BLAXEL_HINTS: Mapping[ErrorCode, str] = {
    "authentication_failed": "Check the Blaxel credentials of this server.",
    "permission_denied": "Check the workspace name, and the role of these credentials in the workspace.",
    "unknown_model": "Check the model and workspace names: `list_models` or `blaxel-mcp models` lists the models.",
    "not_found": "Check the path and the workspace name.",
    "model_unavailable": "Check the model's status in the Blaxel console: it must be deployed.",
    "rate_limited": "A token policy of the model or a limit of the workspace applies: see the Blaxel console.",
    "quota_exceeded": "Waiting does not help: raise the workspace's plan in the Blaxel console.",
    "request_too_large": _TOO_LARGE,
    "configuration_error": "Check the settings `workspace` and `api_version`.",
}

_PROVIDER_HINTS: Mapping[ErrorCode, str] = {
    "model_unavailable": "The provider is loading the model (cold start).",
    "request_too_large": _TOO_LARGE,
    "rate_limited": "This is the provider's own limit, which only the provider can raise.",
    "quota_exceeded": "Waiting does not help: the account at the provider has no credit left.",
}

_PROVIDER_KEY = (
    "The Blaxel credentials are fine: the provider refused its own key, "
    "which is in the workspace's integration connection in Blaxel."
)

_PROVIDER_STATUS_HINTS: Mapping[int, str] = {
    404: "Check the path, and `model` in the body: the provider does not know one of them.",
    415: "Check the path: the provider does not accept this content type there.",
    **_STATUS_HINTS,
}


def describe(failure: Failure, *, content_type: str, request_id: str | None) -> str:
    """Return the error's message, one sentence; an HTML page is mentioned but never quoted."""
    author = "Blaxel" if failure.author == "blaxel" else "The model's provider"
    code = f" {failure.body.code}" if failure.body.code else ""
    answered = f"{author} answered {failure.status}{code}"
    if failure.status < HTTPStatus.MULTIPLE_CHOICES:
        answered = f"{author} answered {failure.status} with an error{code}"
    elif failure.status < HTTPStatus.BAD_REQUEST:
        return f"{answered}, a redirect, which is not followed."
    if failure.body.message:
        return f"{answered}: {quotation(failure.body.message)}."
    declared = quote(content_type, _MAX_CONTENT_TYPE_CHARS)
    if not _CONTENT_TYPE.fullmatch(declared):
        declared = quotation(declared) if declared else "no content type"
    content = "an HTML page" if failure.body.form == "page" else "no message"
    return f"{answered} with {content} ({declared}, request id {shown_request_id(request_id) or 'unknown'})."


def shown_request_id(request_id: str | None) -> str:
    """Return a request id as a sentence shows it: quoted unless it is one word; empty for None."""
    if request_id is None or _REQUEST_ID.fullmatch(request_id):
        return request_id or ""
    return quotation(request_id)


def advise(failure: Failure, *, credentials_source: str | None) -> str:
    """Return the error's hint: where to look, whether to retry, and Blaxel's own advice as a quotation."""
    body = failure.body
    wait_seconds = body.retry_after_seconds
    sentences = [_provider_hint(failure) if failure.author == "provider" else _blaxel_hint(failure)]
    if failure.status == HTTPStatus.UNAUTHORIZED and failure.author == "blaxel" and credentials_source:
        sentences.append(f"The credentials came from {credentials_source}.")
        if credentials_source.startswith("bl login"):
            sentences.append("Run `bl login WORKSPACE` for new ones.")
    sentences.append(retry_advice(retryable=failure.retryable, billed=failure.billed, wait_seconds=wait_seconds))
    if body.action:
        sentences.append(f"Blaxel suggests: {quotation(body.action)}.")
    if body.do_not:
        sentences.append(f"Blaxel advises against: {quotation(body.do_not)}.")
    return " ".join(filter(None, sentences)) or _CHECK_REQUEST


def _blaxel_hint(failure: Failure) -> str:
    if failure.status < HTTPStatus.BAD_REQUEST:
        return "Set `run_url`, `api_url` or the model's `url` to the final URL: credentials are sent to no other host."
    if failure.body.form == "text" and "sandbox model" in failure.body.message.lower():
        return "A trial model serves few paths: try /v1/chat/completions."
    if not failure.runs_model and failure.code in {"invalid_arguments", "not_found"}:
        return _CHECK_SETTINGS
    if failure.status in _STATUS_HINTS:
        return _STATUS_HINTS[failure.status]
    if failure.code == "invalid_arguments":
        return "Fix the request: Blaxel's message says what is wrong." if failure.body.message else _CHECK_REQUEST
    return _BLAXEL_HINTS.get(failure.code, "")


def _provider_hint(failure: Failure) -> str:
    # An account without credit may be refused like a key.
    hint = _PROVIDER_HINTS.get(failure.code) or (_PROVIDER_KEY if failure.bad_key else "")
    hint = hint or _PROVIDER_STATUS_HINTS.get(failure.status, "")
    is_rejected = HTTPStatus.BAD_REQUEST <= failure.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if hint or failure.retryable or not is_rejected:
        return hint
    return _FIX_BODY if failure.body.message else _CHECK_REQUEST


def quotation(text: str) -> str:
    """Return upstream's text in quotation marks, which nothing inside it can close."""
    return '"' + text.replace('"', "'").removesuffix(".") + '"'


def retry_advice(*, retryable: bool, billed: Billed, wait_seconds: float | None = None) -> str:
    """Return the sentence on retrying a failed call; empty if there is nothing to gain.

    Every hint takes its advice from here, so that none suggests a plain retry of a call that may have been paid for.
    """
    if not retryable:
        return "" if billed == "no" else f"{_MAYBE_BILLED}: retry only if paying twice is acceptable."
    when = "later" if wait_seconds is None else f"after {in_seconds(math.ceil(wait_seconds * 10) / 10)}"
    if billed == "no":
        return f"Retry {when}."
    return f"{_MAYBE_BILLED}: retry {when}, and only if paying twice is acceptable."


def in_seconds(number: float) -> str:
    """Return a number of seconds with its unit, such as `1 second` or `2.5 seconds`."""
    return f"{number:.10g} second{'' if number == 1 else 's'}"
