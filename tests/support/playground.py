"""The Playground in this process, and a real browser that opens it."""

import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from blaxel_mcp.server.http.address import listen, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.playground import PageSessions, playground_app
from blaxel_mcp.server.http.server import Shutdown, serve_http
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import Configuration

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ABOUT: dict[str, Any] = {"workspace": "demo", "demo": True, "prefix": "", "client_entry": {"mcpServers": {}}}


class OpenPlayground:
    """A running Playground.

    Args:
        url: Its URL, without a path.
        app: Its application.
        sessions: The sessions that it accepts.
    """

    def __init__(self, url: str, app: HttpApp, sessions: PageSessions) -> None:
        self.url, self.app, self.sessions = url, app, sessions

    def link(self) -> str:
        """Return a new link."""
        return f"{self.url}/#token={self.sessions.new_token()}"

    def http(self, **headers: str) -> httpx.AsyncClient:
        """Return a plain HTTP client."""
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)


@asynccontextmanager
async def playing(config: Configuration) -> AsyncIterator[OpenPlayground]:
    """Serve the Playground on a free port of loopback while the context lasts."""
    listener, address = listen(resolve(HttpSettings(port=0)))
    with closing(listener):
        app, sessions = playground_app(config, address, ABOUT)
        shutdown, started = Shutdown(), anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(serve_http, app, listener, shutdown, started=started.set))
            with anyio.fail_after(30):
                await started.wait()
            yield OpenPlayground(address.url, app, sessions)
            shutdown.begin()
            shutdown.forced.set()


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; only a hang takes this long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await anyio.sleep(0.01)


def require_browser() -> None:
    """Skip the calling module without a browser and its driver."""
    pytest.importorskip("playwright", reason="the Python package playwright is not installed", exc_type=ImportError)
    if BROWSER is None:
        pytest.skip("there is no chromium on this machine", allow_module_level=True)
