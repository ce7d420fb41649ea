"""Frames that are none, or more than a server can take: each that waits for an answer gets one."""

import json
import math
import tracemalloc
from typing import Any

import mcp_types as types
import pytest
from pydantic_core import from_json

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.stdio.frames import FrameBuffer, read_frame
from tests.support.connecting import connect, error_of, inference_requests, leading_to

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


def test_a_cancellation_names_the_request_by_the_number_that_it_is() -> None:
    notification = read_frame(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":50.0}}')

    assert isinstance(notification, types.JSONRPCNotification)
    assert json.dumps(notification.params) == '{"requestId": 50}'


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
    frames = FrameBuffer(limit=1000)
    for byte in frame_ + (ping if frame_.endswith(b"\n") else b""):
        frames.feed(bytes([byte]))
    frames.feed(b"")

    refused = frames.take()

    assert isinstance(refused, types.JSONRPCError)
    assert (refused.id, refused.error.code) == (number, NO_MESSAGE)
    assert refused.error.message == (
        f"The message has {len(frame_)} bytes, more than limits.max_argument_bytes (1000) allows."
    )
    read = frames.take()
    assert read is None if not frame_.endswith(b"\n") else isinstance(read, types.JSONRPCRequest)
    assert frames.take() is None


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


@pytest.mark.parametrize("item", [b"1", b"{}", b"[]", b'"x"', b'{"a":1}'])
def test_a_frame_of_too_many_values_is_answered_with_its_id_and_is_not_parsed(item: bytes) -> None:
    many = b",".join([item] * MAX_ARGUMENT_VALUES)
    frame_ = b'{"jsonrpc":"2.0","id":4,"method":"x","params":{"a":[' + many + b"]}}"
    tracemalloc.start()
    try:
        refused = read_frame(frame_)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert isinstance(refused, types.JSONRPCError)
    assert (refused.error.code, refused.id) == (types.INVALID_REQUEST, 4)
    assert f"more than {MAX_ARGUMENT_VALUES} values" in refused.error.message
    assert peak < 2_000_000


def test_punctuation_in_a_text_counts_for_nothing() -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": 4, "method": "x", "params": {"a": ',:[{"\\' * MAX_ARGUMENT_VALUES}})

    assert isinstance(read_frame(text.encode()), types.JSONRPCRequest)


@pytest.mark.parametrize("item", [b"[]", b"{}", b'{"role":"user","content":"hi"}', b"1"])
def test_a_frame_is_parsed_once(item: bytes) -> None:
    frame_ = b'{"jsonrpc":"2.0","id":4,"method":"x","params":{"a":[' + b",".join([item] * 20_000) + b"]}}"
    tracemalloc.start()
    try:
        from_json(frame_)
        parsed_once = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        read_frame(frame_)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1.2 * parsed_once + 50_000


def test_a_number_of_too_many_digits_is_left_to_the_validation_of_arguments() -> None:
    read = read_frame(b'{"jsonrpc":"2.0","id":4,"method":"x","params":{"a":' + b"1" * 100_000 + b',"b":5}}')

    assert isinstance(read, types.JSONRPCRequest)
    assert read.params == {"a": math.inf, "b": 5}


def test_the_last_of_two_members_of_one_name_counts() -> None:
    read = read_frame(b'{"jsonrpc":"2.0","id":4,"method":"x","params":{"a":1,"a":2}}')

    assert isinstance(read, types.JSONRPCRequest)
    assert read.params == {"a": 2}
