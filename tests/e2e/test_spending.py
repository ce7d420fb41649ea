"""One ledger for many processes: a cap holds across them, and a call of a killed process counts."""

import json
import sys

import anyio
import mcp_types as types
import pytest
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import connect, error_of, inference_requests, is_slow_call, leading_to
from tests.support.leaks import Client
from tests.support.processes import SERVE, frame, hello, started, variables

pytestmark = pytest.mark.anyio


async def test_eight_processes_that_race_against_a_cap_make_as_many_calls_as_it_allows(emulator: Emulator) -> None:
    environment = {**variables(emulator), "BLAXEL_MCP_BUDGET__CALLS_PER_DAY": "100"}
    parameters = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
    codes: list[str | None] = []

    async def race() -> None:
        async with Client(stdio_client(parameters)) as client:

            async def one() -> None:
                result = await client.call_tool("house-chat", {"prompt": "Hi"})
                codes.append(error_of(result)["code"] if result.is_error else None)

            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(one)

    with anyio.fail_after(50):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(race)

    assert len(inference_requests(emulator.requests)) == 100
    assert sorted(codes, key=str) == [None] * 100 + ["budget_exceeded"] * 60


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
async def test_a_call_whose_process_was_killed_counts(emulator: Emulator) -> None:
    environment = {**variables(emulator), "BLAXEL_MCP_BUDGET__CALLS_PER_DAY": "1"}
    async with started(SERVE, environment) as process:
        assert process.stdin
        slow = frame("tools/call", 2, name="run_model", arguments={"model": "fault-slow-30s", "data": {}})
        await process.stdin.send(hello() + slow)
        await emulator.wait_for(is_slow_call, timeout_seconds=20)
        process.kill()
        with anyio.fail_after(20):
            await process.wait()

    async with connect(leading_to(emulator, budget={"calls_per_day": 1})) as client:
        refused = await client.call_tool("house-chat", {"prompt": "Hi"})
        (contents,) = (await client.read_resource("blaxel://usage")).contents
        assert isinstance(contents, types.TextResourceContents)
        ((model,),) = [day["models"] for day in json.loads(contents.text)["days"]]

    assert error_of(refused)["code"] == "budget_exceeded"
    assert (model["model"], model["calls"], model["unsettled"]) == ("fault-slow-30s", 1, 1)
