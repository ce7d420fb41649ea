"""Floods: each one is an error within a memory bound of the server process, and harms no later call."""

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
NO_TABLE = {"BLAXEL_MCP_PRICES": "configured"}
"""The price table is imported with the first call of a provider in it, which may be the flood."""

SMALL = {"BLAXEL_MCP_LIMITS__MAX_RESPONSE_BYTES": str(4 * MIB)}
"""A smaller limit, which is reached sooner."""

FEW_MEGABYTES = 10
"""Floods of at most this much share a process."""

FLOOD_SECONDS = 50
"""Time for a flood on a busy machine; quadratic work would take minutes."""


def out_of_time(model: str) -> dict[str, str]:
    """Return a deadline for this model only: the calls before and after it have none."""
    return {"BLAXEL_MCP_MODELS": json.dumps([{"name": model, "timeout_seconds": 2}])}


class Server:
    """A server process that receives frames."""

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
        """Send a frame and return its answer, which is the only frame."""
        await self._stdin.send(request)
        reply = json.loads(await self._stdout.receive_until(b"\n", LONGEST_FRAME))
        assert reply["id"] == number
        return reply

    async def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        self._process.terminate()
        return await self._process.wait()

    def megabytes(self, name: str) -> float:
        """Return a figure of the process's memory in MiB: `VmRSS` is the current one, `VmHWM` the peak."""
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
    """A row of the table.

    Attributes:
        model: The called model.
        error: The expected error code and `billed`; None for an answer.
        megabytes: The allowed growth of the process's peak memory.
        settings: Variables of the server.
        arguments: Arguments of the call.
    """

    model: str
    error: tuple[str, str] | None
    megabytes: int
    settings: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


CHAT = {"path": "/v1/chat/completions", "data": {"stream": True}}

FLOODS = (
    # At the default limits: 64 MiB of an answer, 10 MiB of one event, 16 MiB of arguments.
    Flood(model="fault-flood-400", error=("response_too_large", "yes"), megabytes=130),
    Flood(model="fault-gzip-bomb-4096", error=("response_too_large", "yes"), megabytes=130),
    Flood(model="fault-values-60", error=None, megabytes=400),
    Flood(model="fault-stream-endless", error=("response_too_large", "yes"), megabytes=200, arguments=CHAT),
    Flood(model="fault-stream-endless-line", error=("bad_response", "yes"), megabytes=60, arguments=CHAT),
    Flood(model="fault-stream-event-100", error=("bad_response", "yes"), megabytes=80, arguments=CHAT),
    Flood(model="fault-stream-tiny-20", error=None, megabytes=40, arguments=CHAT),
    Flood(model="fault-deep-100000", error=("bad_response", "maybe"), megabytes=20),
    Flood(model="fault-error-endless", error=("upstream_error", "maybe"), megabytes=10),
    Flood(model="fault-headers", error=("network_error", "maybe"), megabytes=10),
    Flood(model="fault-nan", error=("bad_response", "maybe"), megabytes=5),
    Flood(model="fault-invalid-utf8", error=("bad_response", "maybe"), megabytes=5),
    Flood(model="fault-truncated-gzip", error=("bad_response", "maybe"), megabytes=5),
    Flood(model="fault-truncated", error=("network_error", "maybe"), megabytes=5),
    Flood(model="fault-redirect-loop", error=("upstream_error", "no"), megabytes=5),
    Flood(model="fault-drip", error=("timeout", "maybe"), megabytes=5, settings=out_of_time("fault-drip")),
    # The same floods at a limit of 4 MiB: the memory depends on the limit and not on the flood.
    Flood(model="fault-flood-400", error=("response_too_large", "yes"), megabytes=20, settings=SMALL),
    Flood(model="fault-gzip-bomb-4096", error=("response_too_large", "yes"), megabytes=20, settings=SMALL),
)
"""The bounds are twice the measured memory."""


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
"""Answers that no HTTP library would write."""

ODD_FLOODS = (
    Flood(model="upgrade", error=("network_error", "maybe"), megabytes=5),
    Flood(model="continue-100000", error=None, megabytes=5),
    Flood(model="continue-endless", error=("timeout", "maybe"), megabytes=5, settings=out_of_time("continue-endless")),
    Flood(model="length-too-short", error=None, megabytes=5),
    Flood(model="length-too-long", error=("timeout", "maybe"), megabytes=5, settings=out_of_time("length-too-long")),
    Flood(model="header-endless", error=("network_error", "maybe"), megabytes=5),
    Flood(model="headers-endless", error=("network_error", "maybe"), megabytes=5),
    Flood(model="chunk-of-a-terabyte", error=("response_too_large", "yes"), megabytes=20, settings=SMALL),
    Flood(model="no-http", error=("network_error", "maybe"), megabytes=5),
)


LARGE = [flood for flood in FLOODS if flood.megabytes > FEW_MEGABYTES]
SMALLER = [flood for flood in FLOODS if flood.megabytes <= FEW_MEGABYTES]


def together(floods: Iterable[Flood]) -> Iterator[tuple[dict[str, str], list[Flood]]]:
    """Group the floods with the same settings, which share a process."""
    by_settings = itertools.groupby(sorted(floods, key=_settings), _settings)
    for _, group in by_settings:
        found = list(group)
        yield found[0].settings, found


def _settings(flood: Flood) -> str:
    return json.dumps(flood.settings)


@pytest.mark.parametrize(
    "flood", LARGE, ids=[f"{flood.model}{' at 4 MiB' * (flood.settings == SMALL)}" for flood in LARGE]
)
async def test_a_large_flood_is_an_error_within_its_memory_and_harms_no_later_call(
    emulator: Emulator, flood: Flood
) -> None:
    async with served({**variables(emulator), **NO_TABLE, **flood.settings}) as server:
        await check(server, flood, {"model": "house-classifier", "data": {"inputs": "a fine day"}})


async def test_a_fault_is_an_error_within_its_memory_and_harms_no_later_call(emulator: Emulator) -> None:
    for settings, floods in together(SMALLER):
        async with served({**variables(emulator), **NO_TABLE, **settings}) as server:
            for flood in floods:
                await check(server, flood, {"model": "house-classifier", "data": {"inputs": "a fine day"}})


async def test_invalid_http_is_an_error_within_its_memory_and_harms_no_later_call(emulator: Emulator) -> None:
    async with raw_upstream(ODD_ANSWERS) as url:
        only_here = {"BL_RUN_URL": url, "BLAXEL_MCP_DISCOVERY__ENABLED": "false"}
        for settings, floods in together(ODD_FLOODS):
            async with served({**variables(emulator), **only_here, **settings}) as server:
                for flood in floods:
                    await check(server, flood, {"model": "sound", "data": {}})


async def check(server: Server, flood: Flood, sound: Mapping[str, Any]) -> None:
    """Call a sound model, the flood, and the sound model again, and check the flood's row."""
    with anyio.fail_after(30):
        well = await server.call("run_model", sound)
    idle = server.megabytes("VmHWM")
    with anyio.fail_after(FLOOD_SECONDS):
        result = await server.call("run_model", {"data": {}, **flood.arguments, "model": flood.model})
    grown = server.megabytes("VmHWM") - idle
    with anyio.fail_after(30):
        again = await server.call("run_model", sound)

    error = result["_meta"].get(ERROR_KEY)
    assert (error and (error["code"], error["billed"])) == flood.error, flood.model
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
    ('{"max_tokens": ' + "1" * 100_000 + "}", "invalid_arguments"),
    ('{"max_tokens": ' + "1" * 1_000 + "}", "invalid_arguments"),
    (json.dumps('{"max_tokens": ' + "1" * 100_000 + "}"), "invalid_arguments"),
    ('{"a": 1, "a": 2}', "answered"),
    (json.dumps("```json\n" + " \n" * MIB), "invalid_arguments"),
    (json.dumps(json.dumps("[" + '\\"' * MIB)), "invalid_arguments"),
)
"""The JSON of `data` in the frame, and the outcome."""

MEGABYTES_FOR_ARGUMENTS = 60


async def test_huge_arguments_are_answered_and_harm_no_later_call(emulator: Emulator) -> None:
    request = frame("tools/call", 2, name="run_model", arguments={"model": "fault-201", "data": "DATA"})
    async with served(variables(emulator)) as server:
        idle = server.megabytes("VmHWM")
        for data, expected in ARGUMENTS:
            with anyio.fail_after(30):
                reply = await server.ask(request.replace(b'"DATA"', data.encode()), 2)
                again = await server.call("run_model", {"model": "fault-201", "data": {}})
            assert outcome(reply) == expected, data[:60]
            assert not again.get("isError")
        assert server.megabytes("VmHWM") - idle < MEGABYTES_FOR_ARGUMENTS


def repeated(item: str, size: int = 16 * MIB - 1000) -> str:
    """A JSON array of about so many bytes."""
    return "[" + ",".join([item] * (size // (len(item) + 1))) + "]"


def wide(size: int = 16 * MIB - 1000) -> str:
    """A JSON object of about so many bytes."""
    return "{" + ",".join(f'"{index:07}":1' for index in range(size // 12)) + "}"


HI = '{"role":"user","content":"hi"}'

LARGE_ARGUMENTS: dict[str, tuple[str, str, str]] = {
    # At the limit of max_argument_bytes.
    "[1]*n": ("house-chat", f'{{"messages": {repeated("1")}}}', "too large"),
    "[{}]*n": ("house-chat", f'{{"messages": {repeated("{}")}}}', "too large"),
    "[[]]*n": ("run_model", f'{{"model": "m", "data": {repeated("[]")}}}', "too large"),
    "[message]*n": ("house-chat", f'{{"messages": {repeated(HI)}}}', "too large"),
    "tools: [1]*n": ("house-chat", f'{{"prompt": "x", "tools": {repeated("1")}}}', "too large"),
    "wide": ("run_model", f'{{"model": "m", "data": {wide()}}}', "too large"),
    "wide at the top": ("house-chat", wide(), "too large"),
    "JSON of [{}]*n": ("run_model", f'{{"model": "m", "data": {json.dumps(repeated("{}"))}}}', "invalid_arguments"),
    "JSON of JSON of [1]*n": (
        "run_model",
        json.dumps({"model": "m", "data": json.dumps(repeated("1", 12 * MIB))}),
        "invalid_arguments",
    ),
    "JSON of wide": ("house-chat", f'{{"messages": {json.dumps(wide(12 * MIB))}}}', "invalid_arguments"),
    "a text": ("house-chat", f'{{"prompt": "{"word " * (3 * MIB)}"}}', "answered"),
    "a text with an emoji": ("house-chat", f'{{"prompt": "{"word " * (3 * MIB)}\U0001f600"}}', "answered"),
    "a text of escapes": ("house-chat", json.dumps({"prompt": "\n" * (7 * MIB)}), "answered"),
    "a text of commas": ("house-chat", f'{{"prompt": "{"1,[" * (5 * MIB)}"}}', "answered"),
    "a text for a number": (
        "house-chat",
        f'{{"prompt": "x", "max_tokens": "{"x" * (15 * MIB)}"}}',
        "invalid_arguments",
    ),
    "a long name": ("run_model", f'{{"model": "m", "{"k" * (15 * MIB)}": 1}}', "invalid_arguments"),
    "a long name in data": ("run_model", f'{{"model": "sound", "data": {{"{"k" * (15 * MIB)}": 1}}}}', "answered"),
    "a long model": ("run_model", f'{{"model": "{"m" * (15 * MIB)}"}}', "invalid_arguments"),
    # As many values as are allowed: only here is more kept than ten times the size.
    "[1]*max": ("house-chat", f'{{"messages": {repeated("1", 390_000)}}}', "invalid_arguments"),
    "[{}]*max": ("house-chat", f'{{"messages": {repeated("{}", 290_000)}}}', "invalid_arguments"),
    "[[]]*max": ("house-chat", f'{{"messages": {repeated("[]", 290_000)}}}', "invalid_arguments"),
    "tools: [1]*max": ("house-chat", f'{{"prompt": "x", "tools": {repeated("1", 390_000)}}}', "invalid_arguments"),
    "wide max": ("house-chat", f'{{"prompt": "x", "tools": [{wide(MIB)}]}}', "answered"),
}
"""A tool, its arguments as they stand in the frame, and what comes of them."""

MAX_MEGABYTES_FOR_MAX_VALUES = 35


@pytest.mark.parametrize("kind", LARGE_ARGUMENTS)
async def test_large_arguments_cost_less_than_ten_times_their_size(emulator: Emulator, kind: str) -> None:
    tool, arguments, told = LARGE_ARGUMENTS[kind]
    request = frame("tools/call", 2, name=tool, arguments="ARGUMENTS").replace(b'"ARGUMENTS"', arguments.encode())
    ping = frame("ping", 3)
    megabytes = len(request) / MIB
    async with raw_upstream({"house-chat": lambda: [WELL], "sound": lambda: [WELL]}) as url:
        only_here = {"BL_RUN_URL": url, "BLAXEL_MCP_DISCOVERY__ENABLED": "false"}
        async with served({**variables(emulator), **only_here}) as server:
            await server.call("house-chat", {"prompt": "Hi"})
            idle = server.megabytes("VmHWM")
            with anyio.fail_after(60):
                reply = await server.ask(request, 2)
                await server.ask(ping, 3)
                again = await server.call("house-chat", {"prompt": "Hi"})
            grown = server.megabytes("VmHWM") - idle

    assert outcome(reply) == told
    assert not again.get("isError")
    assert len(json.dumps(reply)) < 10_000
    assert grown < max(10 * megabytes, MAX_MEGABYTES_FOR_MAX_VALUES)


NESTED_REPEATS = {
    "name": "house-chat",
    "api": "chat-completions",
    "input_schema": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^(a+)+$"},
            "names": {"patternProperties": {"(x+x+)+y": {}}},
        },
    },
}


async def test_a_pattern_of_the_owner_holds_up_nobody_and_sigterm_ends_the_server(emulator: Emulator) -> None:
    environment = {**variables(emulator), "BLAXEL_MCP_MODELS": json.dumps([NESTED_REPEATS])}
    text = "a" * 1_000_000 + "!"
    async with served(environment) as server:
        with anyio.fail_after(20):
            refused = await server.call("house-chat", {"code": text})
            names = await server.call("house-chat", {"names": {"x" * 1_000_000: 1}})
        with anyio.fail_after(10):
            assert await server.terminate() == 0

    assert refused["_meta"][ERROR_KEY]["code"] == "invalid_arguments"
    assert "does not match '^(a+)+$'" in refused["content"][0]["text"]
    assert names["_meta"][ERROR_KEY]["code"] == "invalid_arguments"


async def test_a_pattern_that_cannot_be_matched_in_linear_time_ends_the_start(emulator: Emulator) -> None:
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": r"^(?=.*\d)(a)\1$"}}}
    models = [{"name": "house-chat", "api": "chat-completions", "input_schema": schema}]
    process = await anyio.run_process(
        SERVE,
        env={**variables(emulator), "BLAXEL_MCP_MODELS": json.dumps(models)},
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert process.returncode == 2
    assert b"The input_schema of the model 'house-chat' has the pattern '^(?=.*" in process.stderr
    assert b"look-around" in process.stderr


def outcome(reply: Any) -> str:
    """Return the outcome of a frame in a word."""
    if "error" in reply:
        return {-32700: "parse error", -32600: "too large"}.get(reply["error"]["code"], "another error")
    error = reply["result"]["_meta"].get(ERROR_KEY)
    return error["code"] if error else "answered"
