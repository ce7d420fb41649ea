"""Floods: the error that comes of each, what the server process takes up for it, and that the next call is well."""

import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.support.processes import SERVE, frame, hello, variables
from tests.support.raw_upstream import Written, answer, raw_upstream

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="a process's peak of memory is read from /proc"),
]

MIB = 1024 * 1024
LONGEST_FRAME = 32 * MIB
SMALL = {"BLAXEL_MCP_LIMITS__MAX_RESPONSE_BYTES": str(4 * MIB)}
"""A limit that is reached sooner and means the same."""

FEW_MEGABYTES = 10
"""What a process may take up besides without our asking for whom: floods of so little share one."""

OUT_OF_TIME = {"BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS": "1"}


class Server:
    """A server process, spoken to in frames of our own."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._numbers = itertools.count(3)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool and return its result."""
        number = next(self._numbers)
        return (await self.ask(frame("tools/call", number, name=tool, arguments=arguments), number))["result"]

    async def ask(self, request: bytes, number: int) -> Any:
        """Send a frame and return its answer, which is the only frame that comes."""
        await self._stdin.send(request)
        reply = json.loads(await self._stdout.receive_until(b"\n", LONGEST_FRAME))
        assert reply["id"] == number
        return reply

    def megabytes(self, name: str) -> float:
        """A figure of the process's memory: `VmRSS` is what it takes up now, `VmHWM` the most so far."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


@asynccontextmanager
async def served(environment: Mapping[str, str]) -> AsyncIterator[Server]:
    process = await anyio.open_process(SERVE, env=environment, stderr=subprocess.DEVNULL)
    try:
        server = Server(process)
        await server.ask(hello(), 1)
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """One line of the table.

    Attributes:
        model: The model whose answer it is.
        told: The error's code and whether it was billed; None for an answer.
        megabytes: What the process may take up for it at most, beyond what it takes up idle.
        seconds: How long it may last at most, on a busy machine.
        settings: The server's.
        arguments: The call's.
    """

    model: str
    told: tuple[str, str] | None
    megabytes: int
    seconds: int
    settings: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


CHAT = {"path": "/v1/chat/completions", "data": {"stream": True}}

FLOODS = (
    # At the default limits: 64 MiB of an answer, 10 MiB of one event, 16 MiB of arguments.
    Flood(model="fault-flood-400", told=("response_too_large", "yes"), megabytes=130, seconds=20),
    Flood(model="fault-gzip-bomb-4096", told=("response_too_large", "yes"), megabytes=130, seconds=20),
    Flood(model="fault-values-60", told=None, megabytes=400, seconds=20),
    Flood(model="fault-stream-endless", told=("response_too_large", "yes"), megabytes=200, seconds=30, arguments=CHAT),
    Flood(model="fault-stream-endless-line", told=("bad_response", "yes"), megabytes=60, seconds=10, arguments=CHAT),
    Flood(model="fault-stream-event-100", told=("bad_response", "yes"), megabytes=80, seconds=10, arguments=CHAT),
    Flood(model="fault-stream-tiny-20", told=None, megabytes=40, seconds=20, arguments=CHAT),
    Flood(model="fault-deep-100000", told=("bad_response", "maybe"), megabytes=20, seconds=5),
    Flood(model="fault-error-endless", told=("upstream_error", "maybe"), megabytes=10, seconds=15),
    Flood(model="fault-headers", told=("network_error", "maybe"), megabytes=10, seconds=5),
    Flood(model="fault-nan", told=("bad_response", "maybe"), megabytes=5, seconds=5),
    Flood(model="fault-invalid-utf8", told=("bad_response", "maybe"), megabytes=5, seconds=5),
    Flood(model="fault-truncated-gzip", told=("bad_response", "maybe"), megabytes=5, seconds=5),
    Flood(model="fault-truncated", told=("network_error", "maybe"), megabytes=5, seconds=5),
    Flood(model="fault-redirect-loop", told=("upstream_error", "no"), megabytes=5, seconds=5),
    Flood(model="fault-drip", told=("timeout", "maybe"), megabytes=5, seconds=5, settings=OUT_OF_TIME),
    # The same floods at a limit of 4 MiB: what they take up goes by the limit and not by the flood.
    Flood(model="fault-flood-400", told=("response_too_large", "yes"), megabytes=20, seconds=5, settings=SMALL),
    Flood(model="fault-gzip-bomb-4096", told=("response_too_large", "yes"), megabytes=20, seconds=5, settings=SMALL),
)
"""What each may cost. The bounds hold twice what was measured, the time on a machine with nothing else to do."""


WELL = answer(b'{"well": true}')
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ODD_ANSWERS: dict[str, Written] = {
    "sound": lambda: [WELL],
    "upgrade": lambda: [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: raw\r\nconnection: upgrade\r\n\r\n", b"x" * MIB],
    "continue-100000": lambda: [*itertools.repeat(CONTINUE * 1000, 100), WELL],
    "continue-endless": lambda: itertools.repeat(CONTINUE * 1000),
    "length-too-short": lambda: [answer(b'{"well": true}' + b" " * 10, length=14), answer(b'{"smuggled": true}')],
    "length-too-long": lambda: [answer(b"{}", length=100)],
    "header-endless": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\nx-padding: "], itertools.repeat(b"a" * MIB)),
    "headers-endless": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"x-padding: a\r\n" * 1000)),
    "chunk-of-a-terabyte": lambda: itertools.chain(
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000\r\n"], itertools.repeat(b"a" * MIB)
    ),
    "no-http": lambda: itertools.repeat(b"\0" * MIB),
}
"""What an upstream may write that no HTTP library would."""

ODD_FLOODS = (
    Flood(model="upgrade", told=("network_error", "maybe"), megabytes=5, seconds=5),
    Flood(model="continue-100000", told=None, megabytes=5, seconds=10),
    Flood(model="continue-endless", told=("timeout", "maybe"), megabytes=5, seconds=10, settings=OUT_OF_TIME),
    Flood(model="length-too-short", told=None, megabytes=5, seconds=5),
    Flood(model="length-too-long", told=("timeout", "maybe"), megabytes=5, seconds=5, settings=OUT_OF_TIME),
    Flood(model="header-endless", told=("network_error", "maybe"), megabytes=5, seconds=5),
    Flood(model="headers-endless", told=("network_error", "maybe"), megabytes=5, seconds=5),
    Flood(model="chunk-of-a-terabyte", told=("response_too_large", "yes"), megabytes=20, seconds=5, settings=SMALL),
    Flood(model="no-http", told=("network_error", "maybe"), megabytes=5, seconds=5),
)


LARGE = [flood for flood in FLOODS if flood.megabytes > FEW_MEGABYTES]
SMALLER = [flood for flood in FLOODS if flood.megabytes <= FEW_MEGABYTES]


def together(floods: Iterable[Flood]) -> Iterator[tuple[dict[str, str], list[Flood]]]:
    """The floods that one process takes one after the other: those of the same settings."""
    by_settings = itertools.groupby(sorted(floods, key=_settings), _settings)
    for _, group in by_settings:
        found = list(group)
        yield found[0].settings, found


def _settings(flood: Flood) -> str:
    return json.dumps(flood.settings)


@pytest.mark.parametrize(
    "flood", LARGE, ids=[f"{flood.model}{' at 4 MiB' * (flood.settings == SMALL)}" for flood in LARGE]
)
async def test_a_large_flood_is_told_within_its_bounds_and_the_next_call_is_well(
    emulator: Emulator, flood: Flood
) -> None:
    async with served({**variables(emulator), **flood.settings}) as server:
        await check(server, flood, {"model": "house-classifier", "data": {"inputs": "a fine day"}})


async def test_a_fault_is_told_within_its_bounds_and_the_next_call_is_well(emulator: Emulator) -> None:
    for settings, floods in together(SMALLER):
        async with served({**variables(emulator), **settings}) as server:
            for flood in floods:
                await check(server, flood, {"model": "house-classifier", "data": {"inputs": "a fine day"}})


async def test_what_is_hardly_http_is_told_within_its_bounds_and_the_next_call_is_well(emulator: Emulator) -> None:
    async with raw_upstream(ODD_ANSWERS) as url:
        only_here = {"BL_RUN_URL": url, "BLAXEL_MCP_DISCOVERY__ENABLED": "false"}
        for settings, floods in together(ODD_FLOODS):
            async with served({**variables(emulator), **only_here, **settings}) as server:
                for flood in floods:
                    await check(server, flood, {"model": "sound", "data": {}})


async def check(server: Server, flood: Flood, sound: Mapping[str, Any]) -> None:
    """Call a sound model, then the flood, then the sound one again, and hold the flood to its line."""
    with anyio.fail_after(20):
        well = await server.call("run_model", sound)
    idle = server.megabytes("VmHWM")
    with anyio.fail_after(flood.seconds):
        result = await server.call("run_model", {"data": {}, **flood.arguments, "model": flood.model})
    grown = server.megabytes("VmHWM") - idle
    with anyio.fail_after(20):
        again = await server.call("run_model", sound)

    error = result["_meta"].get(ERROR_KEY)
    assert (error and (error["code"], error["billed"])) == flood.told, flood.model
    assert sum(len(block.get("text", "")) for block in result["content"]) <= 41_000
    assert "Traceback" not in json.dumps(result)
    assert grown < flood.megabytes, flood.model
    assert not well.get("isError")
    assert again["content"] == well["content"], f"the call after {flood.model} is harmed"


DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


ARGUMENTS = (
    (DEEP, "parse error"),
    ('{"a":' * 150 + "1" + "}" * 150, "invalid_arguments"),
    (json.dumps(DEEP), "invalid_arguments"),
    (json.dumps('{"a":' * 150 + "1" + "}" * 150), "invalid_arguments"),
    (json.dumps('{"a": 1e999}'), "invalid_arguments"),
    ('{"a": 1e999}', "invalid_arguments"),
    ('{"a": NaN}', "invalid_arguments"),
    (f'"{"x" * 17 * MIB}"', "too large"),
    ('{"max_tokens": 1' + "0" * 40 + "}", "answered"),
)
"""What is given for `data`, as it stands in the frame, and what comes of it."""

MEGABYTES_FOR_ARGUMENTS = 60


async def test_arguments_that_are_a_flood_are_answered_and_the_next_call_is_well(emulator: Emulator) -> None:
    request = frame("tools/call", 2, name="run_model", arguments={"model": "fault-201", "data": "DATA"})
    async with served(variables(emulator)) as server:
        idle = server.megabytes("VmHWM")
        for data, told in ARGUMENTS:
            with anyio.fail_after(20):
                reply = await server.ask(request.replace(b'"DATA"', data.encode()), 2)
                again = await server.call("run_model", {"model": "fault-201", "data": {}})
            assert outcome(reply) == told, data[:60]
            assert not again.get("isError")
        assert server.megabytes("VmHWM") - idle < MEGABYTES_FOR_ARGUMENTS


def outcome(reply: Any) -> str:
    """What came of a frame, in a word."""
    if "error" in reply:
        return {-32700: "parse error", -32600: "too large"}.get(reply["error"]["code"], "another error")
    error = reply["result"]["_meta"].get(ERROR_KEY)
    return error["code"] if error else "answered"
