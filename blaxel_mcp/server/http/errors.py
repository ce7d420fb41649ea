"""JSON responses to HTTP requests that never reach MCP."""

from collections.abc import Mapping

from mcp_types import RequestId
from starlette.responses import JSONResponse, Response

REALM = "blaxel-mcp"


class RefusedError(Exception):
    """A rejected HTTP request.

    The error is a code for programs; those of authentication are from RFC 6750. The description is for people, and
    never quotes the request. With the code of a JSON-RPC error, for a request that reached the protocol, the body is
    that error response, to the request with the id if it is known.
    """

    def __init__(
        self,
        status: int,
        error: str,
        description: str,
        headers: Mapping[str, str] | None = None,
        *,
        code: int | None = None,
        request_id: RequestId | None = None,
    ) -> None:
        super().__init__(description)
        self._status = status
        self._body: Mapping[str, object] = {"error": error, "error_description": description}
        if code is not None:
            self._body = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": description}}
        self._headers = {"Cache-Control": "no-store", **(headers or {})}

    def response(self) -> Response:
        """Return the error as a JSON response, such as `{"error": ..., "error_description": ...}`."""
        return JSONResponse(self._body, self._status, headers=self._headers)


def unauthorized(description: str, *, error: str | None = "invalid_token", **parameters: str) -> RefusedError:
    """Return the error for a caller that is not authenticated (401), or lacks a scope (403).

    Args:
        description: What is missing or wrong, and what to send.
        error: The error code of RFC 6750, section 3.1; None if the request has no credentials at all, since the
            `WWW-Authenticate` header must not name an error then.
        parameters: Further parameters of that header, such as `resource_metadata`.
    """
    failure = {"error": error, "error_description": description} if error else {}
    challenge = {"realm": REALM, **failure, **parameters}
    headers = {"WWW-Authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in challenge.items())}
    status = 403 if error == "insufficient_scope" else 401
    return RefusedError(status, error or "unauthorized", description, headers)


def method_not_allowed(subject: str, allowed: str) -> RefusedError:
    """Return the error for another method than the allowed ones, such as `GET, HEAD` (405)."""
    return RefusedError(405, "method_not_allowed", f"{subject} accepts only {allowed}.", {"Allow": allowed})
