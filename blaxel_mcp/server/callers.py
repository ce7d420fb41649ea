"""The caller of a request."""

from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        identity: Distinguishes callers. Those with the same identity share calls, answers and handles, and nobody else
            sees them. Empty for the owner of the process.
        workspace: The caller's own workspace; None for that of the settings.
        credential: The caller's own Blaxel key or access token; None for the credentials of the settings.
    """

    identity: str = ""
    workspace: str | None = None
    credential: SecretStr | None = None

    @property
    def is_owner(self) -> bool:
        """Whether this is the owner of the process, to whom nothing of it is hidden."""
        return not self.identity


OWNER = Caller()
"""The user who started this process over stdio, and whose credentials it uses."""

ANYONE = Caller("anyone")
"""All callers over HTTP together where the server does not tell them apart. They spend the owner's credentials."""


def caller_of(context: ServerRequestContext[Any, Any], *, over_http: bool = False) -> Caller:
    """Return the caller: over stdio the owner, over HTTP the authenticated one. Raises MCPError if there is none."""
    if context.request is None and not over_http:
        return OWNER
    caller = getattr(getattr(context.request, "state", None), "caller", None)
    if not isinstance(caller, Caller):
        raise MCPError(code=types.INVALID_REQUEST, message="The caller of this request is not authenticated.")
    return caller
