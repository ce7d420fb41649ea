"""Which proxy a request goes through, by the variables that the HTTP library reads."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from blaxel_mcp.core.hosts import is_loopback

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Each in capitals or not; where both are set, the one in small letters counts."""

_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE)


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set, by the name they are set under, with user names and passwords masked."""
    names = (_spelling(name, environ) for name in VARIABLES)
    return {name: masked(environ[name]) for name in names if environ.get(name)}


def masked(value: str) -> str:
    """A proxy's URL without the user name and the password in it."""
    return ", ".join(_USER_INFO.sub(r"\1***@", part.strip()) for part in value.split(","))


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The variable that names the proxy for a URL; None where it is called directly.

    A proxy that only the system's own settings name, as macOS and Windows have them, is not known here.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    exempt = [name.strip().lower() for name in _value("NO_PROXY", environ).split(",") if name.strip()]
    if is_loopback(host) or "*" in exempt:
        return None
    if any(host == name or host.endswith(f".{name.removeprefix('.')}") for name in exempt):
        return None
    names = (f"{parts.scheme.upper()}_PROXY", "ALL_PROXY")
    return next((_spelling(name, environ) for name in names if _value(name, environ)), None)


def _spelling(name: str, environ: Mapping[str, str]) -> str:
    return name.lower() if name.lower() in environ else name


def _value(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(_spelling(name, environ), "")
