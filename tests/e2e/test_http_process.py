"""`serve --transport http` as a process: its URL, its end, several workers, and hosting platforms."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.emulator import Emulator, RecordedRequest
from tests.support.canaries import CLIENT_CREDENTIALS, HTTP_TOKEN
from tests.support.connecting import ERAS, Era, answer_of, is_slow_call, receipt_of
from tests.support.http_serving import answer_to_42, client_of, message
from tests.support.processes import ENDING_SECONDS, SERVE, started, variables

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here"),
]

EVERYWHERE = "0.0.0.0"  # noqa: S104 - where a host of containers has servers listen

SERVE_HTTP = [*SERVE, "--transport", "http"]

HANG_SECONDS = 300
"""After this time, a test that waits only for events has hung, however busy the machine is."""


class Process:
    """A server process and its stderr."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stderr
        self.process = process
        self.url = ""
        self._lines = BufferedByteReceiveStream(process.stderr)

    async def read_until(self, pattern: str) -> re.Match[str]:
        """Return the next line that matches."""
        while True:
            line = (await self._lines.receive_until(b"\n", 10_000)).decode()
            if match := re.search(pattern, line):
                return match

    async def read_until_all(self, *patterns: str) -> None:
        """Read until each of the patterns has matched a line, in any order."""
        missing = set(patterns)
        while missing:
            line = (await self._lines.receive_until(b"\n", 10_000)).decode()
            missing -= {pattern for pattern in missing if re.search(pattern, line)}

    async def ends_with(self, code: int) -> None:
        """Wait for the end of the process."""
        assert await self.process.wait() == code


@asynccontextmanager
async def served(
    environment: dict[str, str], *arguments: str, command: Sequence[str] = SERVE_HTTP, limit_seconds: float = 40
) -> AsyncIterator[Process]:
    """Run a server process that has printed its URL, for at most `limit_seconds`."""
    words = [*command, *arguments]
    async with started(words, environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        with anyio.fail_after(limit_seconds):
            server = Process(process)
            server.url = (await server.read_until(r"^serving MCP at (http://\S+/mcp)$"))[1]
            yield server


async def open_calls() -> list[int]:
    """Return the number of unsettled calls of each model in the ledger."""
    ledger = Ledger(default_ledger())
    try:
        return [found.unsettled for found in await anyio.to_thread.run_sync(ledger.days, "", "")]
    finally:
        ledger.close()


def slow_calls(emulator: Emulator) -> list[RecordedRequest]:
    return list(filter(is_slow_call, emulator.requests))


async def call_slowly(url: str, *, seconds: int = 30) -> None:
    arguments = {"model": f"fault-slow-{seconds}s", "data": {"inputs": "x"}}
    body, headers = message("tools/call", "2026-07-28", name="run_model", arguments=arguments)
    async with httpx.AsyncClient(timeout=seconds) as http:
        with suppress(httpx.TransportError):
            await http.post(url, content=body, headers=headers)


@pytest.mark.parametrize("era", ERAS)
async def test_it_prints_its_url_and_who_may_call_and_answers_there(emulator: Emulator, era: Era) -> None:
    async with served(variables(emulator), "--port", "0") as server:
        announced = await server.read_until("^callers: (.*)$")
        async with client_of(server.url, era) as client:
            result = await answer_to_42(client)

    assert announced[1] == (
        "every user of this machine, without a token, since http.auth is not set; your credentials are used"
    )
    assert "42" in answer_of(result)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)],
    ids=lambda value: getattr(value, "name", str(value)),
)
async def test_a_signal_drains_it_and_a_second_one_stops_the_call_in_flight_at_once(
    emulator: Emulator, number: signal.Signals, code: int
) -> None:
    async with (
        served(variables(emulator), "--port", "0", "--log-level", "info") as server,
        anyio.create_task_group() as group,
    ):
        group.start_soon(call_slowly, server.url)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)

        server.process.send_signal(number)
        await server.read_until("waiting for 1 request")
        assert not request.aborted
        server.process.send_signal(number)

        with anyio.fail_after(ENDING_SECONDS):
            await server.ends_with(code)
            await request.wait_aborted()
    assert await open_calls() == [0]


async def test_without_anything_in_flight_it_ends_at_once(emulator: Emulator) -> None:
    async with served(variables(emulator), "--port", "0") as server:
        server.process.send_signal(signal.SIGTERM)

        with anyio.fail_after(ENDING_SECONDS):
            await server.ends_with(0)


async def test_it_outlives_a_closed_stdin_and_the_shell_that_started_it(emulator: Emulator) -> None:
    parent = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL).pid, flush=True)"
    command = [sys.executable, "-c", parent, *SERVE_HTTP, "--port", "0"]
    async with started(command, variables(emulator), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdout
        with anyio.fail_after(40):
            server = Process(process)
            server.url = (await server.read_until(r"^serving MCP at (http://\S+/mcp)$"))[1]
            number = int(await process.stdout.receive())
            await process.wait()
            try:
                async with client_of(server.url) as client:
                    assert answer_of(await answer_to_42(client))
            finally:
                os.kill(number, signal.SIGTERM)


async def test_an_address_in_use_ends_it_with_the_reason(emulator: Emulator) -> None:
    async with served(variables(emulator), "--port", "0") as server:
        port = server.url.removesuffix("/mcp").rpartition(":")[2]
        finished = await anyio.run_process(
            [*SERVE_HTTP, "--port", port], env=variables(emulator), check=False, stdin=subprocess.DEVNULL
        )

    assert finished.returncode == 2
    assert b"cannot listen on 127.0.0.1 port" in finished.stderr
    assert b"Choose another port with --port" in finished.stderr
    assert b"Traceback" not in finished.stderr


async def test_beyond_loopback_it_does_not_start_without_authentication(emulator: Emulator) -> None:
    finished = await anyio.run_process(
        [*SERVE_HTTP, "--host", EVERYWHERE], env=variables(emulator), check=False, stdin=subprocess.DEVNULL
    )

    assert finished.returncode == 2
    assert b"http.auth is not set" in finished.stderr
    assert b"BLAXEL_MCP_HTTP__AUTH" in finished.stderr
    assert b"serving MCP" not in finished.stderr


@pytest.mark.parametrize(
    ("environment", "arguments", "told"),
    [
        ({"HOST": EVERYWHERE, "PORT": "0"}, (), b'or to "platform" behind a gateway'),
        ({}, ("--host", EVERYWHERE), b"http.host on the command line contradicts BL_CLOUD"),
        ({"BLAXEL_MCP_HTTP__AUTH": "platform"}, ("--host", EVERYWHERE), b"contradicts BL_CLOUD"),
        ({"BLAXEL_MCP_HTTP__BEARER_TOKENS": f'["{HTTP_TOKEN}"]'}, (), b"has no effect: http.auth is not set"),
        ({"BLAXEL_MCP_HTTP__AUTH": ""}, (), b"BLAXEL_MCP_HTTP__AUTH is blank"),
        ({"blaxel_mcp_http__auth": "token"}, (), b"did you mean BLAXEL_MCP_HTTP__AUTH?"),
        ({"BLAXEL_MCP_CONFIG": ""}, (), b"BLAXEL_MCP_CONFIG is blank"),
        ({}, ("--config", ""), b"--config is blank"),
        ({}, ("--host", ""), b"http.host on the command line is blank"),
    ],
)
async def test_no_variable_of_the_platform_and_nothing_blank_opens_the_server(
    emulator: Emulator, environment: dict[str, str], arguments: tuple[str, ...], told: bytes
) -> None:
    hosted = variables(emulator) | {"BL_CLOUD": "true"} | environment
    finished = await anyio.run_process([*SERVE_HTTP, *arguments], env=hosted, check=False, stdin=subprocess.DEVNULL)

    assert finished.returncode == 2
    assert told in finished.stderr
    assert b"serving MCP" not in finished.stderr


@pytest.mark.parametrize("host", [EVERYWHERE, "::"])
async def test_on_blaxel_the_injected_variables_suffice(emulator: Emulator, tmp_path: Path, host: str) -> None:
    """The environment has only what Blaxel sets for a hosted server, and the URLs of the emulator."""
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(fresh),
        "HOST": host,
        "PORT": "0",
        "BL_CLOUD": "true",
        "BLAXEL_MCP_HTTP__AUTH": "platform",
        "BL_WORKSPACE": "demo",
        "BL_NAME": "blaxel-mcp",
        "BL_TYPE": "function",
        "BL_CLIENT_CREDENTIALS": CLIENT_CREDENTIALS,
        "BL_GENERATION": "mk3",
        "BL_REGION": "us-pdx-1",
        "BL_RUN_INTERNAL_HOST": "run.internal",
        "BL_RUN_INTERNAL_PROTOCOL": "https",
        "BL_ENABLE_OPENTELEMETRY": "false",
        "BL_LOG_LEVEL": "INFO",
        "LOG_LEVEL": "INFO",
        "BL_API_URL": emulator.api_url,
        "BL_RUN_URL": emulator.run_url,
    }
    async with served(environment) as server:
        announced = await server.read_until("^callers: (.*)$")
        port = server.url.removesuffix("/mcp").rpartition(":")[2]
        # As Blaxel's gateway forwards a request: with its own host name, and the key that admitted the caller.
        headers = {"host": "run.blaxel.ai", "authorization": "Bearer the-key-of-the-caller-of-the-function"}
        async with client_of(f"http://127.0.0.1:{port}/mcp", headers=headers) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            result = await answer_to_42(client)
        server.process.send_signal(signal.SIGTERM)
        await server.ends_with(0)

    assert announced[1].startswith("anyone authenticated by the platform in front")
    assert "house-chat" in tools
    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert receipt_of(result)["workspace"] == "demo"
    sent = [value for request in emulator.requests for value in request.header_values("x-blaxel-authorization")]
    assert all("the-key-of-the-caller" not in value for value in sent)
