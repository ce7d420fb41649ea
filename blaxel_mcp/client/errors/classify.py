"""Classifies an error response: who made the error, its code, whether it was billed and can be retried.

The codes are those of Blaxel's documentation (troubleshooting/error-codes). A provider that rejects
its own key is distinguished from Blaxel rejecting the user's: otherwise people replace the wrong one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from blaxel_mcp.client.errors.body import Author, ErrorBody, read_error_body
from blaxel_mcp.client.errors.wording import Failure, advise, describe
from blaxel_mcp.core.exceptions import Billed, BlaxelError, ErrorCode, UpstreamError
from blaxel_mcp.core.redaction import quote

REQUEST_ID_HEADERS = ("x-cf-request-id", "x-amz-cf-id", "cf-ray")
"""The headers in which Blaxel's Python SDK (core/errors) looks for a request's id, in its order."""

_MAX_REQUEST_ID_CHARS = 128

_EDGE_CODES: Mapping[str, ErrorCode] = MappingProxyType(
    {
        "BAD_REQUEST": "invalid_arguments",
        "WORKSPACE_REQUIRED": "configuration_error",
        "invalid_api_version": "configuration_error",
        "AUTHENTICATION_REQUIRED": "authentication_failed",
        "AUTHENTICATION_FAILED": "authentication_failed",
        "TOKEN_REVOKED": "authentication_failed",
        "AUTHENTICATION_UNAVAILABLE": "upstream_error",
        "USAGE_LIMIT_EXCEEDED": "quota_exceeded",
        "QUOTA_EXCEEDED": "quota_exceeded",
        "FORBIDDEN": "permission_denied",
        "UNAUTHORIZED": "permission_denied",
        "UNAUTHORIZED_WORKSPACE": "permission_denied",
        "POLICY_VIOLATION": "permission_denied",
        "ROUTE_NOT_FOUND": "not_found",
        "WORKSPACE_NOT_FOUND": "not_found",
        "WORKLOAD_NOT_FOUND": "unknown_model",
        "WORKLOAD_UNAVAILABLE": "model_unavailable",
        "ROUTING_UNAVAILABLE": "model_unavailable",
        "WORKLOAD_FAILED": "model_unavailable",
        "REQUEST_ENTITY_TOO_LARGE": "request_too_large",
        "RATE_LIMIT_EXCEEDED": "rate_limited",
        "WORKSPACE_RATE_LIMIT_EXCEEDED": "rate_limited",
        "UPSTREAM_CONNECT_FAILED": "upstream_error",
        "UPSTREAM_CONNECT_TIMEOUT": "upstream_error",
        "UPSTREAM_ERROR": "upstream_error",
        "UPSTREAM_TIMEOUT": "upstream_error",
        "GATEWAY_INTERNAL_ERROR": "upstream_error",
    }
)

_BEFORE_DISPATCH = frozenset(
    {
        "AUTHENTICATION_UNAVAILABLE",
        "WORKLOAD_UNAVAILABLE",
        "ROUTING_UNAVAILABLE",
        "UPSTREAM_CONNECT_FAILED",
        "UPSTREAM_CONNECT_TIMEOUT",
    }
)
"""Codes of a request that never reached the model: nothing is billed, and it can be retried."""

_NEVER_DISPATCHED = frozenset({"AUTHENTICATION_UNAVAILABLE", "WORKLOAD_UNAVAILABLE", "ROUTING_UNAVAILABLE"})
"""The subset that Blaxel documents as never dispatched."""

_BLAXEL_STATUSES: Mapping[int, ErrorCode] = MappingProxyType(
    {
        400: "invalid_arguments",
        402: "quota_exceeded",
        403: "permission_denied",
        404: "not_found",
        405: "invalid_arguments",
        415: "invalid_arguments",
        422: "invalid_arguments",
        429: "rate_limited",
    }
)

_RETRYABLE_STATUSES = frozenset({408, 429, 503, 529})
"""Rejected for the moment and before any work; 529 is Anthropic's "overloaded"."""

_NEVER_RETRYABLE: frozenset[ErrorCode] = frozenset({"quota_exceeded", "authentication_failed", "permission_denied"})


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    redact: Callable[[bytes], bytes],
    now: float,
    control_plane: bool = False,
    credentials_source: str | None = None,
) -> UpstreamError:
    """Return the complete error for a response that is not a success.

    Args:
        status: The HTTP status, anything but 2xx.
        headers: The response's headers, with lower-case names.
        body: The response's body, any bytes, possibly truncated.
        redact: Removes this server's own secrets from upstream's bytes.
        now: Seconds since the epoch, from which a Retry-After date counts.
        control_plane: Whether the control plane answered: it passes on no provider's answers.
        credentials_source: The label of the request's credentials, named when Blaxel rejects them.
    """
    clean = {name: _redacted(value, redact) for name, value in headers.items()}
    read = read_error_body(clean, redact(body), now=now)
    # Once more: an escape or an invisible character may have hidden a secret in the bytes.
    read = replace(
        read,
        message=_redacted(read.message, redact),
        action=_redacted(read.action, redact),
        do_not=_redacted(read.do_not, redact),
    )
    # Without a signature: providers answer in JSON with a message, web servers do not.
    author: Author = read.author or ("provider" if read.form == "json" and read.message else "blaxel")
    # The gateway would have followed a provider's redirect itself.
    if control_plane or status < HTTPStatus.BAD_REQUEST:
        author = "blaxel"
    code = _code(status, author, read)
    failure = Failure(
        status=status,
        author=author,
        code=code,
        billed=_billed(status, author, read),
        retryable=code not in _NEVER_RETRYABLE and _is_retryable(status, author, read),
        body=read,
    )
    return UpstreamError(
        describe(failure, content_type=clean.get("content-type", ""), request_id=request_id(clean)),
        code=code,
        origin=author,
        hint=advise(failure, credentials_source=credentials_source),
        retryable=failure.retryable,
        retry_after_seconds=read.retry_after_seconds,
        billed=failure.billed,
        unprocessed=_is_unprocessed(failure),
        status=status,
        request_id=request_id(clean),
    )


def _redacted(text: str, redact: Callable[[bytes], bytes]) -> str:
    return redact(text.encode()).decode("utf-8", "replace")


def is_platform_401(error: BlaxelError) -> bool:
    """Return whether Blaxel itself, not the provider behind it, rejected the credentials."""
    return error.status == HTTPStatus.UNAUTHORIZED and error.origin == "blaxel"


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which Blaxel finds a call; header names are in lower case."""
    value = next((headers[name] for name in REQUEST_ID_HEADERS if headers.get(name)), "")
    return quote(value, _MAX_REQUEST_ID_CHARS) or None


def _code(status: int, author: Author, body: ErrorBody) -> ErrorCode:
    match status, author:
        case 413, _:
            return "request_too_large"
        case 429, "provider":
            # OpenAI's name for an account without credit, which waiting does not refill.
            return "quota_exceeded" if body.code == "insufficient_quota" else "rate_limited"
        case 503, "provider" if body.loading:
            return "model_unavailable"
        case _, "provider":
            return "provider_error"
        case 401, _:
            # An unknown caller gets a 401 for a model that does not exist, whatever code it carries.
            return "authentication_failed"
    return _EDGE_CODES.get(body.code or "") or _BLAXEL_STATUSES.get(status, "upstream_error")


def _billed(status: int, author: Author, body: ErrorBody) -> Billed:
    before_dispatch = author == "blaxel" and body.code in _BEFORE_DISPATCH
    rejected = status < HTTPStatus.INTERNAL_SERVER_ERROR
    unreached = body.dispatched is False or body.safe_to_retry
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


def _is_unprocessed(failure: Failure) -> bool:
    """Return whether upstream itself says that no provider has worked on the request."""
    body = failure.body
    if body.safe_to_retry or body.dispatched is False or failure.code == "rate_limited":
        return True
    return failure.author == "blaxel" and body.code in _NEVER_DISPATCHED and not body.dispatched
