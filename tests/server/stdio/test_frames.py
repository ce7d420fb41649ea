"""Frames that are none, or more than a server can take: each that waits for an answer gets one."""

import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import mcp_types as types
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.stdio.frames import FrameReader, read_frame
from tests.support.connecting import connect, error_of, inference_requests, leading_to
from tests.support.processes import SERVE, frame, hello, started, variables

pytestmark = pytest.mark.anyio

NOT_JSON, NO_MESSAGE = types.PARSE_ERROR, types.INVALID_REQUEST


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        pytest.param(b"nonsense", NOT_JSON, None, id="no JSON at all"),
        pytest.param(b'{"jsonrpc":"2.0","id":4,"method":"ping"', NOT_JSON, 4, id="cut off"),
        pytest.param(b'{"method":"x","params":{"id":5,"a":tru},"id":"nine"}', NOT_JSON, "nine", id="its id at the end"),
        pytest.param(b'{"method":"x","params":{"id":5,"a":tru}}', NOT_JSON, None, id="an id of its parameters"),
        pytest.param(b'{"jsonrpc":"2.0","id":4,"method":"\xff"}', NOT_JSON, 4, id="no UTF-8"),
        pytest.param(rb'{"jsonrpc":"2.0","id":4,"method":"\ud800"}', NOT_JSON, 4, id="half a surrogate pair"),
        pytest.param(
            b'{"jsonrpc":"2.0","id":4,"method":"x","params":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
            NOT_JSON,
            4,
            id="100,000 levels",
        ),
        pytest.param(b'[{"jsonrpc":"2.0","id":4,"method":"ping"}]', NO_MESSAGE, None, id="a batch"),
        pytest.param(b'{"jsonrpc":"2.0","id":4}', NO_MESSAGE, 4, id="neither request nor answer"),
        pytest.param(b'{"jsonrpc":"1.0","id":4,"method":"ping"}', NO_MESSAGE, 4, id="another version"),
        pytest.param(b'{"jsonrpc":"2.0","id":4,"method":"x","params":[1]}', NO_MESSAGE, 4, id="a list for parameters"),
        pytest.param(b'{"id":true}', NO_MESSAGE, None, id="an id that is none"),
        pytest.param(b"17", NO_MESSAGE, None, id="a number"),
    ],
)
def test_what_is_no_message_is_answered_with_its_id_where_it_shows(
    line: bytes, code: int, number: types.RequestId | None
) -> None:
    refused = read_frame(line)

    assert isinstance(refused, types.JSONRPCError)
    assert (refused.error.code, refused.id) == (code, number)
    assert refused.error.message


@pytest.mark.parametrize("rest", ['"method":"ping"', '"method":"tools/list","params":{"a":1}'])
@pytest.mark.parametrize("written", ["1.5", "null", "true", "[1]", "{}", "1e400", "-0.5"])
def test_a_request_with_an_id_that_is_none_is_answered(written: str, rest: str) -> None:
    for line in (f'{{"jsonrpc":"2.0","id":{written},{rest}}}', f'{{{rest},"\\u0069d":{written},"jsonrpc":"2.0"}}'):
        refused = read_frame(line.encode())

        assert isinstance(refused, types.JSONRPCError)
        assert (refused.error.code, refused.id) == (NO_MESSAGE, None)


@pytest.mark.parametrize(
    ("written", "number"),
    [("1.0", 1), ("-0.0", 0), ("1e3", 1000), ("9007199254740993", 9007199254740993), (f"{10**40}", 10**40), ('""', "")],
)
def test_an_id_is_answered_as_the_number_that_it_is(written: str, number: types.RequestId) -> None:
    request = read_frame(f'\ufeff{{"jsonrpc":"2.0","id":{written},"method":"ping"}}\r\n'.encode())
    answer = read_frame(f'{{"jsonrpc":"2.0","id":{written},"result":{{}}}}'.encode())

    assert isinstance(request, types.JSONRPCRequest)
    assert isinstance(answer, types.JSONRPCResponse)
    assert (request.id, answer.id) == (number, number)


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","method":"notifications/initialized","id":null}',
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"id":1.5,"progressToken":1,"progress":1}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.0}}',
    ],
)
def test_a_notification_stays_one(line: bytes) -> None:
    assert isinstance(read_frame(line), types.JSONRPCNotification)


@pytest.mark.parametrize(
    ("frame_", "number"),
    [
        pytest.param(b'{"id":7,"params":{"text":"' + b"x" * 3000 + b'"}}\n', 7, id="id first"),
        pytest.param(b'{"params":{"text":"' + b"x" * 3000 + b'"},"id":"seven"}\n', "seven", id="id last"),
        pytest.param(b'{"params":{"text":"' + b"x" * 3000 + b'"}}\n', None, id="no id"),
        pytest.param(b'{"id":7,"params":{"text":"' + b"x" * 3000, 7, id="no end"),
    ],
)
def test_a_frame_over_the_limit_is_passed_over_and_the_next_one_read(
    frame_: bytes, number: types.RequestId | None
) -> None:
    ping = b'\n{"jsonrpc":"2.0","id":8,"method":"ping"}\n'
    frames = FrameReader(io.BytesIO(frame_ + (ping if frame_.endswith(b"\n") else b"")), limit=1000)

    refused = frames.read()

    assert isinstance(refused, types.JSONRPCError)
    assert (refused.id, refused.error.code) == (number, NO_MESSAGE)
    assert refused.error.message == (
        f"The message has {len(frame_)} bytes, more than limits.max_argument_bytes (1000) allows."
    )
    read = frames.read()
    assert read is None if not frame_.endswith(b"\n") else isinstance(read, types.JSONRPCRequest)
    assert frames.read() is None


class Process:
    """A server process, spoken to in frames."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self.process = process
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def send(self, data: bytes) -> None:
        await self._stdin.send(data)

    async def answer(self) -> Any:
        return json.loads(await self._lines.receive_until(b"\n", 1_000_000))


@asynccontextmanager
async def serving(emulator: Emulator) -> AsyncIterator[Process]:
    async with started(SERVE, variables(emulator)) as process:
        with anyio.fail_after(40):
            speaking = Process(process)
            await speaking.send(hello())
            assert (await speaking.answer())["id"] == 1
            yield speaking


async def test_a_server_answers_what_it_cannot_take_and_goes_on(emulator: Emulator) -> None:
    async with serving(emulator) as server:
        for number, broken in enumerate((b'{"id":2,"method":tru}', b'{"id":3}', b'[{"id":4}]')):
            await server.send(broken + b"\n")
            refused = await server.answer()
            await server.send(b"\n" + frame("ping", 100 + number))
            assert (await server.answer())["id"] == 100 + number
            assert refused["error"]["code"] in (NOT_JSON, NO_MESSAGE)
            assert refused["id"] == (None if broken.startswith(b"[") else number + 2)


@pytest.mark.skipif(sys.platform != "linux", reason="the figure is read from /proc")
async def test_a_frame_of_400_megabytes_costs_no_more_than_the_limit_and_is_answered(emulator: Emulator) -> None:
    async with serving(emulator) as server:
        before = peak_memory(server.process.pid)
        await server.send(b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"')
        for _ in range(400):
            await server.send(b"x" * 1024 * 1024)
        await server.send(b'"}}\n')
        refused = await server.answer()
        await server.send(frame("ping", 6))
        answered = await server.answer()
        grown = peak_memory(server.process.pid) - before

    assert (refused["id"], refused["error"]["code"]) == (5, NO_MESSAGE)
    assert (answered["id"], answered["result"]) == (6, {})
    # Twice the limit of 16 MiB: the beginning that is kept, and what it was joined from.
    assert grown < 48 * 1024 * 1024


def peak_memory(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - a line of /proc, read at once
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("tool", ["run_model", "house-chat", "list_models", "read_result", "cancel_call"])
async def test_arguments_that_nest_too_deeply_are_invalid_arguments_to_every_tool(
    emulator: Emulator, tool: str
) -> None:
    deep: Any = "x"
    for _ in range(150):
        deep = [deep]
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool(tool, {"model": "house-chat", "data": {"a": deep}})

    assert error_of(result)["code"] == "invalid_arguments"
    assert "more than 100 levels deep" in error_of(result)["message"]
    assert inference_requests(emulator.requests) == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_number_that_json_cannot_write_is_an_invalid_argument(emulator: Emulator, number: str) -> None:
    call = frame("tools/call", 2, name="run_model", arguments={"model": "house-chat", "data": {"a": 0.5}})
    async with serving(emulator) as server:
        await server.send(call.replace(b"0.5", number.encode()))
        answered = await server.answer()

    result = types.CallToolResult.model_validate(answered["result"])
    assert error_of(result)["code"] == "invalid_arguments"
    assert "a number that JSON cannot represent" in error_of(result)["message"]
    assert inference_requests(emulator.requests) == []
