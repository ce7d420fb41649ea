"""The refusals of the platform, and of providers in OpenAI's style, each in its own envelope."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    is_retryable: bool = False
    action: str = ""


_REFUSALS: Mapping[str, _Refusal] = {
    "BAD_REQUEST": _Refusal(400),
    "WORKSPACE_REQUIRED": _Refusal(400),
    "AUTHENTICATION_REQUIRED": _Refusal(401, action="Send an API key or an access token as a bearer token."),
    "AUTHENTICATION_FAILED": _Refusal(401, action="Check the API key, or obtain a new access token."),
    "TOKEN_REVOKED": _Refusal(401, action="Obtain a new access token."),
    "USAGE_LIMIT_EXCEEDED": _Refusal(402),
    "FORBIDDEN": _Refusal(403),
    "UNAUTHORIZED_WORKSPACE": _Refusal(403, action="Use a workspace that these credentials belong to."),
    "ROUTE_NOT_FOUND": _Refusal(404),
    "NOT_FOUND": _Refusal(404),
    "WORKLOAD_NOT_FOUND": _Refusal(404, action="Check the name against the workspace's list of models."),
    "WORKLOAD_UNAVAILABLE": _Refusal(404, is_retryable=True, action="Try again in a moment."),
    "REQUEST_ENTITY_TOO_LARGE": _Refusal(413),
    "RATE_LIMIT_EXCEEDED": _Refusal(429, is_retryable=True),
    "GATEWAY_INTERNAL_ERROR": _Refusal(500, is_retryable=True),
    "ROUTING_UNAVAILABLE": _Refusal(503, is_retryable=True, action="Try again in a moment."),
    "AUTHENTICATION_UNAVAILABLE": _Refusal(503, is_retryable=True),
}
"""The codes used here, from the list of errors in Blaxel's documentation (Troubleshooting, Error codes)."""

_PLATFORM = {"X-Blaxel-Source": "platform"}


class RefusalError(Exception):
    """A refused request; the application answers it with `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"refused with status {response.status_code}")
        self.response = response


def edge_error(
    code: str,
    message: str,
    *,
    dispatched: bool = False,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> RefusalError:
    """Refuse as the inference gateway does (Blaxel docs, Error codes: the error object).

    A request that was `dispatched` may have reached the provider. `headers` are added to those of every platform error,
    and `extra` to the documented fields of the error object.
    """
    refusal = _REFUSALS[code]
    error: dict[str, Any] = {
        "code": code,
        "message": message,
        "status": refusal.status,
        "origin": "platform",
        "retryable": refusal.is_retryable,
        "dispatch_state": "dispatched_unknown" if dispatched else "not_dispatched",
        "safe_to_retry_request": refusal.is_retryable and not dispatched,
        "docs_url": "https://docs.blaxel.ai/troubleshooting/error-codes",
        "timestamp": datetime.now(UTC).isoformat(),
    }
    if refusal.action:
        error["action"] = refusal.action
    body = {"error": error | (extra or {})}
    return RefusalError(JSONResponse(body, refusal.status, headers=_PLATFORM | (headers or {})))


def control_plane_error(code: str, message: str) -> RefusalError:
    """Refuse as the control plane does: a phrase, an integer code, and the symbolic code in a header.

    The shape is the `Error` schema of Blaxel's SDKs. Their error parsing falls back on the header
    when the body has no symbolic code.
    """
    status = _REFUSALS[code].status
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
