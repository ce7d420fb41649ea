"""Opens connections: certificates, the addresses of a host, and which of them answers first."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import chain, zip_longest
from threading import Thread
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import httpx

from blaxel_mcp.client.socket_stream import SocketStream
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.hosts import DEFAULT_PORTS, InternalAddressError, is_public_address

_NEXT_ADDRESS_SECONDS = 0.25
"""How long one address of a host is tried before the next one is too (RFC 8305, "Connection Attempt Delay")."""


class WebOrigin(NamedTuple):
    """The server that a connection leads to."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx.URL) -> WebOrigin:
    """Return the server of an HTTP URL, by default with the scheme's port."""
    return _origin(url.raw_scheme, url.raw_host, url.port)


@lru_cache(maxsize=64)
def _origin(scheme: bytes, host: bytes, port: int | None) -> WebOrigin:
    return WebOrigin(scheme.decode(), host.decode(), DEFAULT_PORTS[scheme.decode()] if port is None else port)


class Certificates:
    """The certificates that this machine trusts: 2 MB, and tens of milliseconds to read them."""

    def __init__(self) -> None:
        self._reading = anyio.Lock()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext:
        """Return them, read at the first call; raises ConfigurationError if the environment names unusable ones."""
        async with self._reading:
            if self._context is None:
                try:
                    self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
                except OSError as error:
                    raise ConfigurationError(
                        "The certificates for verifying TLS connections cannot be read.",
                        hint="Check SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE in the server's environment.",
                    ) from error
            return self._context


async def connect(
    origin: WebOrigin, certificates: Certificates, seconds: float | None, *, must_be_public: bool = False
) -> SocketStream:
    """Open a connection: to the first address of the host that answers, tried in turn and then beside each other.

    The timeout, `seconds`, includes the TLS handshake. With `must_be_public`, the addresses of this machine and of
    private networks are ignored.

    Raises:
        httpx.ConnectTimeout: It took longer.
        httpx.ConnectError: It failed; the cause is the operating system's or OpenSSL's error, or a group of these.
        ConfigurationError: The certificates cannot be read.
    """
    context = await certificates.context() if origin.scheme == "https" else None
    try:
        with anyio.fail_after(seconds):
            stream = await _connect_any(origin.host, origin.port, must_be_public=must_be_public)
            if context:
                await stream.start_tls(context, origin.host, seconds)
            return stream
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, ExceptionGroup) as error:
        raise httpx.ConnectError(str(error)) from error


async def _connect_any(host: str, port: int, *, must_be_public: bool) -> SocketStream:
    """Connect to one of the addresses of a host; raises a group of the errors if there are several and none answers."""
    if _is_address(host):
        return await _connect_to(host, port)
    addresses = [str(place[0]) for *_, place in _alternating(await addresses_of(host, port))]
    if must_be_public:
        addresses = [address for address in addresses if is_public_address(address)]
        if not addresses:
            raise InternalAddressError(f"{host} resolves to internal addresses only")
    if len(addresses) == 1:
        return await _connect_to(addresses[0], port)
    connected: list[SocketStream] = []
    errors: list[OSError] = []
    try:
        await _race(addresses, port, connected, errors)
    except BaseException:
        _abort(connected)
        raise
    if not connected:
        raise ExceptionGroup("no address of the host could be connected to", errors)
    _abort(connected[1:])
    return connected[0]


async def _race(addresses: list[str], port: int, connected: list[SocketStream], errors: list[OSError]) -> None:
    """Try one address after the other, each for a moment by itself, until one is connected to."""
    async with anyio.create_task_group() as group:

        async def attempt(address: str, ended: anyio.Event) -> None:
            try:
                connected.append(await _connect_to(address, port))
                group.cancel_scope.cancel()
            except OSError as error:
                errors.append(error)
            ended.set()

        for address in addresses:
            ended = anyio.Event()
            group.start_soon(attempt, address, ended)
            with anyio.move_on_after(_NEXT_ADDRESS_SECONDS):
                await ended.wait()


def _abort(streams: list[SocketStream]) -> None:
    for stream in streams:
        stream.abort()


async def _connect_to(address: str, port: int) -> SocketStream:
    _, stream = await asyncio.get_running_loop().create_connection(SocketStream, address, port)
    return stream


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _alternating(addresses: list[Any]) -> Iterable[Any]:
    """Return addresses from `getaddrinfo` in their order, those of IPv6 and IPv4 by turns, IPv6 first."""
    of_six = [address for address in addresses if address[0] == socket.AF_INET6]
    others = [address for address in addresses if address[0] != socket.AF_INET6]
    return filter(None, chain.from_iterable(zip_longest(of_six, others)))


async def addresses_of(host: str, port: int) -> list[Any]:
    """Return what `getaddrinfo` does, from a thread that nobody waits for once the caller is cancelled.

    asyncio's own takes one of a few threads, and at the end of the program waits for each: a resolver may need half a
    minute for a name that it cannot find.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[list[Any]] = loop.create_future()

    def settle(places: list[Any], error: Exception | None) -> None:
        if not result.done():
            result.set_exception(error) if error else result.set_result(places)

    def look_up() -> None:
        places: list[Any] = []
        error: Exception | None = None
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as problem:  # noqa: BLE001 - the caller raises it
            error = problem
        # The loop may have been closed meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, places, error)

    Thread(target=look_up, name="resolver", daemon=True).start()
    return await result
