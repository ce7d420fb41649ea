"""The closed set of error codes: each can be reached by a call."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from blaxel_mcp.core.exceptions import ERROR_CODES
from blaxel_mcp.emulator import Emulator
from tests.support.connecting import connect, error_of, leading_to, text_of

pytestmark = pytest.mark.anyio


def calling(tool: str, arguments: dict[str, Any], **settings: Any) -> Callable[[Emulator], Awaitable[Any]]:
    async def call(emulator: Emulator) -> Any:
        async with connect(leading_to(emulator, **settings)) as client:
            return await client.call_tool(tool, arguments)

    return call


def running(model: str, **settings: Any) -> Callable[[Emulator], Awaitable[Any]]:
    return calling("run_model", {"model": model, "data": {"inputs": "x"}}, **settings)


async def unreachable(_emulator: Emulator) -> Any:
    nowhere = Emulator()
    nowhere.url = "http://127.0.0.1:9"
    return await running("house-chat")(nowhere)


async def cancelled(emulator: Emulator) -> Any:
    config = leading_to(emulator, limits={"detach_after_seconds": 0.1})
    async with connect(config) as client:
        handed_back = await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {}})
        call_id = (handed_back.structured_content or {})["call_id"]
        await client.call_tool("cancel_call", {"call_id": call_id})
        return await client.call_tool("read_result", {"call_id": call_id})


async def busy(emulator: Emulator) -> Any:
    limits = {"max_concurrency": 1, "max_queue": 0}
    async with connect(leading_to(emulator, limits=limits)) as client, anyio.create_task_group() as group:
        slow = {"model": "fault-slow-30s", "data": {}}
        group.start_soon(client.call_tool, "run_model", slow)
        await emulator.wait_for(lambda request: "fault-slow" in request.path and request.method == "POST")
        result = await client.call_tool("run_model", slow)
        group.cancel_scope.cancel()
    return result


MET = {
    "invalid_arguments": calling("house-chat", {"prompt": 7}),
    "unknown_model": running("no-such-model"),
    "authentication_failed": running("fault-401"),
    "permission_denied": running("edge-chat", access={"models": ["house-*"]}),
    "not_found": calling("read_result", {"call_id": "call_made-up"}),
    "model_unavailable": running("fault-404-unavailable"),
    "rate_limited": running("fault-429-long"),
    "quota_exceeded": running("fault-402"),
    "request_too_large": running("fault-413"),
    "response_too_large": running("fault-flood-2", limits={"max_response_bytes": 1_000_000}),
    "provider_error": running("fault-500-provider"),
    "upstream_error": running("fault-html-504"),
    "bad_response": running("fault-not-json"),
    "timeout": running("fault-slow-30s", limits={"timeout_seconds": 0.3}),
    "network_error": unreachable,
    "cancelled": cancelled,
    "budget_exceeded": running("house-chat", budget={"calls_per_day": 0}),
    "busy": busy,
    "configuration_error": running("house-chat", workspace=None),
}


@pytest.mark.parametrize("code", ERROR_CODES)
async def test_every_code_is_reachable_and_explained_in_text_and_fields(emulator: Emulator, code: str) -> None:
    with anyio.fail_after(20):
        result = await MET[code](emulator)

    error = error_of(result)
    assert error["code"] == code
    assert error["hint"]
    assert text_of(result) == f"{error['message']} {error['hint']}"
    assert error["billed"] in {"no", "maybe", "yes"}
    assert error["origin"] in {"caller", "local", "blaxel", "provider", "network"}
