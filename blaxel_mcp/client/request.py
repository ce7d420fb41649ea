"""Requests and responses as values, and the headers of a request."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.settings.types import HEADER_NAME, HEADER_VALUE, RESERVED_HEADER


@dataclass(frozen=True, slots=True, kw_only=True)
class APIRequest:
    """An unsigned request; `headers` extends or replaces the standard ones."""

    method: str
    url: str
    workspace: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class APIResponse:
    """A successful response with its decoded body; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request_headers(request: APIRequest, *, api_version: str) -> dict[str, str]:
    """Return a request's headers, without its credentials.

    Args:
        request: The request.
        api_version: The value of `Blaxel-Version`.

    Raises:
        InvalidArgumentsError: A header of the request is reserved or cannot be written.
    """
    for name, value in (*request.headers.items(), ("X-Blaxel-Workspace", request.workspace)):
        if not (HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value)):
            raise InvalidArgumentsError(
                f"The header {name!a} cannot be sent: its name or value is not plain ASCII text on one line.",
                hint="Remove the header or change its value.",
            )
    for name in request.headers:
        if RESERVED_HEADER.fullmatch(name):
            raise InvalidArgumentsError(
                f"The header {name!r} is reserved for this server.", hint="Remove the header from the request."
            )
    return {
        **base_headers(),
        "X-Blaxel-Workspace": request.workspace,
        "Blaxel-Version": api_version,
        **({} if request.content is None else {"Content-Type": "application/json"}),
        **{name.title(): value for name, value in request.headers.items()},
    }


@cache
def base_headers() -> Mapping[str, str]:
    """Return the headers of every request, including those to the token endpoint."""
    return {
        "User-Agent": f"blaxel-mcp-py/{__version__} ({_token(platform.system())}/{_token(platform.machine())})",
        "Accept": "application/json",
        # Only what `client.body_reader` decodes. Blaxel's gateway has been seen to corrupt Brotli, and
        # its TypeScript SDK sends no-transform for that reason.
        "Accept-Encoding": "gzip, identity",
        "Cache-Control": "no-transform",
    }


def _token(text: str) -> str:
    return re.sub(r"[^a-z0-9_.-]", "", text.lower()) or "unknown"
