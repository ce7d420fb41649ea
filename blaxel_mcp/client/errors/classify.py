"""What an error response means: whose side it is on, whether to try again, what to do next.

The codes are those of Blaxel's documentation (troubleshooting/error-codes). A provider's
refusal of its own key is told apart from Blaxel's refusal of the user's: mending the wrong
one of the two is what an unclear message costs most time with.
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
"""Where Blaxel's Python SDK (core/errors) looks for a request's id, in this order."""

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
"""Codes that are given before the model has seen the request: nothing is paid, and it may be sent again."""

_PROVEN = frozenset({"AUTHENTICATION_UNAVAILABLE", "WORKLOAD_UNAVAILABLE", "ROUTING_UNAVAILABLE"})
"""Those of them of which Blaxel's documentation leaves no doubt."""

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

# Refused for now and before any work; 529 is Anthropic's "overloaded".
_PASSING_STATUSES = frozenset({408, 429, 503, 529})
_LASTING: frozenset[ErrorCode] = frozenset({"quota_exceeded", "authentication_failed", "permission_denied"})


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    redact: Callable[[bytes], bytes],
    now: float,
    control_plane: bool = False,
) -> UpstreamError:
    """Turn a response that is not a success into an error.

    Args:
        status: The HTTP status, anything but 2xx.
        headers: The response's, with lower-case names.
        body: The response's, or as much of it as was read; any bytes will do.
        redact: Removes this server's own secrets from upstream's bytes.
        now: Seconds since the epoch, from which a Retry-After date counts.
        control_plane: Whether the control plane was asked: it hands no provider's answers on.
    """
    clean = {name: redact(value.encode()).decode("utf-8", "replace") for name, value in headers.items()}
    read = _shown(read_error_body(clean, redact(body), now=now), redact)
    # A provider's redirect would have been the gateway's to deal with.
    certain = control_plane or status < HTTPStatus.BAD_REQUEST
    author: Author = "blaxel" if certain else read.author or _likely_author(read)
    failure = _judge(status, author, read)
    return UpstreamError(
        describe(failure, content_type=clean.get("content-type", ""), request_id=request_id(clean)),
        code=failure.code,
        origin=author,
        hint=advise(failure),
        retryable=failure.retryable,
        retry_after_seconds=read.retry_after_seconds,
        billed=failure.billed,
        unprocessed=_is_unprocessed(failure),
        status=status,
        request_id=request_id(clean),
    )


def _shown(read: ErrorBody, redact: Callable[[bytes], bytes]) -> ErrorBody:
    """Take our secrets out once more: an escape or an invisible character may have hidden one in the bytes."""
    message, action, do_not = (
        redact(text.encode()).decode("utf-8", "replace") for text in (read.message, read.action, read.do_not)
    )
    return replace(read, message=message, action=action, do_not=do_not)


def is_platform_401(error: BlaxelError) -> bool:
    """Tell whether Blaxel, and not the provider behind it, refused the credentials."""
    return error.status == HTTPStatus.UNAUTHORIZED and error.origin == "blaxel"


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which Blaxel finds a call, out of headers with lower-case names."""
    found = next((headers[name] for name in REQUEST_ID_HEADERS if headers.get(name)), "")
    return quote(found, _MAX_REQUEST_ID_CHARS) or None


def _likely_author(body: ErrorBody) -> Author:
    """Attribute what nobody signed: providers answer in JSON that says something, web servers do not."""
    return "provider" if body.form == "json" and body.message else "blaxel"


def _judge(status: int, author: Author, body: ErrorBody) -> Failure:
    code = _code(status, author, body)
    return Failure(
        status=status,
        author=author,
        code=code,
        billed=_billed(status, author, body),
        retryable=code not in _LASTING and _passes(status, author, body),
        body=body,
    )


def _code(status: int, author: Author, body: ErrorBody) -> ErrorCode:
    match status, author:
        case 413, _:
            return "request_too_large"
        case 429, "provider":
            # OpenAI's name for an account without credit, which no waiting fills up.
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
    refused = status < HTTPStatus.INTERNAL_SERVER_ERROR
    unreached = body.dispatched is False or body.safe_to_retry
    if unreached or refused or (before_dispatch and not body.dispatched):
        return "no"
    return "maybe"


def _is_unprocessed(failure: Failure) -> bool:
    """Whether upstream's own word is that no provider has worked on the request."""
    body = failure.body
    if body.safe_to_retry or body.dispatched is False or failure.code == "rate_limited":
        return True
    return failure.author == "blaxel" and body.code in _PROVEN and not body.dispatched


def _passes(status: int, author: Author, body: ErrorBody) -> bool:
    if body.retryable is not None:
        return body.retryable
    if author == "blaxel" and body.code in _BEFORE_DISPATCH:
        return True
    unsent = body.dispatched is False and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return status in _PASSING_STATUSES or unsent or body.retry_after_seconds is not None
