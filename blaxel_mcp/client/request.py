"""Requests and responses as values, the headers of a request, and what the HTTP library returns and raises."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from urllib.parse import urlsplit

import httpx

from blaxel_mcp import __version__
from blaxel_mcp.client.errors.network import broken_off, connecting_timed_out, not_connected, proxy_failed, undecodable
from blaxel_mcp.client.proxies import NamedProxyError
from blaxel_mcp.client.trace import CallTrace
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.hosts import DEFAULT_PORTS
from blaxel_mcp.settings.types import HEADER_NAME, HEADER_VALUE, RESERVED_HEADER


@dataclass(frozen=True, slots=True, kw_only=True)
class APIRequest:
    """An unsigned request; `headers` extends or replaces the standard ones.

    A request to the control plane does not run a model, and so is never billed.
    """

    method: str
    url: str
    workspace: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    runs_model: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class APIResponse:
    """A successful response with its decoded body; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@lru_cache(maxsize=64)
def parsed_url(url: str) -> httpx.URL:
    """Return a URL of HTTP with a host; raises httpx.InvalidURL or httpx.UnsupportedProtocol for any other text."""
    parsed = httpx.URL(url)
    try:
        # `host` would decode an international name, and raises an exception for one that is none.
        has_host = bool(parsed.raw_host)
    except UnicodeError as error:
        raise httpx.InvalidURL(str(error)) from error
    if parsed.scheme not in DEFAULT_PORTS or not has_host:
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


LIBRARY_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    # Python's resolver raises it for a host name that IDNA cannot encode.
    UnicodeError,
)
"""Every exception that the library raises for a request."""

_NOT_SENDABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, UnicodeError)


def encoded_body(response: httpx.Response) -> tuple[httpx.AsyncByteStream, str]:
    """Return the body as received and its Content-Encoding, which may be empty: the library's decoder has no limit."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream, response.headers.get("content-encoding", "")


async def close_response(response: httpx.Response) -> None:
    """Close a response, and its connection to a proxy too if bytes follow the body.

    The library's pool would read those bytes as the response to the next request on the connection.
    """
    # Only the library's internals know of such bytes (httpx 0.28, httpcore 1.0).
    inner: object = response.stream
    for name in ("_httpcore_stream", "_stream", "_connection", "_h11_state", "trailing_data"):
        inner = getattr(inner, name, None)
    try:
        if isinstance(inner, tuple) and inner[0]:
            await response.extensions["network_stream"].aclose()
    finally:
        await response.aclose()


def _proxy_error(error: NamedProxyError, host: str, connect_seconds: float) -> BlaxelError:
    match error.__cause__:
        case httpx.ConnectTimeout():
            return connecting_timed_out(error.address, connect_seconds, variable=error.variable)
        case httpx.ConnectError():
            return not_connected(error.address, error, variable=error.variable)
    return proxy_failed(host, error.address, str(error))


def translate_error(error: Exception, url: str, trace: CallTrace, *, connect_seconds: float) -> BlaxelError:
    """Return the `BlaxelError` for one of `LIBRARY_ERRORS`, none of which leaves this package, and update the trace."""
    # Otherwise upstream may be working on the request.
    trace.sent = trace.sent and not isinstance(error, (*_NOT_SENDABLE, *_NOT_CONNECTED))
    return trace.annotate(_translated(error, url, sent=trace.sent, connect_seconds=connect_seconds))


def _translated(error: Exception, url: str, *, sent: bool, connect_seconds: float) -> BlaxelError:
    try:
        host = urlsplit(url).netloc.rpartition("@")[2] or "The host"
    except ValueError:
        host = "The host"
    match error:
        case httpx.ConnectTimeout():
            return connecting_timed_out(host, connect_seconds)
        case NamedProxyError():
            return _proxy_error(error, host, connect_seconds)
        case _ if isinstance(error, _NOT_CONNECTED):
            return not_connected(host, error)
        case _ if isinstance(error, _NOT_SENDABLE):
            return InvalidArgumentsError(
                f"The request to {host} is not valid HTTP, and nothing was sent.",
                hint="Check the URL in the settings and the request's method.",
            )
        case httpx.DecodingError():
            return undecodable("is not in its declared encoding")
    return broken_off(host, sent=sent)
