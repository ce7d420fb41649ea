"""Hosts and ports of URLs."""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})
"""The default port of each URL scheme that this project uses."""

LOOPBACK_PATTERNS = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""URL patterns of loopback for httpx's `mounts`; requests that match them bypass every proxy."""


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
