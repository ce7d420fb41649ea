"""Where the HTTP transport listens, and what has to be settled before it may."""

import ipaddress
import re
import socket
import sys
from dataclasses import dataclass

from mcp.server.transport_security import TransportSecuritySettings

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.schema import HttpSettings

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

_BACKLOG = 2048

# What an OAuth scope may consist of (RFC 6749, section 3.3); it is quoted in a header.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on, as the system understood the settings' name of it."""

    family: socket.AddressFamily
    ip: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.ip.partition("%")[0]).is_loopback

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine, and so is nobody's URL."""
        return ipaddress.ip_address(self.ip.partition("%")[0]).is_unspecified

    @property
    def url(self) -> str:
        """The URL of what is served there, without a path."""
        return f"http://[{self.ip}]:{self.port}" if self.family == socket.AF_INET6 else f"http://{self.ip}:{self.port}"


def resolve(http: HttpSettings) -> Address:
    """Find the address that the settings name; blocks while a name service is asked.

    Raises:
        ConfigurationError: it is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(http.host.strip("[]"), http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"http.host {http.host!r} is not an address of this machine ({_told(error)}).",
            hint="Use 127.0.0.1 for this machine alone, or 0.0.0.0 for all of its addresses.",
        ) from None
    family, _, _, _, (ip, port, *_) = found[0]
    return Address(family, str(ip), int(port))


def check(http: HttpSettings, address: Address) -> None:
    """See to it that nobody is let in whom the settings did not mean.

    Raises:
        ConfigurationError: something has to be set first.
    """
    if not address.is_loopback and http.auth is None:
        raise ConfigurationError(
            f"The server would listen on {address.ip}, which other machines reach, and nothing says who may call: "
            "anyone could spend your credentials.",
            hint='Set http.auth (BLAXEL_MCP_HTTP__AUTH) to "token", "oauth" or "caller", or http.host to 127.0.0.1.',
        )
    if not address.is_loopback and http.auth != "platform" and not http.allowed_hosts:
        raise ConfigurationError(
            f"The server would listen on {address.ip}, which other machines reach, and nothing says under which names "
            "it is called: web pages could call it under a name of theirs.",
            hint="Set http.allowed_hosts (BLAXEL_MCP_HTTP__ALLOWED_HOSTS) to the names that clients use, such as "
            '["models.example.com"], with the port unless it is the usual one.',
        )
    if http.auth == "platform" and http.allowed_origins and not http.allowed_hosts and not address.is_loopback:
        raise ConfigurationError(
            "http.allowed_origins is set and http.allowed_hosts is not.", hint="Set both of them, or neither."
        )
    if http.auth == "oauth" and address.is_wildcard and http.resource_url is None:
        raise ConfigurationError(
            f"OAuth clients have to be told this server's URL, and {address.ip} is none.",
            hint="Set http.resource_url (BLAXEL_MCP_HTTP__RESOURCE_URL) to the URL that they use, with /mcp at its "
            "end.",
        )
    if unusable := [scope for scope in http.scopes if not _SCOPE.fullmatch(scope)]:
        raise ConfigurationError(f"http.scopes has {unusable[0]!r}, which is no OAuth scope.", hint="Name one in each.")


def transport_security(http: HttpSettings, address: Address) -> TransportSecuritySettings:
    """Which Host and Origin headers are answered: those of the settings, else those of this machine.

    A platform in front has names of its own, and has asked each caller for a token already, which no web page can
    send that merely got our address under a name of its own.
    """
    if http.auth == "platform" and not http.allowed_hosts and not address.is_loopback:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    local = _LOOPBACK_NAMES if address.is_loopback else ()
    hosts = http.allowed_hosts or tuple(spelling for name in local for spelling in (name, f"{name}:*"))
    origins = http.allowed_origins or tuple(f"http://{spelling}" for name in local for spelling in (name, f"{name}:*"))
    return TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=list(origins))


def listen(address: Address) -> tuple[socket.socket, Address]:
    """Take the address; connections wait there until somebody accepts them.

    Returns:
        The socket, and the address with the port that it has got.

    Raises:
        ConfigurationError: it cannot be taken.
    """
    # With its protocol named, asyncio sends headers and body without a pause between them.
    listener = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # where it lets two servers share an address
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            # "::" is every address, those of IPv4 included.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.is_wildcard else 1)
        listener.bind((address.ip, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"The server cannot listen on {address.ip} port {address.port}: {_told(error)}.",
            hint="Choose another with --port or --host; port 0 takes any free one.",
        ) from None
    return listener, Address(address.family, address.ip, int(listener.getsockname()[1]))


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
