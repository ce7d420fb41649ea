"""Who calls, where there is more than one who may."""

from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Caller:
    """One who was let in.

    Attributes:
        identity: Tells callers apart: those with the same one share their calls, answers and handles, and nobody
            else sees them. Empty for the user whose process this is.
        workspace: The workspace that the caller brought along; None where everybody works in that of the settings.
        credential: The Blaxel key or access token that the caller brought along; None where the settings' are used.
    """

    identity: str = ""
    workspace: str | None = None
    credential: SecretStr | None = None


OWNER = Caller()
"""The user whose process this is, and whose credentials are used."""


def caller_of(context: ServerRequestContext[Any, Any]) -> Caller:
    """Who sent a request: over HTTP whom the authentication let in, over stdio the user."""
    caller = getattr(getattr(context.request, "state", None), "caller", None)
    return caller if isinstance(caller, Caller) else OWNER
