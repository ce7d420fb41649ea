"""The refusals of the providers that do not follow OpenAI, each in its own shape.

The shapes are those of the providers' API references: Anthropic's Errors, Google's `Status`
(google.rpc) and Cohere's Errors.
"""

import hashlib

from starlette.responses import JSONResponse

from blaxel_mcp.emulator.platform.errors import RefusalError

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def anthropic_error(status: int, message: str) -> RefusalError:
    """Refuse as Anthropic's API does."""
    error = {"type": _ANTHROPIC_TYPES.get(status, "api_error"), "message": message}
    body = {"type": "error", "error": error, "request_id": f"req_{_message_id(message)}"}
    return RefusalError(JSONResponse(body, status))


def gemini_error(status: int, message: str) -> RefusalError:
    """Refuse as Google's APIs do."""
    error = {"code": status, "message": message, "status": _GOOGLE_STATUSES.get(status, "INTERNAL")}
    return RefusalError(JSONResponse({"error": error}, status))


def cohere_error(status: int, message: str) -> RefusalError:
    """Refuse as Cohere's API does."""
    return RefusalError(JSONResponse({"id": _message_id(message), "message": message}, status))


def _message_id(message: str) -> str:
    return hashlib.sha256(message.encode()).hexdigest()[:24]
