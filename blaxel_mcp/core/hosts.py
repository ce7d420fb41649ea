"""Hosts and ports of URLs."""

import ipaddress
import re
from collections.abc import Mapping

DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443}
"""The default port of each URL scheme that this project uses."""


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback name or address, without resolving it; IPv6 may have brackets."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_INTERNAL_NAMES = re.compile(r"(.+\.)?(localhost|localdomain|local|internal|intranet|lan|home\.arpa|ip6-[a-z]+)")
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::/96")))
"""IPv6 networks whose addresses end in an IPv4 address (RFC 6052, RFC 4291)."""


def is_internal(host: str) -> bool:
    """Return whether a host is, in any spelling, an address or name that is not on the public network.

    That is every loopback, link-local, private, unspecified, multicast or reserved address, and the names that resolve
    to such addresses by convention. Other names are not resolved. An IPv6 address may have brackets and a zone.
    """
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if not name or _INTERNAL_NAMES.fullmatch(name) or not ("." in name or ":" in name or name[0].isdigit()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        number = _ipv4_number(name)
        if number is None:
            return False
        address = ipaddress.ip_address(number)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner is None and any(address in network for network in _TRANSLATED):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return not address.is_global or address.is_multicast


class InternalAddressError(OSError):
    """A name that has to be public resolves to addresses of this machine or its network only."""


_FAKED = ipaddress.ip_network("198.18.0.0/15")
"""Addresses that some VPNs answer for every name, and carry to its real one (RFC 2544)."""


def is_public_address(address: str) -> bool:
    """Return whether a resolved address may be that of a public host."""
    return not is_internal(address) or ipaddress.ip_address(address.partition("%")[0]) in _FAKED


def _ipv4_number(text: str) -> int | None:
    """Return an IPv4 address as `inet_aton` reads it: one to four numbers, each decimal, octal or hexadecimal."""
    number, parts = 0, text.split(".")
    try:
        values = [int(part, 16) if part.startswith("0x") else int(part, 8 if part[:1] == "0" else 10) for part in parts]
    except ValueError:
        return None
    if len(parts) > 4:  # noqa: PLR2004 - an IPv4 address has four bytes
        return None
    for value in values[:-1]:
        number = number << 8 | value & 0xFF
    return (number << 8 * (5 - len(parts)) | values[-1]) & 0xFFFFFFFF
