"""The refusals of the platform, and of providers in OpenAI's style, each in its own envelope."""

from datetime import UTC, datetime
from typing import Any, Literal

from starlette.responses import JSONResponse, Response

EdgeCode = Literal[
    "BAD_REQUEST",
    "WORKSPACE_REQUIRED",
    "AUTHENTICATION_REQUIRED",
    "AUTHENTICATION_FAILED",
    "TOKEN_REVOKED",
    "AUTHENTICATION_UNAVAILABLE",
    "USAGE_LIMIT_EXCEEDED",
    "FORBIDDEN",
    "UNAUTHORIZED_WORKSPACE",
    "ROUTE_NOT_FOUND",
    "NOT_FOUND",
    "WORKLOAD_NOT_FOUND",
    "WORKLOAD_UNAVAILABLE",
    "REQUEST_ENTITY_TOO_LARGE",
    "RATE_LIMIT_EXCEEDED",
    "GATEWAY_INTERNAL_ERROR",
    "ROUTING_UNAVAILABLE",
]
"""The codes used here, from the list of errors in Blaxel's documentation (Troubleshooting, Error codes)."""

_STATUS: dict[EdgeCode, int] = {
    "BAD_REQUEST": 400,
    "WORKSPACE_REQUIRED": 400,
    "AUTHENTICATION_REQUIRED": 401,
    "AUTHENTICATION_FAILED": 401,
    "TOKEN_REVOKED": 401,
    "USAGE_LIMIT_EXCEEDED": 402,
    "FORBIDDEN": 403,
    "UNAUTHORIZED_WORKSPACE": 403,
    "ROUTE_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "WORKLOAD_NOT_FOUND": 404,
    "WORKLOAD_UNAVAILABLE": 404,
    "REQUEST_ENTITY_TOO_LARGE": 413,
    "RATE_LIMIT_EXCEEDED": 429,
    "GATEWAY_INTERNAL_ERROR": 500,
    "ROUTING_UNAVAILABLE": 503,
    "AUTHENTICATION_UNAVAILABLE": 503,
}

_RETRYABLE: frozenset[EdgeCode] = frozenset(
    {
        "AUTHENTICATION_UNAVAILABLE",
        "GATEWAY_INTERNAL_ERROR",
        "RATE_LIMIT_EXCEEDED",
        "ROUTING_UNAVAILABLE",
        "WORKLOAD_UNAVAILABLE",
    }
)

_ACTIONS: dict[EdgeCode, str] = {
    "AUTHENTICATION_REQUIRED": "Send an API key or an access token as a bearer token.",
    "AUTHENTICATION_FAILED": "Check the API key, or obtain a new access token.",
    "TOKEN_REVOKED": "Obtain a new access token.",
    "UNAUTHORIZED_WORKSPACE": "Use a workspace that these credentials belong to.",
    "WORKLOAD_NOT_FOUND": "Check the name against the workspace's list of models.",
    "WORKLOAD_UNAVAILABLE": "Try again in a moment.",
    "ROUTING_UNAVAILABLE": "Try again in a moment.",
}

_PLATFORM = {"X-Blaxel-Source": "platform"}


class RefusalError(Exception):
    """A refused request; the application answers it with `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"refused with status {response.status_code}")
        self.response = response


def edge_error(
    code: EdgeCode,
    message: str,
    *,
    dispatched: bool = False,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> RefusalError:
    """Refuse as the inference gateway does (Blaxel docs, Error codes: the error object).

    Args:
        code: The error code, which determines the status.
        message: One sentence.
        dispatched: Whether the request may have reached the provider.
        headers: Response headers in addition to those of every platform error.
        extra: Fields of the error object in addition to the documented ones.
    """
    error: dict[str, Any] = {
        "code": code,
        "message": message,
        "status": _STATUS[code],
        "origin": "platform",
        "retryable": code in _RETRYABLE,
        "dispatch_state": "dispatched_unknown" if dispatched else "not_dispatched",
        "safe_to_retry_request": code in _RETRYABLE and not dispatched,
        "docs_url": "https://docs.blaxel.ai/troubleshooting/error-codes",
        "timestamp": datetime.now(UTC).isoformat(),
    }
    if code in _ACTIONS:
        error["action"] = _ACTIONS[code]
    body = {"error": error | (extra or {})}
    return RefusalError(JSONResponse(body, _STATUS[code], headers=_PLATFORM | (headers or {})))


def control_plane_error(code: EdgeCode, message: str) -> RefusalError:
    """Refuse as the control plane does: a phrase, an integer code, and the symbolic code in a header.

    The shape is the `Error` schema of Blaxel's SDKs. Their error parsing falls back on the header
    when the body has no symbolic code.
    """
    status = _STATUS[code]
    phrases = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
    body = {"error": phrases[status], "code": status, "message": message}
    return RefusalError(JSONResponse(body, status, headers=_PLATFORM | {"X-Blaxel-Error-Code": code}))


def openai_error(
    status: int, message: str, *, param: str | None = None, code: str | None = None, kind: str = "invalid_request_error"
) -> RefusalError:
    """Refuse as an OpenAI endpoint does; the gateway passes such an answer through unchanged."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return RefusalError(JSONResponse({"error": error}, status))


def provider_error(provider: str, status: int, message: str, *, code: str | None = None) -> RefusalError:
    """Refuse in the style of the provider that serves models of this runtime type."""
    if provider == "huggingface":
        return RefusalError(JSONResponse({"error": message}, status))
    return openai_error(status, message, code=code)
