"""run_model: any model, any sub-endpoint, any body, and nothing outside of them."""

import json
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


async def run(emulator: Emulator, arguments: dict[str, Any], **settings: Any) -> Any:
    async with connect(leading_to(emulator, **settings)) as client:
        return await client.call_tool("run_model", arguments)


def raw_paths(emulator: Emulator) -> list[str]:
    return [request.raw_path.decode() for request in inference_requests(emulator.requests)]


@pytest.mark.parametrize(
    ("model", "path", "sent"),
    [
        pytest.param("house-chat", None, "/demo/models/house-chat/v1/chat/completions", id="the configured path"),
        pytest.param("sandbox-openai", None, "/demo/models/sandbox-openai/v1/chat/completions", id="the type's path"),
        pytest.param("house-classifier", "", "/demo/models/house-classifier", id="empty: the base endpoint"),
        pytest.param("house-classifier", "/", "/demo/models/house-classifier", id="a slash: the base endpoint"),
        pytest.param("house-embed", "v1/embeddings", "/demo/models/house-embed/v1/embeddings", id="no leading slash"),
        pytest.param("house-embed", "/v1/embeddings?a=1&b=x%20y", "/demo/models/house-embed/v1/embeddings?a=1&b=x%20y"),
        pytest.param("edge-chat", None, "/direct/edge-chat/v1/chat/completions", id="mk3, its own path"),
        pytest.param("edge-chat", "/v1/embeddings", "/direct/edge-chat/v1/embeddings", id="mk3, another path"),
        pytest.param("edge-chat", "/chat/completions", "/direct/edge-chat/v1/chat/completions", id="mk3, below /v1"),
    ],
)
async def test_a_call_goes_to_the_model_and_path_that_it_names(
    emulator: Emulator, model: str, path: str | None, sent: str
) -> None:
    await run(emulator, {"model": model, "data": HELLO} | ({} if path is None else {"path": path}))

    assert raw_paths(emulator) == [sent]


async def test_a_model_may_be_named_by_its_tool(emulator: Emulator) -> None:
    models = [{"name": "house-chat", "api": "chat-completions", "tool": "ask"}]

    assert answer_of(await run(emulator, {"model": "ask", "data": HELLO}, models=models))


async def test_query_parameters_are_added_to_those_in_the_path(emulator: Emulator) -> None:
    query = {"debug": True, "n": 2, "tag": ["a b", "ü&"]}
    await run(emulator, {"model": "house-classifier", "path": "/?x=1", "data": {"inputs": "good"}, "query": query})

    assert raw_paths(emulator) == ["/demo/models/house-classifier?x=1&debug=true&n=2&tag=a+b&tag=%C3%BC%26"]


@pytest.mark.parametrize(
    "query",
    [
        {f"k{index}": "v" for index in range(50_000)},
        {"k": ["v"] * 50_000},
        {"k": [1] * 50_000},
        {"k": "v" * 100_000},
        {"k" * 100_000: 1},
    ],
    ids=["names", "texts", "numbers", "text", "name"],
)
async def test_a_query_that_no_url_holds_is_refused_before_it_is_read(
    emulator: Emulator, query: dict[str, Any]
) -> None:
    result = await run(emulator, {"model": "house-classifier", "method": "GET", "query": query})

    assert error_of(result)["code"] == "invalid_arguments"
    assert text_of(result) == "The query has more than 8,000 characters. Put large values in `data`."
    assert inference_requests(emulator.requests) == []


@pytest.mark.parametrize(
    "path",
    [
        "/../other",
        "/v1/../../../../v0/models",
        "/v1/%2e%2e/x",
        "/v1/%252e%252e/x",
        "/v1/.%2E/x",
        "/v1/%c0%ae%c0%ae/x",
        "..",
        "/v1\\..\\x",
        "/v1/%5c..%5cx",
        "//evil.example/x",
        "https://evil.example/x",
        "http:/evil.example",
        "/v1/x#fragment",
        "/v1/x\r\nX-Injected: 1",
        "/v1/%0d%0aX-Injected:1",
        "/v1/x\x00",
        "/v1/a%2f..%2fb",
        "/v1/\uff0e\uff0e/x",
        "/v1/..;x/y",
        "/v1/%zz",
        "/./v1",
    ],
)
async def test_a_path_that_could_leave_the_model_is_refused_before_anything_is_sent(
    emulator: Emulator, path: str
) -> None:
    result = await run(emulator, {"model": "house-chat", "path": path, "data": HELLO})

    assert error_of(result)["code"] == "invalid_arguments"
    assert (error_of(result)["origin"], error_of(result)["billed"]) == ("caller", "no")
    assert inference_requests(emulator.requests) == []


@pytest.mark.parametrize(
    "model", ["", "..", ".", "a/b", "../x", "a%2fb", "a?b", "a#b", "a\\b", "a\nb", "a b", "ü", "x" * 129, "http://x"]
)
async def test_a_model_name_that_could_leave_the_workspace_is_refused_before_anything_is_sent(
    emulator: Emulator, model: str
) -> None:
    result = await run(emulator, {"model": model, "data": HELLO})

    assert error_of(result)["code"] == "invalid_arguments"
    assert emulator.requests == []


async def test_data_given_as_a_json_string_is_repaired_and_the_repair_is_told(emulator: Emulator) -> None:
    result = await run(emulator, {"model": "house-chat", "data": json.dumps(HELLO)})

    assert answer_of(result)
    assert receipt_of(result)["repairs"] == ["data was a JSON string and was parsed as an object"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param({}, "'model' is required", id="no model"),
        pytest.param({"model": "x", "data": "plain text"}, "$.data: expected object or array", id="data is text"),
        pytest.param({"model": "x", "method": "FETCH"}, "$.method: expected one of", id="no such method"),
        pytest.param({"model": "x", "pth": "/v1"}, "did you mean 'path'?", id="a misspelled argument"),
        pytest.param({"model": "x", "query": {"a": {"b": 1}}}, "query parameter", id="a nested query"),
        pytest.param({"model": "x", "method": "GET", "data": {}}, "GET request carries no data", id="GET with data"),
        pytest.param({"model": "x", "select": "/" * 10_001}, "$.select: expected maxLength 10000", id="a long pointer"),
        pytest.param(
            {"model": "x", "select": ["/a" * 6000]}, "$.select[0]: expected maxLength", id="one of its pointers"
        ),
        pytest.param({"model": "x", "select": ["/a"] * 101}, "$.select: expected maxItems 100", id="many pointers"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_with_the_reason(
    emulator: Emulator, arguments: dict[str, Any], told: str
) -> None:
    result = await run(emulator, arguments)

    assert error_of(result)["code"] == "invalid_arguments"
    assert told in text_of(result)
    assert inference_requests(emulator.requests) == []


async def test_the_body_is_sent_as_it_was_given(emulator: Emulator) -> None:
    data = {"messages": [{"role": "user", "content": "grüße 😀"}], "seed": 2**60, "z": None, "a": [1.5, -0.0]}
    await run(emulator, {"model": "house-chat", "data": data | {"model": "gpt-4o-mini"}})

    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body) == data | {"model": "gpt-4o-mini"}
    assert "grüße 😀".encode() in request.body


async def test_a_get_is_sent_as_a_get_without_a_body(emulator: Emulator) -> None:
    await run(emulator, {"model": "house-chat", "path": "/v1/models", "method": "GET"})

    (request,) = inference_requests(emulator.requests)
    assert (request.method, request.body) == ("GET", b"")


async def test_the_provider_model_is_filled_in_and_a_callers_own_is_left_alone(emulator: Emulator) -> None:
    await run(emulator, {"model": "house-chat", "data": HELLO})
    await run(emulator, {"model": "house-chat", "data": HELLO | {"model": "another"}})

    assert [json.loads(request.body)["model"] for request in inference_requests(emulator.requests)] == [
        "gpt-4o-mini",
        "another",
    ]


async def test_an_mk3_model_is_named_by_its_blaxel_name_whatever_the_caller_says(emulator: Emulator) -> None:
    result = await run(emulator, {"model": "edge-chat", "data": HELLO | {"model": "gpt-4o-mini"}})

    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body)["model"] == "edge-chat"
    assert receipt_of(result)["repairs"] == ["model was replaced by the Blaxel name, which an mk3 endpoint expects"]


async def test_an_unknown_model_is_told_with_the_nearest_name(emulator: Emulator) -> None:
    result = await run(emulator, {"model": "house-caht", "data": HELLO})

    assert error_of(result)["code"] == "unknown_model"
    assert "Did you mean 'house-chat'?" in text_of(result)


@pytest.mark.parametrize(
    ("access", "arguments", "told"),
    [
        pytest.param({"models": ["house-*"]}, {"model": "edge-chat"}, "'edge-chat'", id="model"),
        pytest.param(
            {"paths": ["/v1/chat/*"]}, {"model": "house-chat", "path": "/v1/embeddings"}, "/v1/emb", id="path"
        ),
        pytest.param({"paths": ["/v1/*"]}, {"model": "house-chat", "path": "/"}, "'/'", id="the base endpoint"),
        pytest.param({"models": []}, {"model": "house-chat"}, "nothing", id="nothing at all"),
    ],
)
async def test_what_access_does_not_allow_is_refused_before_anything_is_sent(
    emulator: Emulator, access: dict[str, Any], arguments: dict[str, Any], told: str
) -> None:
    result = await run(emulator, arguments | {"data": HELLO}, access=access)

    assert (error_of(result)["code"], error_of(result)["origin"]) == ("permission_denied", "local")
    assert told in text_of(result)
    assert inference_requests(emulator.requests) == []


async def test_what_access_allows_goes_through(emulator: Emulator) -> None:
    access = {"models": ["house-*"], "paths": ["/v1/chat/*"]}

    assert answer_of(await run(emulator, {"model": "house-chat", "data": HELLO}, access=access))


async def test_a_dry_run_returns_the_request_and_sends_nothing(emulator: Emulator) -> None:
    result = await run(emulator, {"model": "house-chat", "data": HELLO, "dry_run": True})

    report = answer_of(result)
    assert report["request"]["body"] == {"model": "gpt-4o-mini", **HELLO}
    assert report["request"]["headers"]["X-Blaxel-Authorization"] == "Bearer ********"
    assert report["estimate"]["total_tokens"] > 0
    assert report["curl"].startswith(f"curl {emulator.url}/demo/models/house-chat/v1/chat/completions ")
    assert receipt_of(result)["attempts"] == 0
    assert raw_paths(emulator) == []


async def test_a_dry_run_shows_locked_fields_in_place(emulator: Emulator) -> None:
    models = [{"name": "house-chat", "api": "chat-completions", "locked": {"max_tokens": 5}}]
    data = {**HELLO, "max_tokens": 500}

    report = answer_of(await run(emulator, {"model": "house-chat", "data": data, "dry_run": True}, models=models))

    assert report["request"]["body"]["max_tokens"] == 5
    assert report["estimate"]["output_tokens"] == 5
    assert report["repairs"]
