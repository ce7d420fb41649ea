"""Two callers with Blaxel keys of their own: what one of them has is never seen by the other."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from mcp import Client
from pydantic import SecretStr

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.server.http.address import MCP_PATH
from blaxel_mcp.server.http.requests import MAX_CONNECTIONS
from tests.support.canaries import HTTP_TOKEN, MARKER
from tests.support.connecting import ERAS, Era, answer_of, finished, inference_requests, leading_to, receipt_of, text_of
from tests.support.http_serving import message, serving

pytestmark = pytest.mark.anyio

KEYS = {"demo": f"{MARKER}/anna+key=1", "other": f"{MARKER}/bert+key=1"}
"""The key of the caller of each workspace."""


def headers_of(workspace: str) -> dict[str, str]:
    return {"x-blaxel-authorization": f"Bearer {KEYS[workspace]}", "x-blaxel-workspace": workspace}


@pytest.fixture
def tenants(emulator: Emulator) -> Emulator:
    emulator.workspaces.add("other")
    emulator.api_keys |= set(KEYS.values())
    return emulator


async def usage_of(client: Client) -> dict[str, Any]:
    (content,) = (await client.read_resource("blaxel://usage")).contents
    usage: dict[str, Any] = json.loads(getattr(content, "text", ""))
    return usage


@pytest.mark.parametrize("era", ERAS)
async def test_what_two_callers_do_at_the_same_time_stays_apart(tenants: Emulator, era: Era) -> None:
    config = leading_to(tenants, http={"auth": "caller"}, api_key=None, limits={"detach_after_seconds": 0.2})
    calls: dict[str, list[str]] = {"demo": [], "other": []}
    handles: dict[str, str] = {}

    async def work(client: Client, workspace: str, base: int) -> None:
        for number in range(base, base + 4):
            result = await finished(
                client, await client.call_tool("house-chat", {"prompt": f"What is {number} * 1000?"})
            )
            assert str(number * 1000) in answer_of(result)["choices"][0]["message"]["content"]
            assert receipt_of(result)["workspace"] == workspace
            calls[workspace].append(receipt_of(result)["call_id"])
        slow = await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {"inputs": workspace}})
        handles[workspace] = answer_of(slow)["call_id"]

    with anyio.fail_after(50):
        async with (
            serving(config) as served,
            served.client(era, headers_of("demo")) as anna,
            served.client(era, headers_of("other")) as bert,
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(work, anna, "demo", 100)
                group.start_soon(work, bert, "other", 500)
            for client, own, foreign in ((anna, "demo", "other"), (bert, "other", "demo")):
                await _finds_its_own_alone(client, own, foreign, calls, handles)
            stopped = await bert.call_tool("cancel_call", {"call_id": handles["demo"]})
            still = await anna.call_tool("read_result", {"call_id": handles["demo"]})

    assert stopped.is_error
    assert answer_of(still)["state"] == "running"
    sent = {
        (request.path.split("/")[1], *request.header_values("x-blaxel-authorization"))
        for request in inference_requests(tenants.requests)
    }
    assert sent == {(workspace, f"Bearer {key}") for workspace, key in KEYS.items()}


async def _finds_its_own_alone(
    client: Client, own: str, foreign: str, calls: dict[str, list[str]], handles: dict[str, str]
) -> None:
    for call_id in (*calls[foreign], handles[foreign]):
        refused = await client.call_tool("read_result", {"call_id": call_id})
        assert refused.is_error
        assert "is known here" in text_of(refused)
        with pytest.raises(Exception, match="blaxel://calls"):
            await client.read_resource(f"blaxel://calls/{call_id}")
    for call_id in calls[own]:
        assert not (await client.call_tool("read_result", {"call_id": call_id})).is_error
    listing = answer_of(await client.call_tool("list_models", {}))
    assert listing["workspace"] == own
    resources = str(await client.list_resources())
    assert not any(call_id in resources for call_id in calls[foreign])


async def test_a_budget_is_each_callers_own(tenants: Emulator) -> None:
    config = leading_to(tenants, http={"auth": "caller"}, api_key=None, budget={"calls_per_day": 3})
    outcomes: dict[str, list[bool]] = {"demo": [], "other": []}
    async with (
        serving(config) as served,
        served.client(headers=headers_of("demo")) as anna,
        served.client(headers=headers_of("other")) as bert,
    ):
        for client, workspace, count in ((anna, "demo", 3), (bert, "other", 2), (anna, "demo", 1), (bert, "other", 2)):
            for _ in range(count):
                result = await client.call_tool("house-chat", {"prompt": "Hi"})
                outcomes[workspace].append(bool(result.is_error))
        used = [(await usage_of(client))["budget"]["calls"]["used"] for client in (anna, bert)]

    assert outcomes == {"demo": [False, False, False, True], "other": [False, False, False, True]}
    assert used == [3, 3]


async def test_a_model_of_one_caller_is_no_tool_of_the_other(tenants: Emulator) -> None:
    config = leading_to(tenants, http={"auth": "caller"}, api_key=None, models=None)
    async with (
        serving(config) as served,
        served.client(headers=headers_of("demo")) as anna,
        served.client(headers=headers_of("other")) as bert,
    ):
        before = {tool.name for tool in (await anna.list_tools()).tools}
        tenants.models["secret-project"] = EmulatedModel(name="secret-project")
        berts = {tool.name for tool in (await bert.list_tools()).tools}
        annas = {tool.name for tool in (await anna.list_tools()).tools}

    assert annas == before
    assert berts - annas == {"secret-project"}


async def test_a_caller_who_keeps_many_requests_open_leaves_connections_to_the_others(emulator: Emulator) -> None:
    tokens = (HTTP_TOKEN, f"{HTTP_TOKEN}-of-somebody-else")
    http = {"auth": "token", "bearer_tokens": [*map(SecretStr, tokens)]}
    body, headers = message("subscriptions/listen", "2026-07-28", notifications={"toolsListChanged": True})
    mine, other = ({**headers, "authorization": f"Bearer {token}"} for token in tokens)
    share = MAX_CONNECTIONS // 2
    async with serving(leading_to(emulator, http=http)) as served, AsyncExitStack() as streams:
        lines = [f"{name}: {value}" for name, value in {**mine, "host": served.url.removeprefix("http://")}.items()]
        head = "\r\n".join((f"POST {MCP_PATH} HTTP/1.1", *lines, f"content-length: {len(body)}", "\r\n"))
        for _ in range(share):
            reader, writer = await asyncio.open_connection(*served.url.removeprefix("http://").split(":"))
            streams.callback(writer.close)
            writer.write(head.encode() + body)
            with anyio.fail_after(30):
                assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        refused = await served.post(*listing(mine))
        answered = await served.post(*listing(other))

    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
    assert answered.status_code == 200


def listing(headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    body, own = message("tools/list", "2026-07-28")
    return body, {**headers, **own}
