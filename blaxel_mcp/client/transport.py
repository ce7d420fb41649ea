"""The boundary to the HTTP library: its transports, its responses and its exceptions."""

from urllib.parse import urlsplit

import httpx

from blaxel_mcp.client.errors.network import broken_off, connecting_timed_out, not_connected, proxy_failed, undecodable
from blaxel_mcp.client.proxies import NamedProxyError, network_transport
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError

LIBRARY_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    # Python's resolver raises it for a host name that IDNA cannot encode.
    UnicodeError,
)
"""Every exception that the library raises for a request."""

MAX_IDLE = 128
"""Connections that are kept open for later requests: as many as an agent's largest bursts of calls need."""

_NOT_SENDABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, UnicodeError)


def new_transport() -> httpx.AsyncBaseTransport:
    """Return a new transport to the network, with no connection yet."""
    return network_transport(httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE))


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


def may_have_been_sent(error: Exception) -> bool:
    """Return whether the request may have been sent before the library raised this exception."""
    return not isinstance(error, (*_NOT_SENDABLE, *_NOT_CONNECTED))


def _proxy_error(error: NamedProxyError, host: str, connect_seconds: float) -> BlaxelError:
    match error.__cause__:
        case httpx.ConnectTimeout():
            return connecting_timed_out(error.address, connect_seconds, variable=error.variable)
        case httpx.ConnectError():
            return not_connected(error.address, error, variable=error.variable)
    return proxy_failed(host, error.address, str(error))


def translate_error(error: Exception, url: str, *, sent: bool, connect_seconds: float) -> BlaxelError:
    """Return the `BlaxelError` for one of `LIBRARY_ERRORS`; after `sent`, upstream may be working on the request."""
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
