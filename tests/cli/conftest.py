"""A platform for commands, which run an event loop of their own."""

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from blaxel_mcp.emulator import Emulator, run_emulator
from tests.support.canaries import KEY, CanaryEmulator, let_in


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator in a thread of its own, since a command runs its own event loop; the environment leads there."""
    started, ended = threading.Event(), anyio.Event()
    emulator = CanaryEmulator()
    let_in(emulator)

    async def serve() -> None:
        async with run_emulator(emulator=emulator):
            loops.append(anyio.lowlevel.current_token())
            started.set()
            await ended.wait()

    loops: list[Any] = []
    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    assert started.wait(30)
    for name, value in (("RUN_URL", emulator.run_url), ("API_URL", emulator.api_url), ("WORKSPACE", "demo")):
        monkeypatch.setenv(f"BL_{name}", value)
    monkeypatch.setenv("BL_API_KEY", KEY)
    yield emulator
    anyio.from_thread.run_sync(ended.set, token=loops[0])
    thread.join(30)
