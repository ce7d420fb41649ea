"""Where a model is called, and where a key never goes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator, RecordedRequest, run_emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from tests.support.canaries import KEY, let_in
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

MK3 = [{"name": "edge-chat", "api": "chat-completions"}]
CLASSIC = [{"name": "house-chat", "api": "chat-completions"}]


@pytest.fixture
async def elsewhere() -> AsyncIterator[Emulator]:
    """Another platform, at another origin, that knows the same names and keys."""
    async with run_emulator() as running:
        let_in(running)
        yield running


async def call(emulator: Emulator, **settings: Any) -> Any:
    async with connect(leading_to(emulator, **settings)) as client:
        tool = (await client.list_tools()).tools[0].name
        return await client.call_tool(tool, {"prompt": "Hi"})


def paths(emulator: Emulator) -> list[str]:
    return [request.path for request in inference_requests(emulator.requests)]


async def test_an_mk3_model_is_called_at_its_own_url_even_at_another_origin(
    emulator: Emulator, elsewhere: Emulator
) -> None:
    emulator.models["edge-chat"] = EmulatedModel(
        name="edge-chat", generation="mk3", own_url=f"{elsewhere.url}/direct/edge-chat"
    )

    assert answer_of(await call(emulator, models=MK3))
    assert paths(emulator) == []
    (request,) = elsewhere.requests
    assert request.path == "/direct/edge-chat/v1/chat/completions"
    assert dict(request.headers)["x-blaxel-authorization"] == f"Bearer {KEY}"


async def test_an_mk3_model_without_a_url_is_told_as_what_it_is(emulator: Emulator) -> None:
    emulator.models["edge-chat"] = EmulatedModel(name="edge-chat", generation="mk3")

    result = await call(emulator, models=MK3)

    assert (error_of(result)["code"], error_of(result)["billed"]) == ("configuration_error", "no")
    assert "mk3" in text_of(result)


@pytest.mark.parametrize("url", ["http://models.example/x", "https://user:pass@models.example", "ftp://x", "https://"])
async def test_a_url_of_the_control_planes_that_is_not_safe_is_not_called(emulator: Emulator, url: str) -> None:
    emulator.models["edge-chat"] = EmulatedModel(name="edge-chat", generation="mk3", own_url=url)

    assert error_of(await call(emulator, models=MK3))["code"] == "bad_response"


async def test_url_source_run_always_calls_the_gateway(emulator: Emulator) -> None:
    await call(emulator, models=MK3, url_source="run")

    assert paths(emulator) == ["/demo/models/edge-chat/v1/chat/completions"]


async def test_url_source_metadata_calls_any_model_at_its_own_url(emulator: Emulator) -> None:
    emulator.models["house-chat"] = EmulatedModel(name="house-chat", own_url="/direct/house-chat")

    await call(emulator, models=CLASSIC, url_source="metadata")
    await call(emulator, models=CLASSIC)

    assert paths(emulator) == [
        "/direct/house-chat/v1/chat/completions",
        "/demo/models/house-chat/v1/chat/completions",
    ]


async def test_with_discovery_off_the_control_plane_is_never_asked(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, discovery={"enabled": False})) as client:
        await client.call_tool("house-chat", {"prompt": "Hi"})
        await client.call_tool("run_model", {"model": "edge-chat", "path": "/v1/chat/completions", "data": {}})
        await client.call_tool("list_models", {})

    assert [request.path for request in emulator.requests] == [
        "/demo/models/house-chat/v1/chat/completions",
        "/demo/models/edge-chat/v1/chat/completions",
    ]


async def test_a_record_is_asked_for_once_for_any_number_of_calls(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        for _ in range(3):
            await client.call_tool("house-chat", {"prompt": "Hi"})

    assert [request.path for request in emulator.requests].count("/v0/models/house-chat") == 1


async def test_a_control_plane_that_refuses_is_no_reason_to_fail_and_is_told(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, api_url=f"{emulator.url}/v0/elsewhere")) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert answer_of(result)
    (note,) = receipt_of(result)["notes"]
    assert note.startswith("the control plane answered 404")


async def test_a_forced_url_is_called_as_it_stands(emulator: Emulator) -> None:
    models = [{**CLASSIC[0], "url": f"{emulator.url}/direct/edge-chat"}]

    await call(emulator, models=models)

    assert paths(emulator) == ["/direct/edge-chat/v1/chat/completions"]


async def test_a_forced_url_at_a_foreign_origin_gets_no_key_and_the_receipt_says_so(
    emulator: Emulator, elsewhere: Emulator
) -> None:
    models = [{**CLASSIC[0], "url": f"{elsewhere.url}/demo/models/house-chat"}]

    result = await call(emulator, models=models)

    (request,) = elsewhere.requests
    names = {name for name, _ in request.headers}
    assert not names & {"authorization", "x-blaxel-authorization", "cookie"}
    assert KEY.encode() not in request.body
    (note,) = receipt_of(result)["notes"]
    assert note.startswith("sent without credentials")


async def test_a_forced_url_that_is_the_models_own_is_signed(emulator: Emulator, elsewhere: Emulator) -> None:
    own = f"{elsewhere.url}/direct/edge-chat"
    emulator.models["edge-chat"] = EmulatedModel(name="edge-chat", generation="mk3", own_url=own)

    result = await call(emulator, models=[{**MK3[0], "url": own}])

    assert answer_of(result)
    assert receipt_of(result)["notes"] == []


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-redirect", "data": {}})

    assert (error_of(result)["code"], error_of(result)["status"]) == ("upstream_error", 307)
    assert paths(emulator) == ["/demo/models/fault-redirect/v1/chat/completions"]


# Blaxel's own traces


def query_in(request: RecordedRequest) -> str:
    return request.raw_path.decode().partition("?")[2]


async def query_of(emulator: Emulator, arguments: dict[str, Any], **settings: Any) -> list[str]:
    """Return the parameters in the query of one call of `run_model`."""
    async with connect(leading_to(emulator, **settings)) as client:
        await client.call_tool("run_model", {"model": "house-chat", "data": {"messages": []}, **arguments})
    (request,) = inference_requests(emulator.requests)
    return sorted(filter(None, query_in(request).split("&")))


@pytest.mark.parametrize(
    ("trace", "arguments", "query"),
    [
        ("sampled", {}, []),
        ("always", {}, ["debug=true"]),
        ("always", {"query": {"a": "1"}}, ["a=1", "debug=true"]),
        ("always", {"path": "/v1/chat/completions?b=2"}, ["b=2", "debug=true"]),
        ("always", {"query": {"debug": "false"}}, ["debug=false"]),
    ],
)
async def test_debug_asks_blaxel_to_keep_the_trace_of_every_call(
    emulator: Emulator, trace: str, arguments: dict[str, Any], query: list[str]
) -> None:
    assert await query_of(emulator, arguments, trace=trace) == query


async def test_an_endpoint_that_is_not_documented_to_know_debug_does_not_get_it(
    emulator: Emulator, elsewhere: Emulator
) -> None:
    own = f"{elsewhere.url}/direct/edge-chat"
    emulator.models["edge-chat"] = EmulatedModel(name="edge-chat", generation="mk3", own_url=own)
    forced = {**CLASSIC[0], "url": f"{emulator.run_url}/demo/models/house-chat"}

    await call(emulator, models=MK3, trace="always")
    await call(emulator, models=[forced], trace="always")

    assert [query_in(request) for request in (*elsewhere.requests, *inference_requests(emulator.requests))] == ["", ""]
