"""What every test stands on: one async backend, an empty home and an environment without our variables."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blaxel_mcp.emulator import Emulator, run_emulator
from tests.support.canaries import CanaryEmulator, let_in

pytest_plugins = ["tests.support.leaks"]

_SCRUBBED_PREFIXES = ("BL_", "BLAXEL_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "XDG_")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and no variable of the developer's that could reach the code under test."""
    for name in list(os.environ):
        if name.upper().startswith(_SCRUBBED_PREFIXES):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("USERPROFILE", str(directory))
    return directory


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """The emulated platform, on a free port of loopback, where the suite's secrets are good."""
    prepared = CanaryEmulator()
    let_in(prepared)
    async with run_emulator(emulator=prepared) as running:
        yield running
