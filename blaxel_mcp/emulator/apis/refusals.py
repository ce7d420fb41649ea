"""Refusals of an invalid body, in each provider's wording and shape."""

import hashlib

from starlette.responses import JSONResponse

from blaxel_mcp.emulator.apis.body_schema import Flaw
from blaxel_mcp.emulator.platform.errors import RefusalError, openai_error

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


def openai_refusal(flaw: Flaw) -> RefusalError:
    """Refuse a body in OpenAI's wording, which names a field as `input[0].content`."""
    name = _indexed(flaw.path)
    match flaw.kind:
        case "unknown":
            return openai_error(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        case "missing":
            message = f"Missing required parameter: '{name}'."
            return openai_error(400, message, param=name, code="missing_required_parameter")
        case "type":
            types = {"array": "an array", "int": "an integer", "integer": "an integer", "object": "an object"}
            expected = " or ".join(types.get(kind, f"a {kind}") for kind in flaw.expected.split(" or "))
            message = f"Invalid type for '{name}': expected {expected}."
            return openai_error(400, message, param=name, code="invalid_type")
        case "value":
            message = f"Invalid '{name}': expected {flaw.expected}."
            return openai_error(400, message, param=name, code="invalid_value")


def anthropic_refusal(flaw: Flaw) -> RefusalError:
    """Refuse a body in Anthropic's wording, which names a field as `messages.0.content`."""
    name = ".".join(map(str, flaw.path)) or "body"
    match flaw.kind:
        case "unknown":
            return anthropic_error(400, f"{name}: Extra inputs are not permitted")
        case "missing":
            return anthropic_error(400, f"{name}: Field required")
        case "type" | "value":
            return anthropic_error(400, f"{name}: Input should be {flaw.expected}")


def gemini_refusal(flaw: Flaw) -> RefusalError:
    """Refuse a body in Google's wording, which names a field as `contents[0].parts`."""
    *parents, last = flaw.path or ("body",)
    if flaw.kind == "unknown":
        place = f" at '{_indexed(tuple(parents))}'" if parents else ""
        return gemini_error(400, f'Invalid JSON payload received. Unknown name "{last}"{place}: Cannot find field.')
    name = _indexed((*parents, last))
    if flaw.kind == "missing":
        return gemini_error(400, f"* GenerateContentRequest.{name}: {name} is not specified\n")
    return gemini_error(400, f"Invalid value at '{name}': expected {flaw.expected}.")


def cohere_refusal(flaw: Flaw) -> RefusalError:
    """Refuse a body in Cohere's wording, which names a field as `messages[0].content`."""
    name = _indexed(flaw.path) or "body"
    match flaw.kind:
        case "unknown":
            return cohere_error(400, f"unknown field: parameter '{name}' is not a valid field")
        case "missing":
            return cohere_error(400, f"invalid request: parameter '{name}' is required")
        case "type" | "value":
            return cohere_error(400, f"invalid request: parameter '{name}' must be {flaw.expected}")


def _indexed(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
