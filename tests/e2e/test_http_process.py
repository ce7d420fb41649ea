"""`serve --transport http` as a process: its URL, its end, several workers, and hosting platforms."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.tools.store.spool import default_spools
from tests.support.canaries import CLIENT_CREDENTIALS, HTTP_TOKEN, KEY
from tests.support.connecting import ERAS, Era, answer_of, inference_requests, is_slow_call, receipt_of, text_of
from tests.support.http_serving import HOUSE_CHAT, SLOW_CALL, answer_to_42, client_of, message
from tests.support.processes import ENDING_SECONDS, SERVE, started, variables
from tests.support.worker_pool import __file__ as worker_pool

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here"),
]

EVERYWHERE = "0.0.0.0"  # noqa: S104 - where a host of containers has servers listen

SERVE_HTTP = [*SERVE, "--transport", "http"]

TWO_PATIENT_WORKERS = [sys.executable, worker_pool]
"""Two workers whose requests have an hour to finish: only a second signal stops them within a test."""

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


@asynccontextmanager
async def two_workers(emulator: Emulator) -> AsyncIterator[tuple[Process, list[int]]]:
    """Run two workers that are serving; yield the server and their process ids."""
    async with served(variables(emulator), "--port", "0", "--workers", "2", "--log-level", "info") as server:
        numbers = [int((await server.read_until(r"worker (\d+) is serving"))[1]) for _ in range(2)]
        yield server, numbers


async def test_no_spelling_of_the_path_gets_past_the_token_of_several_workers(emulator: Emulator) -> None:
    environment = {
        **variables(emulator),
        "BLAXEL_MCP_HTTP__AUTH": "token",
        "BLAXEL_MCP_HTTP__BEARER_TOKENS": f'["{HTTP_TOKEN}"]',
    }
    body, headers = message("tools/call", "legacy", **HOUSE_CHAT)
    async with (
        served(environment, "--port", "0", "--workers", "2") as server,
        httpx.AsyncClient(trust_env=False, headers=headers, timeout=30) as http,
    ):
        base = server.url.removesuffix("/mcp")
        refused = [
            (await http.post(f"{base}{path}", content=body)).status_code
            for path in ("/mcp", "/mcp%0A", "/mcp%0D", "//mcp", "/mcp/", "/%6Dcp", "/healthz%0A", "/")
        ]
        allowed = await http.post(server.url, content=body, headers={"authorization": f"Bearer {HTTP_TOKEN}"})

    assert refused == [401] * 8
    assert allowed.status_code == 200
    assert len(inference_requests(emulator.requests)) == 1


async def test_several_workers_share_an_address_and_return_no_handles(emulator: Emulator) -> None:
    environment = {**variables(emulator), "BLAXEL_MCP_LIMITS__DETACH_AFTER_SECONDS": "0.1"}
    async with served(environment, "--port", "0", "--workers", "2") as server:
        async with client_of(server.url) as client:
            slow = await client.call_tool("run_model", {"model": "fault-slow-1s", "data": {"inputs": "x"}})
        server.process.send_signal(signal.SIGTERM)
        await server.ends_with(0)

    assert receipt_of(slow)["status"] == 200


async def test_a_cap_that_is_counted_in_memory_is_one_for_all_workers(emulator: Emulator) -> None:
    environment = {
        **variables(emulator),
        "BLAXEL_MCP_BUDGET__LEDGER": ":memory:",
        "BLAXEL_MCP_BUDGET__CALLS_PER_DAY": "2",
    }
    failed: list[bool] = []

    async def call(url: str) -> None:
        async with client_of(url) as client:
            result = await client.call_tool("run_model", {"model": "house-classifier", "data": {"inputs": "x"}})
            failed.append(bool(result.is_error))

    async with served(environment, "--port", "0", "--workers", "2", "--log-level", "info") as server:
        for _ in range(2):
            await server.read_until(r"worker \d+ is serving")
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(call, server.url)

    assert sorted(failed) == [False] * 2 + [True] * 10


async def test_the_answers_of_one_worker_are_readable_by_the_others_and_removed_at_the_end(emulator: Emulator) -> None:
    async with two_workers(emulator) as (server, _):
        async with client_of(server.url) as client:
            answered = await answer_to_42(client)
        for _ in range(8):
            # Each over its own connection, which any of the workers accepts.
            async with client_of(server.url) as client:
                read = await client.call_tool("read_result", {"call_id": receipt_of(answered)["call_id"]})
                assert "6 * 7 = 42" in text_of(read)
        assert list(default_spools().glob("spool-*"))
        server.process.send_signal(signal.SIGTERM)
        await server.ends_with(0)

    assert list(default_spools().iterdir()) == []


async def test_a_cancel_reaches_the_call_in_any_worker(emulator: Emulator) -> None:
    _, usual = message("", "legacy")
    headers = {**usual, "mcp-session-id": "0123456789abcdefghijklmnopqrstuv"}

    async def post(method: str, request_id: int | None = None, **params: Any) -> None:
        # Each over its own connection, which any of the workers accepts.
        async with httpx.AsyncClient(timeout=30, headers=headers) as http:
            named = {} if request_id is None else {"id": request_id}
            (
                await http.post(server.url, json={"jsonrpc": "2.0", **named, "method": method, "params": params})
            ).raise_for_status()

    async with two_workers(emulator) as (server, _), anyio.create_task_group() as group:
        with anyio.fail_after(30):
            for number in range(8):
                group.start_soon(partial(post, "tools/call", number, **SLOW_CALL))
            await emulator.wait_for(lambda _: len(slow_calls(emulator)) == 8, timeout_seconds=20)
            for number in range(8):
                await post("notifications/cancelled", requestId=number)
            for request in slow_calls(emulator):
                await request.wait_aborted()


async def test_a_worker_that_dies_is_replaced(emulator: Emulator) -> None:
    async with two_workers(emulator) as (server, numbers):
        os.kill(numbers[0], signal.SIGKILL)

        replaced = await server.read_until(r"worker (\d+) exited with code -9 and is restarted")
        begun = await server.read_until(r"worker (\d+) is serving")
        async with client_of(server.url) as client:
            assert answer_of(await answer_to_42(client))

    assert int(replaced[1]) == numbers[0]
    assert int(begun[1]) not in numbers


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_signals_reach_all_workers(emulator: Emulator, number: signal.Signals, code: int) -> None:
    async with (
        served(variables(emulator), command=TWO_PATIENT_WORKERS, limit_seconds=HANG_SECONDS) as server,
        anyio.create_task_group() as group,
    ):
        numbers = [int((await server.read_until(r"worker (\d+) is serving"))[1]) for _ in range(2)]
        group.start_soon(partial(call_slowly, server.url, seconds=3600))
        request = await emulator.wait_for(is_slow_call, timeout_seconds=HANG_SECONDS)

        # To all of them at once, as a terminal and a service manager do.
        for process in (server.process.pid, *numbers):
            os.kill(process, number)
        # Both lines, since the system would merge a second signal with a pending first one.
        await server.read_until_all("shutting down 2 workers", "waiting for 1 request")
        assert not request.aborted
        server.process.send_signal(number)

        await server.ends_with(code)
        await request.wait_aborted()
        for process in numbers:
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)


async def test_workers_do_not_outlive_their_supervisor(emulator: Emulator) -> None:
    async with two_workers(emulator) as (server, _):
        server.process.kill()

        # Only the workers have the writing end, so the pipe ends with them.
        with anyio.fail_after(ENDING_SECONDS):
            with pytest.raises((anyio.EndOfStream, anyio.IncompleteRead)):
                await server.read_until("there is no such line")


async def test_workers_that_cannot_start_end_the_server_with_the_reason(emulator: Emulator, tmp_path: Path) -> None:
    # The supervisor reads it once, and it is gone when the workers look for it.
    file = tmp_path / "config.toml"
    os.mkfifo(file)
    command = [*SERVE_HTTP, "--port", "0", "--workers", "2", "--config", str(file)]
    async with started(command, variables(emulator), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        with anyio.fail_after(40):
            assert process.stderr
            await anyio.to_thread.run_sync(file.write_text, "[limits]\ntimeout_seconds = 5\n")
            file.unlink()
            said = b"".join([chunk async for chunk in process.stderr])
            assert await process.wait() == 2

    assert b"config.toml" in said
    assert b"Traceback" not in said
    assert KEY.encode() not in said
