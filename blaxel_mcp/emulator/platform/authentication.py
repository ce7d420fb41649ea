"""The checks of credentials and workspace, as Blaxel makes them."""

from dataclasses import dataclass

from starlette.requests import Request

from blaxel_mcp.emulator.platform.errors import EdgeCode
from blaxel_mcp.emulator.platform.state import Emulator

AUTHENTICATION_HEADERS = ("x-blaxel-authorization", "authorization")
WORKSPACE_HEADER = "x-blaxel-workspace"


@dataclass(frozen=True, slots=True)
class AccessDenial:
    """The reason to refuse a caller; gateway and control plane each put it into their own envelope."""

    code: EdgeCode
    message: str


def authenticate(request: Request, emulator: Emulator) -> AccessDenial | None:
    """Check that the request carries exactly one accepted bearer token.

    Either of the two headers is accepted, but not both: Blaxel's SDK adapters remove the second
    one because the gateway answers 401 to it.
    """
    values = [value for name in AUTHENTICATION_HEADERS for value in request.headers.getlist(name)]
    if not values:
        return AccessDenial("AUTHENTICATION_REQUIRED", "The request carries no credentials.")
    if len(values) > 1:
        return AccessDenial("AUTHENTICATION_FAILED", "The request carries more than one authorization header.")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer":
        return AccessDenial("AUTHENTICATION_FAILED", "The credentials are not a bearer token.")
    return _check_token(token.strip(), emulator)


def _check_token(token: str, emulator: Emulator) -> AccessDenial | None:
    if token in emulator.api_keys:
        return None
    record = emulator.tokens.get(token)
    if record is None:
        return AccessDenial("AUTHENTICATION_FAILED", "The API key or access token is not known.")
    if record.revoked:
        return AccessDenial("TOKEN_REVOKED", "The access token has been revoked.")
    if record.expires_at <= emulator.now():
        return AccessDenial("AUTHENTICATION_FAILED", "The access token has expired.")
    return None


def check_workspaces(names: list[str], emulator: Emulator) -> AccessDenial | None:
    """Check that a request names exactly one workspace, and that its caller may use it.

    Args:
        names: The workspace names in the request's path, headers and query.
        emulator: The platform.
    """
    if not names:
        return AccessDenial("WORKSPACE_REQUIRED", "The request names no workspace.")
    if len(set(names)) > 1 or names[0] not in emulator.workspaces:
        return AccessDenial("UNAUTHORIZED_WORKSPACE", "The credentials do not belong to the workspace.")
    return None
