"""Who is calling and for which workspace, checked as Blaxel does."""

from dataclasses import dataclass

from starlette.requests import Request

from blaxel_mcp.emulator.platform.errors import EdgeCode
from blaxel_mcp.emulator.platform.state import Emulator

AUTHENTICATION_HEADERS = ("x-blaxel-authorization", "authorization")
WORKSPACE_HEADER = "x-blaxel-workspace"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a caller is not let in; each surface puts it into its own envelope."""

    code: EdgeCode
    message: str


def authenticate(request: Request, emulator: Emulator) -> Problem | None:
    """Check that the request carries exactly one accepted bearer token.

    Either of the two headers will do. Both at once are refused: Blaxel's SDK adapters
    remove a second one because the gateway answers 401 to it.
    """
    values = [value for name in AUTHENTICATION_HEADERS for value in request.headers.getlist(name)]
    if not values:
        return Problem("AUTHENTICATION_REQUIRED", "The request carries no credentials.")
    if len(values) > 1:
        return Problem("AUTHENTICATION_FAILED", "The request carries more than one authorization header.")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer":
        return Problem("AUTHENTICATION_FAILED", "The credentials are not a bearer token.")
    return _check_token(token.strip(), emulator)


def _check_token(token: str, emulator: Emulator) -> Problem | None:
    if token in emulator.api_keys:
        return None
    known = emulator.tokens.get(token)
    if known is None:
        return Problem("AUTHENTICATION_FAILED", "The API key or access token is not known.")
    if known.revoked:
        return Problem("TOKEN_REVOKED", "The access token has been revoked.")
    if known.expires_at <= emulator.now():
        return Problem("AUTHENTICATION_FAILED", "The access token has expired.")
    return None


def check_workspaces(names: list[str], emulator: Emulator) -> Problem | None:
    """Check that a request names one workspace, the same throughout, that its caller may use."""
    if not names:
        return Problem("WORKSPACE_REQUIRED", "The request names no workspace.")
    if len(set(names)) > 1 or names[0] not in emulator.workspaces:
        return Problem("UNAUTHORIZED_WORKSPACE", "The credentials do not belong to the workspace.")
    return None
