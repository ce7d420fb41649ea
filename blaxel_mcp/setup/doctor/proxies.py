"""The proxy of a request, by the environment variables that the HTTP library reads."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from blaxel_mcp.core.hosts import is_loopback

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Each may be in upper or lower case; lower case takes precedence."""

_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE)


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables that are set, by their exact names, with user names and passwords masked."""
    names = (_name_in(environ, name) for name in VARIABLES)
    return {name: masked(environ[name]) for name in names if environ.get(name)}


def masked(value: str) -> str:
    """Return a proxy's URL, or a list of hosts, with user names and passwords masked."""
    return ", ".join(_USER_INFO.sub(r"\1***@", part.strip()) for part in value.split(","))


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable that names the proxy of a URL; None if the connection is direct.

    Proxies in the system settings of macOS and Windows are not considered.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    exempt = [name.strip().lower() for name in _value("NO_PROXY", environ).split(",") if name.strip()]
    if is_loopback(host) or "*" in exempt:
        return None
    if any(host == name or host.endswith(f".{name.removeprefix('.')}") for name in exempt):
        return None
    names = (f"{parts.scheme.upper()}_PROXY", "ALL_PROXY")
    return next((_name_in(environ, name) for name in names if _value(name, environ)), None)


def _name_in(environ: Mapping[str, str], name: str) -> str:
    return name.lower() if name.lower() in environ else name


def _value(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(_name_in(environ, name), "")
