"""The proxies that the environment names, and the hosts that need none, by curl's rules.

httpx raises for the whole client if one entry of NO_PROXY is not a host name, such as `::1/128`, or if ALL_PROXY cannot
be used where another variable applies. It knows neither ranges of addresses nor `*.example.com` nor ports.
"""

import ipaddress
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from ssl import SSLError
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from blaxel_mcp.client.connecting import Certificates
from blaxel_mcp.client.direct_transport import DirectTransport
from blaxel_mcp.client.errors.network import causes_of
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.hosts import DEFAULT_PORTS, is_loopback

logger = logging.getLogger(__name__)
_warn_once = cache(logger.warning)

_KINDS = ("http", "https", "all")
_SOCKS = ("socks5", "socks5h")
_BRACKETS = re.compile(r"^\[(.*)\](?=/|$)")
_HOST_NAME = re.compile(r"[a-z0-9_*?.-]+")
_MAX_PORT = 65535
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=128)
"""Kept open for later requests are as many connections as an agent's largest bursts of calls need."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Exemption:
    """An entry of NO_PROXY: a range of addresses, or a pattern for a host and the hosts below it."""

    place: _Network | str
    port: int | None = None
    scheme: str | None = None

    def covers(self, scheme: str, host: str, port: int | None) -> bool:
        if self.port not in (None, port) or self.scheme not in (None, scheme):
            return False
        if isinstance(self.place, str):
            return fnmatchcase(host, self.place) or fnmatchcase(host, f"*.{self.place}")
        try:
            return ipaddress.ip_address(host) in self.place
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment.

    Attributes:
        urls: The URL of each usable proxy by `http`, `https` or `all`.
        unusable: Why the others cannot be used, likewise.
        exemptions: The entries of NO_PROXY.
        ignored: The entries of NO_PROXY that are not understood.
    """

    urls: Mapping[str, str] = field(repr=False)
    unusable: Mapping[str, str]
    exemptions: tuple[_Exemption, ...]
    ignored: tuple[str, ...]

    def kind_for(self, url: str) -> str | None:
        """Return which proxy carries a URL: `http`, `https` or `all`; None for a direct connection.

        An unusable ALL_PROXY is ignored; the others are returned even if they cannot be used.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
        try:
            port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            # A port over 65535, which the connection fails for.
            port = None
        if is_loopback(host) or any(each.covers(parts.scheme, host, port) for each in self.exemptions):
            return None
        if parts.scheme in self.urls or parts.scheme in self.unusable:
            return parts.scheme
        return "all" if "all" in self.urls else None

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each ignored value; none quotes a proxy's URL."""
        if "all" in self.unusable:
            yield f"ALL_PROXY is not used: {self.unusable['all']}."
        if self.ignored:
            yield f"NO_PROXY has entries that are not understood and not used: {', '.join(self.ignored)}."


def proxies_in(settings: Mapping[str, str]) -> Proxies:
    """Return the proxies of an environment.

    The settings are the values of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY by `http`, `https`, `all` and `no`,
    as `urllib.request.getproxies` returns them.
    """
    urls, unusable = {}, {}
    for kind in _KINDS:
        if value := settings.get(kind, "").strip():
            url = value if "://" in value else f"http://{value}"
            problem = _problem_of(url)
            if problem:
                unusable[kind] = problem
            else:
                urls[kind] = url
    entries = {entry: _exemption(entry) for entry in re.split(r"[,\s]+", settings.get("no", "")) if entry}
    exemptions = tuple(exemption for exemption in entries.values() if exemption)
    return Proxies(urls, unusable, exemptions, tuple(entry for entry, exemption in entries.items() if not exemption))


def _problem_of(url: str) -> str | None:
    """Return why a proxy cannot be used, as the rest of a sentence; None if it can."""
    try:
        proxy = httpx.Proxy(url)
        has_host = proxy.url.raw_host and (proxy.url.port or 0) <= _MAX_PORT
    except (ValueError, httpx.InvalidURL):
        return "it is not an http://, https:// or socks5:// URL"
    if not has_host:
        return "its URL has no valid host and port"
    if proxy.url.scheme in _SOCKS and find_spec("socksio") is None:
        return 'a SOCKS proxy needs the package socksio; install it with `pip install "blaxel-mcp[socks]"`'
    return None


def _exemption(entry: str) -> _Exemption | None:
    """Return an entry of NO_PROXY; None if it is not understood."""
    scheme, separator, rest = entry.lower().rpartition("://")
    text = rest.split("/")[0] if separator else rest
    scheme_or_all = None if scheme in ("", "all") else scheme
    host, _, port = text.rpartition(":") if re.search(r"(?:\]|^[^:]*):\d+$", text) else (text, "", "")
    number = int(port) if port else None
    if number is not None and number > _MAX_PORT:
        return None
    with suppress(ValueError):
        return _Exemption(ipaddress.ip_network(_BRACKETS.sub(r"\1", host), strict=False), number, scheme_or_all)
    name = host.removeprefix("*").removeprefix(".").rstrip(".") or ("*" if host.strip(".") else "")
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return None
    return _Exemption(name, number, scheme_or_all) if _HOST_NAME.fullmatch(name) else None


class NamedProxyError(httpx.ProxyError):
    """No connection to a proxy could be made, or it refused to make one; the cause is the library's error.

    `variable` names the proxy, whose host and port are the `address`.
    """

    def __init__(self, error: Exception, request: httpx.Request, variable: str, address: str) -> None:
        super().__init__(str(error), request=request)
        self.variable = variable
        self.address = address


class _Routes(httpx.AsyncBaseTransport):
    """Sends each request through its proxy, or directly."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._certificates = Certificates()
        direct = DirectTransport(self._certificates, _LIMITS)
        self._transports: dict[str | None, httpx.AsyncBaseTransport] = {None: direct}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kind = self._proxies.kind_for(str(request.url))
        if kind is None:
            return await self._transports[None].handle_async_request(request)
        variable = f"{kind.upper()}_PROXY"
        if kind in self._proxies.unusable:
            raise ConfigurationError(
                f"The proxy that {variable} names cannot be used: {self._proxies.unusable[kind]}.",
                hint=f"Correct or unset {variable} in the server's environment, or add the host to NO_PROXY.",
            )
        certificates = await self._certificates.context()
        if kind not in self._transports:
            url = self._proxies.urls[kind]
            proxy = httpx.Proxy(url, ssl_context=certificates if url.startswith("https:") else None)
            self._transports[kind] = httpx.AsyncHTTPTransport(verify=certificates, limits=_LIMITS, proxy=proxy)
        try:
            return await self._transports[kind].handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            if any(isinstance(cause, SSLError) for cause in causes_of(error)):
                # The proxy has connected, and the handshake with the host failed.
                raise
            address = httpx.URL(self._proxies.urls[kind]).netloc.decode("ascii", "replace")
            raise NamedProxyError(error, request, variable, address) from error

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


def network_transport() -> httpx.AsyncBaseTransport:
    """Return a new transport that uses the environment's proxies, or the system's; ignored values are logged once."""
    proxies = proxies_in(getproxies())
    for problem in proxies.problems():
        _warn_once(problem)
    if not proxies.urls and not proxies.unusable:
        return DirectTransport(Certificates(), _LIMITS)
    return _Routes(proxies)
