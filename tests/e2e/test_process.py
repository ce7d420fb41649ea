"""The server as a process: the frames on its stdout, and its end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from blaxel_mcp.emulator import Emulator
from tests.support.canaries import KEY
from tests.support.connecting import ERAS, Era, answer_of, is_slow_call, receipt_of, text_of
from tests.support.leaks import Client, look_at
from tests.support.processes import ENDING_SECONDS, SERVE, SERVE_AS_A_CHILD, frame, hello, started, variables

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors are POSIX's here"),
]

NOISY = """
import os, sys, threading, time
print("left in a buffer before anything is served")
def noise():
    while os.fstat(1).st_ino != os.fstat(2).st_ino:
        time.sleep(0.001)
    print("printed while serving", flush=True)
    os.write(1, b"written straight to descriptor 1\\n")
threading.Thread(target=noise, daemon=True).start()
from blaxel_mcp.cli.main import main
sys.exit(main(["serve"]))
"""
"""A process in which a library prints: early, during the session, and past Python's own buffers."""


HELLO = hello()
SLOW_CALL = frame("tools/call", 2, name="run_model", arguments={"model": "fault-slow-30s", "data": {}})


@asynccontextmanager
async def served(emulator: Emulator, *, stdout: int = subprocess.PIPE) -> AsyncIterator[anyio.abc.Process]:
    """Run a server process with a call in flight upstream."""
    async with started(SERVE, variables(emulator), stdout=stdout) as process:
        with anyio.fail_after(20):
            assert process.stdin
            await process.stdin.send(HELLO + SLOW_CALL)
            await emulator.wait_for(is_slow_call, timeout_seconds=20)
            yield process


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        pytest.param(None, 0, id="end of input"),
        pytest.param(signal.SIGTERM, 0, id="SIGTERM"),
        pytest.param(signal.SIGINT, 130, id="SIGINT"),
        pytest.param(signal.SIGHUP, 0, id="SIGHUP"),
    ],
)
async def test_however_it_ends_it_aborts_the_call_in_flight_and_does_not_wait_for_it(
    emulator: Emulator, ending: signal.Signals | None, code: int
) -> None:
    async with served(emulator) as process:
        assert process.stdin
        if ending is None:
            await process.stdin.aclose()
        else:
            process.send_signal(ending)

        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == code
            await emulator.requests[-1].wait_aborted()


async def test_a_second_signal_neither_delays_the_end_nor_cuts_it_short(emulator: Emulator) -> None:
    async with served(emulator) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)

        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() in (0, 130)
            await emulator.requests[-1].wait_aborted()


async def test_a_server_whose_parent_dies_ends_though_its_input_does_not(emulator: Emulator) -> None:
    async with started(SERVE_AS_A_CHILD, variables(emulator)) as parent:
        assert parent.stdin
        assert parent.stdout
        await parent.stdin.send(HELLO + SLOW_CALL)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)

        parent.kill()

        with anyio.fail_after(ENDING_SECONDS):
            await request.wait_aborted()
            # The server has the only writing end of the pipe, so the pipe ends with it.
            async for _ in parent.stdout:
                pass


async def test_a_call_that_was_handed_back_ends_with_its_server(emulator: Emulator) -> None:
    environment = {**variables(emulator), "BLAXEL_MCP_LIMITS__DETACH_AFTER_SECONDS": "0.1"}
    async with started(SERVE, environment) as process:
        assert process.stdin
        assert process.stdout
        with anyio.fail_after(20):
            await process.stdin.send(HELLO + SLOW_CALL)
            written = b""
            while written.count(b"\n") < 2:
                written += await process.stdout.receive()
        assert b'"state":"running"' in written
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        assert not request.aborted
        await process.stdin.aclose()

        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == 0
            await request.wait_aborted()


async def test_complete_answers_are_written_before_the_end(emulator: Emulator) -> None:
    async with started(SERVE, variables(emulator)) as process:
        assert process.stdin
        assert process.stdout
        with anyio.fail_after(20):
            # More than a pipe holds: the answers wait for a reader when the signal comes. All of them are complete
            # by then, since the slow call came after them.
            lists = b"".join(frame("tools/list", number) for number in range(3, 43))
            await process.stdin.send(HELLO + lists + SLOW_CALL)
            await emulator.wait_for(is_slow_call, timeout_seconds=20)
            process.send_signal(signal.SIGTERM)
            written = b""
            async for chunk in process.stdout:
                written += chunk
            assert await process.wait() == 0

    assert written.endswith(b"\n")
    answered = {json.loads(line)["id"] for line in written.splitlines()}
    assert answered - {2} == {1, *range(3, 43)}


async def test_a_client_that_stops_reading_ends_the_process(emulator: Emulator) -> None:
    # A pipe of the test: that of the event loop stays open until the process has ended.
    reading, writing = os.pipe()
    async with served(emulator, stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        assert process.stdin
        await process.stdin.send(frame("ping", 3))

        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == 0
            await emulator.requests[-1].wait_aborted()


async def test_stdout_carries_only_frames_even_if_a_library_prints(emulator: Emulator) -> None:
    noisy = [sys.executable, "-c", NOISY]
    async with started(noisy, variables(emulator), stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        with anyio.fail_after(20):
            await process.stdin.send(HELLO + frame("tools/list", 2))
            written = b""
            while written.count(b"\n") < 2:
                written += await process.stdout.receive()
            await process.stdin.aclose()
            written += b"".join([chunk async for chunk in process.stdout])
            noise = b"".join([chunk async for chunk in process.stderr])
            await process.wait()

    assert [json.loads(line)["id"] for line in written.splitlines()] == [1, 2]
    for line in (b"left in a buffer", b"printed while serving", b"written straight to descriptor 1"):
        assert line in noise


@pytest.mark.parametrize("era", ERAS)
async def test_the_sdks_client_lists_and_calls_over_stdio(emulator: Emulator, era: Era) -> None:
    command, *arguments = SERVE
    server = StdioServerParameters(command=command, args=arguments, env=variables(emulator))
    with tempfile.TemporaryFile("w+") as log, anyio.fail_after(20):
        async with Client(stdio_client(server, errlog=log), mode=era) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})
        log.seek(0)
        assert log.read() == ""

    assert names == ["house-chat", "run_model", "list_models", "read_result", "cancel_call"]
    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert receipt_of(result)["status"] == 200


async def test_with_demo_it_serves_an_emulated_workspace_and_needs_no_settings() -> None:
    command, *arguments = SERVE
    server = StdioServerParameters(command=command, args=[*arguments, "--demo"])
    with anyio.fail_after(20):
        async with Client(server) as client:
            result = await client.call_tool("edge-chat", {"prompt": "What is 6 * 7?"})

    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert receipt_of(result)["workspace"] == "demo"


async def test_a_settings_file_with_a_mistake_ends_the_process_at_once_with_the_reason(
    tmp_path: Path, emulator: Emulator
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('workspcae = "demo"\n')

    finished = await anyio.run_process([*SERVE, "--config", str(file)], env=variables(emulator), check=False)

    look_at("the output of a process", finished.stdout + finished.stderr)
    assert finished.returncode == 2
    assert finished.stdout == b""
    assert b"workspcae" in finished.stderr
    assert b"did you mean workspace?" in finished.stderr
    assert b"Traceback" not in finished.stderr


async def test_a_key_command_does_not_eat_frames(emulator: Emulator, tmp_path: Path) -> None:
    script = tmp_path / "key.py"
    script.write_text(f"import sys; sys.stdin.read(); print({KEY!r})\n")
    environment = variables(emulator) | {"BLAXEL_MCP_API_KEY_COMMAND": json.dumps([sys.executable, str(script)])}
    del environment["BL_API_KEY"]
    command, *arguments = SERVE
    server = StdioServerParameters(command=command, args=arguments, env=environment)
    with anyio.fail_after(20):
        async with Client(server) as client:
            result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert not result.is_error, text_of(result)
