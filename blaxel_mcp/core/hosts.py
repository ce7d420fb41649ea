"""Hosts and ports as URLs name them."""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})
"""The port of each URL scheme that this project speaks."""

LOOPBACK_PATTERNS = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""Loopback as httpx's `mounts` spell it: such requests bypass every proxy."""


def is_loopback(host: str) -> bool:
    """Return whether a URL's host is this machine, without asking a name service."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
