"""Fixtures of every test: one async backend, an empty home, a bare environment and an emulated platform."""

import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blaxel_mcp.emulator import Emulator, run_emulator
from tests.support.canaries import CanaryEmulator, let_in

pytest_plugins = ["tests.support.leaks"]

_KEPT = ("PATH", "LANG", "LC_", "TEMP", "TMP", "VIRTUAL_ENV", "SYSTEM", "WINDIR", "COMSPEC", "PATHEXT", "PROGRAM")
_KEPT_FOR_TESTS = ("CI", "COV", "PYTEST", "PYTHON", "PY_COLORS", "PROPERTY_EXAMPLES", "UPDATE_")
"""Beginnings of the variables that the tests keep; everything else could change results.

Among them are this server's and Blaxel's settings, HOST and PORT, proxies and certificates (HTTP_PROXY, SSL_CERT_FILE,
REQUESTS_CA_BUNDLE), folders (XDG_*, APPDATA), what `rich` and `argparse` read (COLUMNS, NO_COLOR, FORCE_COLOR, TERM)
and what the MCP SDK and OpenTelemetry read (MCP_*, OTEL_*).
"""


def pytest_configure() -> None:
    """Take the developer's variables away, and give child processes default signal handlers."""
    for name in list(os.environ):
        if not name.upper().startswith((*_KEPT, *_KEPT_FOR_TESTS)):
            del os.environ[name]
    # A child process inherits an ignored signal, as `nohup` and a script's `&` set it, but not a handler.
    for number in (signal.SIGINT, signal.SIGTERM, *([] if os.name == "nt" else [signal.SIGHUP])):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_finish() -> None:
    """Let the garbage collector ignore the modules and the collected tests: it took a seventh of the time."""
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(searched_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, which is also the folder of trusted certificates.

    Parsing the certificates of the internet's authorities takes 20 ms for each connection pool; no test needs them.
    """
    directory = searched_folder / "home"
    directory.mkdir()
    for name in ("HOME", "USERPROFILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(directory))
    return directory


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """The emulated platform, on a free port of loopback, which accepts the suite's credentials."""
    prepared = CanaryEmulator()
    let_in(prepared)
    async with run_emulator(emulator=prepared) as running:
        yield running
