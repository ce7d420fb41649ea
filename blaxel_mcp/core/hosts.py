"""Hosts and ports of URLs."""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})
"""The default port of each URL scheme that this project uses."""


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback name or address, without resolving it.

    Args:
        host: A host name or an IP address; an IPv6 address may have brackets.
    """
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
