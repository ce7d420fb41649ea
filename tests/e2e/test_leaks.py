"""Secrets of a server process: in its log, in the report of a crash, and in the files of a killed one.

`leaks` checks after every test that none has leaked; these tests state that there was an occasion.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, get_args

import anyio
import anyio.abc
import pytest

from blaxel_mcp.core.logs import LogFormat
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import WRONG_KEY
from tests.support.processes import ENDING_SECONDS, SERVE, frame, hello, started, variables

pytestmark = pytest.mark.anyio

in_each_format = pytest.mark.parametrize("log_format", get_args(LogFormat))


def call(number: int, model: str, **more: Any) -> bytes:
    return frame("tools/call", number, name="run_model", arguments={"model": model, "data": {"inputs": "x"}, **more})


async def answers(process: anyio.abc.Process, count: int) -> bytes:
    """Return the output of a server until it has answered this many requests."""
    assert process.stdout
    written = b""
    with anyio.fail_after(30):
        while written.count(b"\n") < count:
            written += await process.stdout.receive()
    return written


@in_each_format
async def test_a_server_that_logs_everything_logs_no_secret(
    emulator: Emulator, log_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [*SERVE, "--log-level", "debug", "--log-format", log_format]
    environment = variables(emulator) | {"PYTHONASYNCIODEBUG": "1"}
    models = ("house-chat", "fault-echo-headers", "fault-401", "fault-500", "fault-drop", "fault-redirect")
    async with started(command, environment, stderr=2) as process:
        assert process.stdin
        await process.stdin.send(hello() + b"".join(call(number, model) for number, model in enumerate(models, 2)))
        written = await answers(process, len(models) + 1)
        await process.stdin.aclose()
        with anyio.fail_after(ENDING_SECONDS):
            await process.wait()

    assert b"[redacted]" in written
    log = capfd.readouterr().err.splitlines()
    assert any("serving workspace demo with credentials from BL_API_KEY" in line for line in log)
    if log_format == "json":
        assert all(json.loads(line)["level"] for line in log if line.startswith("{"))


@in_each_format
async def test_a_server_with_a_wrong_key_logs_no_secret(emulator: Emulator, log_format: str) -> None:
    command = [*SERVE, "--log-level", "debug", "--log-format", log_format]
    environment = variables(emulator) | {"BL_API_KEY": WRONG_KEY, "BLAXEL_MCP_DISCOVERY__ENABLED": "true"}
    async with started(command, environment) as process:
        assert process.stdin
        await process.stdin.send(hello() + call(2, "house-chat") + frame("tools/list", 3))
        assert b"authentication_failed" in await answers(process, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="the signal is POSIX's")
async def test_the_report_of_a_crash_holds_no_secret(emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    environment = variables(emulator) | {"PYTHONFAULTHANDLER": "1"}
    async with started(SERVE, environment, stderr=2) as process:
        assert process.stdin
        await process.stdin.send(hello() + call(2, "fault-slow-30s"))
        await emulator.wait_for(lambda request: "fault-slow" in request.path and request.method == "POST", 20)
        process.send_signal(signal.SIGABRT)
        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == -signal.SIGABRT

    assert "Fatal Python error: Aborted" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
async def test_what_a_killed_server_leaves_behind_holds_no_secret(emulator: Emulator) -> None:
    environment = variables(emulator) | {"BLAXEL_MCP_LIMITS__MAX_MEDIA_BYTES": "0"}
    calls = (("fault-png", 2), ("fault-echo-headers", 3), ("fault-slow-30s", 4))
    frames = [
        frame("tools/call", number, name="run_model", arguments={"model": model, "data": {}}) for model, number in calls
    ]
    async with started(SERVE, environment) as process:
        assert process.stdin
        assert process.stdout
        written = b""
        with anyio.fail_after(20):
            await process.stdin.send(hello() + b"".join(frames))
            await emulator.wait_for(lambda request: "fault-slow" in request.path and request.method == "POST", 20)
            while written.count(b"\n") < 3:
                written += await process.stdout.receive()
            process.send_signal(signal.SIGKILL)
            await process.wait()

    left = {Path(folder, name).suffix for folder, _, names in os.walk(Path.home()) for name in names}
    assert left >= {".png", ".lock", ".sqlite3"}
