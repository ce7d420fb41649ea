"""A cancelled call stops costing, and nobody else notices."""

import anyio
import pytest
from mcp import Client

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import ERAS, Era, answer_of, connect, is_slow_call, leading_to

pytestmark = pytest.mark.anyio

in_each_era = pytest.mark.parametrize("era", ERAS)

SLOW = {"model": "fault-slow-30s", "data": {}}


async def call_until_cancelled(client: Client, scope: anyio.CancelScope) -> None:
    with scope:
        await client.call_tool("run_model", SLOW)


@in_each_era
async def test_a_cancelled_call_aborts_its_request_and_delays_nothing_else(emulator: Emulator, era: Era) -> None:
    async with connect(leading_to(emulator), era) as client, anyio.create_task_group() as group:
        with anyio.fail_after(120):
            scope = anyio.CancelScope()
            group.start_soon(call_until_cancelled, client, scope)
            request = await emulator.wait_for(is_slow_call)
            assert answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))

            scope.cancel()

            await request.wait_aborted()
            assert answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))


@in_each_era
async def test_fifty_calls_are_in_flight_at_once_and_all_are_cancelled(emulator: Emulator, era: Era) -> None:
    async with connect(leading_to(emulator, limits={"max_concurrency": 50}), era) as client:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(client.call_tool, "run_model", SLOW)
                await emulator.wait_for(lambda _: sum(map(is_slow_call, emulator.requests)) == 50, timeout_seconds=120)
                group.cancel_scope.cancel()
            for request in filter(is_slow_call, emulator.requests):
                await request.wait_aborted()
