"""Classifies an error response: its author, its code, whether the call was billed and can be retried.

The codes are those of Blaxel's documentation (troubleshooting/error-codes). A provider that rejects its own key is
distinguished from Blaxel rejecting the user's key: otherwise people replace the wrong one.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from blaxel_mcp.client.errors.body import Author, ErrorBody, read_error_body, read_error_object
from blaxel_mcp.client.errors.network import proxy_answered
from blaxel_mcp.client.errors.wording import Failure, advise, describe
from blaxel_mcp.core.exceptions import Billed, BlaxelError, ErrorCode, UpstreamError
from blaxel_mcp.core.redaction import quote, visible

REQUEST_ID_HEADERS = ("x-cf-request-id", "x-amz-cf-id", "cf-ray")
"""The headers in which Blaxel's Python SDK (core/errors) looks for a request's id, in its order."""

_MAX_REQUEST_ID_CHARS = 128

_STATUS_FIELDS = ("code", "status", "status_code", "statusCode")
_LIMITS = ("rate_limit_error", "rate_limit_exceeded", "rate_limit_reached_error", "too_many_requests")
_OVERLOADS = {"overloaded_error": 529, "server_overloaded": 503, "unavailable": 503}
_NAMED_STATUSES: Mapping[str, int] = dict.fromkeys((*_LIMITS, "resource_exhausted"), 429) | _OVERLOADS
"""The status that an error with this name has where the response has one."""

_FAILED = re.compile(r"[45]\d\d")

_EDGE_CODES_OF: Mapping[ErrorCode, tuple[str, ...]] = {
    "invalid_arguments": ("BAD_REQUEST",),
    "configuration_error": ("WORKSPACE_REQUIRED", "invalid_api_version"),
    "authentication_failed": ("AUTHENTICATION_REQUIRED", "AUTHENTICATION_FAILED", "TOKEN_REVOKED"),
    "quota_exceeded": ("USAGE_LIMIT_EXCEEDED", "QUOTA_EXCEEDED"),
    "permission_denied": ("FORBIDDEN", "UNAUTHORIZED", "UNAUTHORIZED_WORKSPACE", "POLICY_VIOLATION"),
    "not_found": ("ROUTE_NOT_FOUND", "WORKSPACE_NOT_FOUND"),
    "unknown_model": ("WORKLOAD_NOT_FOUND",),
    "model_unavailable": ("WORKLOAD_UNAVAILABLE", "ROUTING_UNAVAILABLE", "WORKLOAD_FAILED"),
    "request_too_large": ("REQUEST_ENTITY_TOO_LARGE",),
    "rate_limited": ("RATE_LIMIT_EXCEEDED", "WORKSPACE_RATE_LIMIT_EXCEEDED"),
    "upstream_error": (
        *("AUTHENTICATION_UNAVAILABLE", "UPSTREAM_CONNECT_FAILED", "UPSTREAM_CONNECT_TIMEOUT", "UPSTREAM_ERROR"),
        *("UPSTREAM_TIMEOUT", "GATEWAY_INTERNAL_ERROR"),
    ),
}
_EDGE_CODES = {edge_code: code for code, edge_codes in _EDGE_CODES_OF.items() for edge_code in edge_codes}

_NEVER_DISPATCHED = frozenset({"AUTHENTICATION_UNAVAILABLE", "WORKLOAD_UNAVAILABLE", "ROUTING_UNAVAILABLE"})
"""Codes that Blaxel documents as never dispatched."""

_BEFORE_DISPATCH = _NEVER_DISPATCHED | {"UPSTREAM_CONNECT_FAILED", "UPSTREAM_CONNECT_TIMEOUT"}
"""Codes of a request that never reached the model: nothing is billed, and it can be retried."""

_BLAXEL_STATUSES: Mapping[int, ErrorCode] = {
    400: "invalid_arguments",
    405: "invalid_arguments",
    415: "invalid_arguments",
    422: "invalid_arguments",
    402: "quota_exceeded",
    403: "permission_denied",
    404: "not_found",
    429: "rate_limited",
}

_RETRYABLE_STATUSES = frozenset({408, 429, 503, 529})
"""Rejected for the moment and before any work; 529 is Anthropic's "overloaded"."""

_NEVER_RETRYABLE: frozenset[ErrorCode] = frozenset({"quota_exceeded", "authentication_failed", "permission_denied"})


_KEY_NAMES = {
    *("invalid_api_key", "api_key_invalid", "api_key_expired", "expired_api_key", "incorrect_api_key"),
    *("access_token_expired", "authentication_error", "invalid_authentication", "invalid_authentication_error"),
    "unauthenticated",
}
"""Names of errors about a key that the provider rejects; some providers send them with status 400."""

_CREDIT_NAMES = {
    *("insufficient_quota", "insufficient_balance", "insufficient_credits", "insufficient_funds"),
    *("billing_hard_limit_reached", "billing_not_active", "credit_balance_too_low", "exceeded_current_quota_error"),
    *("payment_required", "arrearage"),
}
"""Names of errors about an account without credit, for which waiting does not help."""

_KEY = r"(?:api[ -](?:key|token)|x-api-key|access token|auth(?:entication|orization)? token|bearer token)"
_BAD = r"(?:not valid|not found|invalid|incorrect|wrong|expired|revoked|disabled|malformed|missing)"
_BAD_KEY = re.compile(
    # "Invalid API key name" is about a field of the request.
    rf"\b{_BAD}\s(?:or\s\w+\s)?{_KEY}\b(?!\s(?:name|param|field|format))"
    rf"|\b{_KEY}(?:\s(?:you|provided|specified|supplied|given|is|was|has|been|seems|appears|to|be)){{0,5}}\s{_BAD}\b"
    rf"|\b{_BAD}\s(?:or\s\w+\s)?(?:(?:auth\w*\s)?credentials|authorization header|username or password|user token)\b"
    rf"|\b(?:pass|provide|supply|use) a valid\s{_KEY}\b"
    r"|\bauthorization header\b.{0,40}\b(?:invalid|missing|malformed)\b",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(
    r"""
      \b(?:insufficient|not\senough|no\sremaining|out\sof)\s(?:\w+\s){0,2}(?:balance|credits?|funds|quota)\b
    | \bbalance\b(?:\s(?:is|was|has|been)){0,3}\s(?:too\slow|insufficient|not\senough|exhausted|negative)\b
    | \b(?:requires\smore|(?:does|do)(?:n't|\snot)\shave\s(?:any|enough))\scredits?\b
    | \bcredits?\s(?:is|are|has\sbeen|have\sbeen)\s(?:depleted|exhausted|used\sup)\b
    | \breached\syour\s(?:\w+\s){0,2}usage\slimits?\b
    | \b(?:used|exceeded)\s(?:all\sof\s|all\s)?your\s(?:\w+\s){0,2}credits?\b
    | \b(?:billing\shard\slimit|spending\slimit|in\sarrears|check\syour\sbilling|account\sis\sin\sgood\sstanding)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_QUOTED = re.compile(r"(?<!\w)(['\"`]).*?\1")
"""Parts of a provider's message that quote the request, and so may contain any words."""

_PROXY_HEADERS = ("proxy-authenticate", "x-squid-error")
_PROXY_PAGE = re.compile(
    rb"\b(?:squid|zscaler|blue ?coat|forcepoint|netskope|forti(?:gate|guard|proxy)|sophos|mcafee web gateway|mitmproxy"
    rb"|tinyproxy|privoxy|proxy (?:server|authentication|error)|web proxy)\b",
    re.IGNORECASE,
)
_MAX_PROXY_NAME = 60
_MAX_PAGE_BYTES = 8192


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    redact: Callable[[bytes], bytes],
    now: float,
    runs_model: bool = True,
    credentials_source: str | None = None,
) -> UpstreamError:
    """Return the complete error for a response that is not a success.

    The headers have lower-case names, the body may be truncated, and `now` is in seconds since the epoch, from which a
    Retry-After date counts. The control plane passes on no provider's answers. The source of the credentials is named
    when Blaxel rejects them.
    """
    clean = {name: redact(visible(value).encode()).decode("utf-8", "replace") for name, value in headers.items()}
    read = read_error_body(clean, redact(body), now=now, status=status, redact=redact)
    if read.author is None and _is_of_proxy(status, clean, body):
        name = quote(clean.get("server") or clean.get("via", ""), _MAX_PROXY_NAME, redact)
        return proxy_answered(status, name, is_page=read.form == "page")
    # Without a signature: providers answer in JSON with a message, web servers do not.
    author: Author = read.author or "blaxel"
    # The gateway would have followed a provider's redirect itself.
    if not runs_model or status < HTTPStatus.BAD_REQUEST:
        author = "blaxel"
    return _error(
        status,
        author,
        read,
        content_type=clean.get("content-type", ""),
        request_id=request_id(clean),
        credentials_source=credentials_source,
        runs_model=runs_model,
    )


def error_in_success(
    value: Mapping[str, Any], status: int, request_id: str | None, *, redact: Callable[[bytes], bytes]
) -> UpstreamError:
    """Return the error that a provider reported in a response with a 2xx status, by the status that it names itself."""
    levels = [level for level in (value.get("error"), value) if isinstance(level, Mapping)]
    named = (level.get(name) for level in levels for name in _STATUS_FIELDS)
    failed = (_FAILED.fullmatch(str(status)) for status in named if isinstance(status, int | str))
    status = next((int(match[0]) for match in failed if match), status)
    read = read_error_object(value, {}, now=0.0, status=status, redact=redact)
    named_statuses = [status for name, status in _NAMED_STATUSES.items() if name in read.names]
    if status < HTTPStatus.BAD_REQUEST and named_statuses:
        status = named_statuses[0]
        read = read_error_object(value, {}, now=0.0, status=status, redact=redact)
    return _error(status, "provider", read, content_type="application/json", request_id=request_id)


def _error(
    status: int,
    author: Author,
    read: ErrorBody,
    *,
    content_type: str,
    request_id: str | None,
    credentials_source: str | None = None,
    runs_model: bool = True,
) -> UpstreamError:
    named = status == HTTPStatus.UNAUTHORIZED or not read.names.isdisjoint(_KEY_NAMES)
    bad_key = named or (status < HTTPStatus.INTERNAL_SERVER_ERROR and _says(_BAD_KEY, read))
    code = _code(status, author, read, bad_key=bad_key)
    # A request that runs no model can always be repeated.
    is_retryable = _is_retryable(status, author, read) or not (runs_model or status < HTTPStatus.INTERNAL_SERVER_ERROR)
    failure = Failure(
        status=status,
        author=author,
        code=code,
        billed=_billed(status, author, read) if runs_model else "no",
        retryable=code not in _NEVER_RETRYABLE and is_retryable,
        runs_model=runs_model,
        # A valid key without permission for the model is replaced in the same place.
        bad_key=author == "provider" and (bad_key or status == HTTPStatus.FORBIDDEN),
        body=read,
    )
    error = UpstreamError(
        describe(failure, content_type=content_type, request_id=request_id),
        code=code,
        origin=author,
        hint=advise(failure, credentials_source=credentials_source),
        retryable=failure.retryable,
        retry_after_seconds=read.retry_after_seconds,
        billed=failure.billed,
        unprocessed=_is_unprocessed(failure),
        status=status,
        request_id=request_id,
    )
    error.partial = read.generated
    return error


def _is_of_proxy(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a proxy on the way to Blaxel made the response, judged by status, headers and page."""
    return (
        status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        or any(name in headers for name in _PROXY_HEADERS)
        or "error=" in headers.get("proxy-status", "")
        or (b"<" in body[:_MAX_PAGE_BYTES] and _PROXY_PAGE.search(body[:_MAX_PAGE_BYTES]) is not None)
    )


def _says(pattern: re.Pattern[str], body: ErrorBody) -> bool:
    """Return whether a message contains a pattern outside its quotations of the request."""
    return not body.parameter and pattern.search(_QUOTED.sub("", body.message)) is not None


def is_platform_401(error: BlaxelError) -> bool:
    """Return whether Blaxel itself, not the provider behind it, rejected the credentials."""
    return error.status == HTTPStatus.UNAUTHORIZED and error.origin == "blaxel"


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which Blaxel finds a call; header names are in lower case."""
    value = next((headers[name] for name in REQUEST_ID_HEADERS if headers.get(name)), "")
    return (quote(value, _MAX_REQUEST_ID_CHARS) or None) if value else None


def _code(status: int, author: Author, body: ErrorBody, *, bad_key: bool) -> ErrorCode:
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "request_too_large"
    if author == "blaxel":
        # An unknown caller gets a 401 for a model that does not exist, with any code.
        code = "authentication_failed" if status == HTTPStatus.UNAUTHORIZED else _EDGE_CODES.get(body.code or "")
        return code or _BLAXEL_STATUSES.get(status, "upstream_error")
    unpaid = status == HTTPStatus.PAYMENT_REQUIRED or not body.names.isdisjoint(_CREDIT_NAMES)
    if unpaid or (status < HTTPStatus.INTERNAL_SERVER_ERROR and _says(_NO_CREDIT, body)):
        return "quota_exceeded"
    if bad_key:
        return "authentication_failed"
    if _is_loading(status, author, body):
        return "model_unavailable"
    return "rate_limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "provider_error"


def _billed(status: int, author: Author, body: ErrorBody) -> Billed:
    before_dispatch = author == "blaxel" and body.code in _BEFORE_DISPATCH
    # Groq rejects the model's own output with a 400.
    rejected = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR and not body.generated
    unreached = body.dispatched is False or body.safe_to_retry or _is_loading(status, author, body)
    if unreached or rejected or (before_dispatch and not body.dispatched):
        return "no"
    return "maybe"


def _is_retryable(status: int, author: Author, body: ErrorBody) -> bool:
    if body.retryable is not None:
        return body.retryable
    if author == "blaxel" and body.code in _BEFORE_DISPATCH:
        return True
    unsent = body.dispatched is False and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return status in _RETRYABLE_STATUSES or unsent or body.retry_after_seconds is not None


def _is_loading(status: int, author: Author, body: ErrorBody) -> bool:
    """Return whether the provider is still loading the model, which then cannot have run."""
    return status == HTTPStatus.SERVICE_UNAVAILABLE and author == "provider" and body.loading


def _is_unprocessed(failure: Failure) -> bool:
    """Return whether upstream itself says that no provider has worked on the request."""
    body = failure.body
    if body.safe_to_retry or body.dispatched is False or failure.code == "rate_limited":
        return True
    return failure.author == "blaxel" and body.code in _NEVER_DISPATCHED and not body.dispatched
