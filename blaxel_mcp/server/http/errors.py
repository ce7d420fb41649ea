"""Answers to requests over HTTP that never become a message of MCP: JSON that says what is wrong and what to do."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

REALM = "blaxel-mcp"


class RefusedError(Exception):
    """A request that is not let through.

    Args:
        status: The HTTP status of the answer.
        error: A word for programs; those of OAuth (RFC 6750) where there is one.
        description: Sentences for people; nothing of what the caller sent is in them.
        headers: Headers of the answer.
    """

    def __init__(self, status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer to the request."""
        body = {"error": self.error, "error_description": self.description}
        return JSONResponse(body, self.status, headers={"Cache-Control": "no-store", **self.headers})


def unauthorized(description: str, *, error: str | None = "invalid_token", **details: str) -> RefusedError:
    """The refusal of a caller that has not shown who it is.

    Args:
        description: What is missing or wrong.
        error: None where the request says nothing at all about who sends it: then nothing was wrong with that.
        details: More to tell a client about how to come in, such as `resource_metadata`.
    """
    told = {"error": error, "error_description": description} if error else {}
    challenge = _challenge({**told, **details})
    return RefusedError(401, error or "unauthorized", description, {"WWW-Authenticate": challenge})


def insufficient_scope(scopes: str, **details: str) -> RefusedError:
    """The refusal of a caller whose token is good, but not for this; `scopes` is what it takes."""
    description = f"The token needs the scopes: {scopes}."
    told = {"error": "insufficient_scope", "error_description": description, "scope": scopes, **details}
    return RefusedError(403, "insufficient_scope", description, {"WWW-Authenticate": _challenge(told)})


def draining() -> RefusedError:
    """The refusal of whatever comes, or is still unanswered, when the server ends."""
    description = "The server is being stopped. Send the request again in a moment."
    return RefusedError(503, "unavailable", description, {"Retry-After": "1", "Connection": "close"})


def _challenge(parameters: Mapping[str, str]) -> str:
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in {"realm": REALM, **parameters}.items())
