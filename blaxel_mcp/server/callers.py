"""The caller of a request."""

from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext
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


OWNER = Caller()
"""The user who started this process, and whose credentials it uses."""


def caller_of(context: ServerRequestContext[Any, Any]) -> Caller:
    """Return the caller of a request: over HTTP the authenticated one, over stdio the owner."""
    caller = getattr(getattr(context.request, "state", None), "caller", None)
    return caller if isinstance(caller, Caller) else OWNER
