"""The versions of this program and what it runs on."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from blaxel_mcp import __version__
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Result, ok

_PACKAGES = ("mcp", "httpx", "pydantic", "anyio")


async def versions(context: CheckContext) -> Result:  # noqa: ARG001 - every check takes the context
    """List the versions that a bug report needs."""
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    python = f"Python {platform.python_version()} ({sys.executable})"
    return ok(f"blaxel-mcp {__version__}, {python}, {packages}, {platform.platform()}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
