"""Requests and responses as values, and the headers of a request."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

import httpx

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.hosts import DEFAULT_PORTS
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


@lru_cache(maxsize=64)
def parsed_url(url: str) -> httpx.URL:
    """Return a URL that a request can be sent to.

    Raises:
        httpx.InvalidURL: It is not one.
        httpx.UnsupportedProtocol: It has no host, or is not of HTTP.
    """
    parsed = httpx.URL(url)
    if parsed.scheme not in DEFAULT_PORTS or not parsed.host:
        raise httpx.UnsupportedProtocol("The URL is not an http:// or https:// URL with a host.")
    return parsed


def request_headers(request: APIRequest, *, api_version: str, host: str | None = None) -> httpx.Headers:
    """Return a request's headers, without its credentials and its length; the same object for the same headers.

    Raises:
        InvalidArgumentsError: A header of the request is reserved or cannot be written.
    """
    has_content = request.content is not None
    return _headers(tuple(request.headers.items()), request.workspace, has_content, api_version, host)


@lru_cache(maxsize=64)
def _headers(
    own: tuple[tuple[str, str], ...],
    workspace: str,
    has_content: bool,  # noqa: FBT001 - a private function
    api_version: str,
    host: str | None,
) -> httpx.Headers:
    for name, value in (*own, ("X-Blaxel-Workspace", workspace)):
        if not (HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value)):
            raise InvalidArgumentsError(
                f"The header {name!a} cannot be sent: its name or value is not plain ASCII text on one line.",
                hint="Remove the header or change its value.",
            )
    for name, _ in own:
        if RESERVED_HEADER.fullmatch(name):
            raise InvalidArgumentsError(
                f"The header {name!r} is reserved for this server.", hint="Remove the header from the request."
            )
    return httpx.Headers(
        {
            **({} if host is None else {"Host": host}),
            **base_headers(),
            "X-Blaxel-Workspace": workspace,
            "Blaxel-Version": api_version,
            **({"Content-Type": "application/json"} if has_content else {}),
            **{name.title(): value for name, value in own},
        }
    )


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
        "Connection": "keep-alive",
    }


def _token(text: str) -> str:
    return re.sub(r"[^a-z0-9_.-]", "", text.lower()) or "unknown"
