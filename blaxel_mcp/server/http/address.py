"""The address that the HTTP transport listens on, and the settings that must be safe before it may."""

import ipaddress
import logging
import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.server.http.errors import RefusedError
from blaxel_mcp.settings.http import HttpSettings

logger = logging.getLogger(__name__)

MCP_PATH = "/mcp"

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

_BACKLOG = 2048
"""Connections that the system holds until they are accepted."""

_OTHER_ADDRESS = "Choose another port with --port (0 takes any free one) or another address with --host."

_HOST = re.compile(r"([^\s/?#@*:\[\]]+|\[[^\s/?#@*\[\]]+\])(:(\d+|\*))?")
"""A Host header; `*` is any port."""

_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{_HOST.pattern}|null", re.IGNORECASE)
"""The origin of a page (RFC 6454, section 6.1); `null` for one without."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""An OAuth scope (RFC 6749, section 3.3), which is quoted in a header."""


@dataclass(frozen=True, slots=True)
class Address:
    """A resolved address to listen on: an IP address without brackets, and a port; 0 until a free one is assigned."""

    family: socket.AddressFamily
    ip: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.ip).is_loopback

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine, as `0.0.0.0` and `::` do."""
        return ipaddress.ip_address(self.ip).is_unspecified

    @property
    def host(self) -> str:
        """The IP address as it is in a URL."""
        return f"[{self.ip}]" if self.family == socket.AF_INET6 else self.ip

    @property
    def url(self) -> str:
        """The URL of the address, without a path."""
        return f"http://{self.host}:{self.port}"


def resolve(http: HttpSettings) -> Address:
    """Resolve `http.host` and `http.port`; it may block. Raises ConfigurationError for an unknown address."""
    return _resolved(http.host, http.port, "http.host")


def resolve_metrics(http: HttpSettings) -> Address | None:
    """Resolve `http.metrics_address`, of which a port alone is one on loopback, likewise; None if it is not set."""
    if http.metrics_address is None:
        return None
    host, _, port = http.metrics_address.rpartition(":")
    return _resolved(host or "127.0.0.1", int(port), "http.metrics_address")


def _resolved(host: str, port: int, key: str) -> Address:
    try:
        candidates = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"{key} {literal(host)} is not an address of this machine ({_reason(error)}).",
            hint="Use 127.0.0.1 to serve this machine only, or 0.0.0.0 for all of its addresses.",
        ) from None
    family, _, _, _, (ip, *_) = candidates[0]
    return Address(family, str(ip), port)


def require_safe(http: HttpSettings, address: Address) -> None:
    """Raise ConfigurationError for an insecure combination of address, authentication and allowed hosts."""
    if not address.is_loopback and http.auth is None:
        raise ConfigurationError(
            f"http.auth is not set, and other machines can reach {address.ip}: anyone could spend your credentials.",
            hint='Set http.auth (BLAXEL_MCP_HTTP__AUTH) to "token", "oauth" or "caller", or to "platform" behind a '
            "gateway that authenticates callers, such as Blaxel's; or set http.host to 127.0.0.1.",
        )
    if not address.is_loopback and http.auth != "platform" and not http.allowed_hosts:
        raise ConfigurationError(
            f"http.allowed_hosts is not set, and other machines can reach {address.ip}: a web page could point a "
            "host name of its own at this server and call it.",
            hint="Set http.allowed_hosts (BLAXEL_MCP_HTTP__ALLOWED_HOSTS) to the host names that clients use, such as "
            '["models.example.com"], with the port unless it is the default one.',
        )
    if http.auth == "platform" and http.allowed_origins and not http.allowed_hosts and not address.is_loopback:
        raise ConfigurationError(
            "http.allowed_origins is set, but http.allowed_hosts is not.", hint="Set both of them, or neither."
        )
    if http.auth == "oauth" and (address.is_wildcard or "%" in address.ip) and http.resource_url is None:
        raise ConfigurationError(
            f"OAuth clients need this server's public URL, and {address.ip} cannot be part of one.",
            hint="Set http.resource_url (BLAXEL_MCP_HTTP__RESOURCE_URL) to the URL that clients use, ending in /mcp.",
        )
    lists = (
        ("allowed_hosts", _HOST, "a Host header", "Write a name, alone or with a port or `:*`: models.example.com."),
        ("allowed_origins", _ORIGIN, "the origin of a page", "Write the scheme and the host: https://app.example.com."),
        ("scopes", _SCOPE, "an OAuth scope", "List each scope on its own, without spaces or quotes."),
    )
    for key, pattern, kind, hint in lists:
        if invalid := [entry for entry in getattr(http, key) if not pattern.fullmatch(entry)]:
            raise ConfigurationError(f"http.{key} has {literal(invalid[0])}, which is not {kind}.", hint=hint)


def transport_security(http: HttpSettings, address: Address) -> TransportSecuritySettings:
    """Return the accepted Host and Origin headers: those of the settings, otherwise the loopback names.

    Behind a platform, any host name is accepted unless the settings name some. The platform uses names of its own, and
    it has authenticated each caller already: a web page that points its host name here has no token to send.
    """
    if http.auth == "platform" and not http.allowed_hosts and not address.is_loopback:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    names = (*_LOOPBACK_NAMES, address.host) if address.is_loopback else ()
    local_hosts = [name + port for name in names for port in ("", ":*")]
    return TransportSecuritySettings(
        allowed_hosts=list(http.allowed_hosts) or local_hosts,
        allowed_origins=list(http.allowed_origins) or [f"http://{host}" for host in local_hosts],
    )


def check_names(security: TransportSecuritySettings, host: str, headers: Headers) -> None:
    """Raise RefusedError (421, 403) for an invalid host or Origin, in place of the SDK, which names no setting."""
    if not security.enable_dns_rebinding_protection:
        return
    if not _is_listed(host, security.allowed_hosts):
        logger.warning("refused a request: http.allowed_hosts does not list %s", literal(host))
        description = "Invalid Host header: http.allowed_hosts lists the accepted names, each with its port or `:*`."
        raise RefusedError(421, "invalid_host", description)
    origin = headers.get("origin")
    if origin and not _is_listed(origin, security.allowed_origins):
        logger.warning("refused a request: http.allowed_origins does not list %s", literal(origin))
        description = "Invalid Origin header: http.allowed_origins lists the pages that may call."
        raise RefusedError(403, "invalid_origin", description)


def _is_listed(name: str, listed: Sequence[str]) -> bool:
    """Return whether a name is one of a list, in any case; `:*` at the end of one is any port."""
    name = name.lower()
    base, _, port = name.rpartition(":")
    return any(
        name == entry or (entry.endswith(":*") and base == entry.removesuffix(":*") and port.isdecimal())
        for entry in map(str.lower, listed)
    )


def listen(address: Address, *, hint: str = _OTHER_ADDRESS) -> tuple[socket.socket, Address]:
    """Return a socket that queues connections, and its address with the port; raises ConfigurationError."""
    # Named, or asyncio leaves Nagle's algorithm on and sends the body a pause after the headers.
    listener = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there, it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            # "::" also covers IPv4.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.is_wildcard else 1)
        listener.bind((address.ip, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"The server cannot listen on {address.ip} port {address.port}: {_reason(error)}.", hint=hint
        ) from None
    return listener, Address(address.family, address.ip, int(listener.getsockname()[1]))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
