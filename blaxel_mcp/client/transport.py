"""The HTTP library at our border: its pool of connections, its responses, and what its exceptions mean here."""

from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import anyio.to_thread
import httpx

from blaxel_mcp.client.errors.network import broken_off, connecting_timed_out, not_connected, proxy_failed, undecodable
from blaxel_mcp.client.request import Departure
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.hosts import LOOPBACK_PATTERNS

LIBRARY_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    # What Python's resolver says to a host name that IDNA cannot write.
    UnicodeError,
)
"""Everything that the library may raise for a request."""

_NOT_SENDABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, UnicodeError)


async def new_pool(transport: httpx.AsyncBaseTransport | None, *, connect_seconds: float) -> httpx.AsyncClient:
    """Make a pool of connections, which is opened at its first request.

    Args:
        transport: What carries the requests, in place of the network.
        connect_seconds: How long connecting may take; nothing else has a limit here.

    Raises:
        ConfigurationError: the environment names certificates or a proxy that cannot be used.
    """
    try:
        # Reading the certificates takes tens of milliseconds.
        certificates = await anyio.to_thread.run_sync(httpx.create_ssl_context)
        return httpx.AsyncClient(
            verify=certificates,
            transport=transport,
            mounts=dict.fromkeys(LOOPBACK_PATTERNS),
            timeout=httpx.Timeout(None, connect=connect_seconds),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"request": [_note_departure]},
            follow_redirects=False,
        )
    except OSError as error:
        raise ConfigurationError(
            "The certificates that TLS connections are checked against cannot be read.",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR in the server's environment.",
        ) from error
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            "The proxy that the environment names cannot be used.",
            hint="HTTP_PROXY, HTTPS_PROXY and ALL_PROXY take http:// and https:// URLs.",
        ) from error


async def _note_departure(request: httpx.Request) -> None:
    departure = request.extensions.get("trace")
    if isinstance(departure, Departure):
        departure.hand_over()


def encoding(response: httpx.Response) -> str:
    """The Content-Encoding of a response; empty for none."""
    return str(response.headers.get("content-encoding", ""))


def wire(response: httpx.Response) -> httpx.AsyncByteStream:
    """Return the body as it comes off the wire: the library's own decoder knows no limit."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


async def close(response: httpx.Response) -> None:
    """Close a response, and its connection too where bytes have come after the body.

    The library would take those for the answer to the next request on the connection.
    """
    try:
        if _has_more(response):
            await response.extensions["network_stream"].aclose()
    finally:
        await response.aclose()


def _has_more(response: httpx.Response) -> bool:
    """Whether bytes lie behind the body: only the inside of the library knows (httpx 0.28, httpcore 1.0)."""
    inside: object = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state", "trailing_data"):
        inside = getattr(inside, name, None)
    return isinstance(inside, tuple) and bool(inside[0])


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "The host"
    except ValueError:
        return "The host"


def may_have_left(error: Exception) -> bool:
    """Whether a request may have gone out before the library raised this."""
    return not isinstance(error, (*_NOT_SENDABLE, *_NOT_CONNECTED))


def mapped(error: Exception, url: str, *, sent: bool, connect_seconds: float) -> BlaxelError:
    """One of `LIBRARY_ERRORS` as an error of ours.

    Args:
        error: What the library raised.
        url: The request's.
        sent: Whether upstream may be working on the request.
        connect_seconds: How long connecting was allowed to take.
    """
    host = _host(url)
    match error:
        case httpx.ConnectTimeout():
            return connecting_timed_out(host, connect_seconds)
        case httpx.ProxyError():
            return proxy_failed(host)
        case _ if isinstance(error, _NOT_CONNECTED):
            return not_connected(host, error)
        case _ if isinstance(error, _NOT_SENDABLE):
            return InvalidArgumentsError(
                f"A request to {host} cannot be written as HTTP, and nothing was sent.",
                hint="Check the URL in the settings, and the request's method.",
            )
        case httpx.DecodingError():
            return undecodable(host)
    return broken_off(host, sent=sent)
