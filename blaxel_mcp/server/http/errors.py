"""JSON responses to HTTP requests that never reach MCP: rejected callers, wrong methods, a server that shuts down."""

from collections.abc import Mapping

import mcp_types as types
from starlette.responses import JSONResponse, Response

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES, JSONObject

REALM = "blaxel-mcp"


class RefusedError(Exception):
    """A rejected HTTP request.

    Args:
        status: The HTTP status.
        error: The error code for programs; those of authentication are from RFC 6750.
        description: Sentences for people. They never quote the request.
        headers: Further headers of the response.
        code: The JSON-RPC error code, for a request that reached the protocol; the body is then its error response.
    """

    def __init__(
        self,
        status: int,
        error: str,
        description: str,
        headers: Mapping[str, str] | None = None,
        *,
        code: int | None = None,
    ) -> None:
        super().__init__(description)
        self._status = status
        self._body: JSONObject = {"error": error, "error_description": description}
        if code is not None:
            self._body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": description}}
        self._headers = {"Cache-Control": "no-store", **(headers or {})}

    def response(self) -> Response:
        """Return the error as a JSON response, such as `{"error": ..., "error_description": ...}`."""
        return JSONResponse(self._body, self._status, headers=self._headers)


def unauthorized(description: str, *, error: str | None = "invalid_token", **parameters: str) -> RefusedError:
    """Return the error for a caller that is not authenticated (401).

    Args:
        description: What is missing or wrong, and what to send.
        error: The error code of RFC 6750, section 3.1; None if the request has no credentials at all, since the
            `WWW-Authenticate` header must not name an error then.
        parameters: Further parameters of that header, such as `resource_metadata`.
    """
    failure = {"error": error, "error_description": description} if error else {}
    headers = {"WWW-Authenticate": _challenge({**failure, **parameters})}
    return RefusedError(401, error or "unauthorized", description, headers)


def insufficient_scope(scopes: str, **parameters: str) -> RefusedError:
    """Return the error for a valid token without the required scopes (403).

    Args:
        scopes: The required scopes, separated by spaces.
        parameters: As for `unauthorized`.
    """
    description = f"The token must have these scopes: {scopes}."
    failure = {"error": "insufficient_scope", "error_description": description, "scope": scopes}
    return RefusedError(
        403, "insufficient_scope", description, {"WWW-Authenticate": _challenge({**failure, **parameters})}
    )


def not_found(endpoint: str) -> RefusedError:
    """Return the error for an unknown path (404)."""
    return RefusedError(404, "not_found", f"Not Found. The MCP endpoint is {endpoint}.")


def method_not_allowed(subject: str, allowed: str) -> RefusedError:
    """Return the error for another method than the allowed ones, such as `GET, HEAD` (405)."""
    return RefusedError(405, "method_not_allowed", f"{subject} accepts only {allowed}.", {"Allow": allowed})


def misdirected() -> RefusedError:
    """Return the error for a request under a name that is not this server's (421)."""
    description = "Invalid Host header: http.allowed_hosts lists the accepted names, each with its port or `:*`."
    return RefusedError(421, "invalid_host", description)


def foreign_origin() -> RefusedError:
    """Return the error for a request from a page that is not allowed (403)."""
    return RefusedError(
        403, "invalid_origin", "Invalid Origin header: http.allowed_origins lists the pages that may call."
    )


def not_acceptable() -> RefusedError:
    """Return the error for an Accept header without a media type of ours (406)."""
    description = "Accept must allow text/event-stream or application/json, the media types of the answers."
    return RefusedError(406, "not_acceptable", description)


def unsupported_media_type() -> RefusedError:
    """Return the error for a body of another media type than JSON (415)."""
    description = "Content-Type must be application/json: the body is one JSON-RPC message."
    return RefusedError(415, "unsupported_media_type", description)


def invalid_id() -> RefusedError:
    """Return the error for a request with an invalid id (400)."""
    description = "The `id` of a request must be a string or an integer."
    return RefusedError(400, "invalid_request", description, code=types.INVALID_REQUEST)


def too_many_values() -> RefusedError:
    """Return the error for a body that would take too long to parse (413)."""
    description = (
        f"The message has more than {MAX_ARGUMENT_VALUES} values, member names included. Send it in parts, or large "
        "data as text."
    )
    return RefusedError(413, "content_too_large", description)


def too_many_requests() -> RefusedError:
    """Return the error for a caller with too many requests in flight (429)."""
    description = "This caller has as many requests in flight as one of several may have. Retry when one has ended."
    return RefusedError(429, "too_many_requests", description, {"Retry-After": "1", "Connection": "close"})


def draining() -> RefusedError:
    """Return the error for a request that arrives while the server shuts down (503)."""
    description = "The server is shutting down. Retry in a moment."
    return RefusedError(503, "unavailable", description, {"Retry-After": "1", "Connection": "close"})


def interrupted() -> RefusedError:
    """Return the error for a request that the shutdown of the server cancelled (503).

    Without `Retry-After`: clients that retry by themselves would pay for a call twice.
    """
    description = "The server shut down before this request was finished. A model call in it may have been billed."
    return RefusedError(503, "unavailable", description, {"Connection": "close"})


def _challenge(parameters: Mapping[str, str]) -> str:
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in {"realm": REALM, **parameters}.items())
