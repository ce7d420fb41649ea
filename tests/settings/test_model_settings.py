"""What a `[[models]]` entry changes about a model's tool."""

import json
from pathlib import Path
from typing import Any

import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import load_settings
from tests.support.connecting import (
    TOOLS_OF_ONE,
    answer_of,
    connect,
    error_of,
    inference_requests,
    leading_to,
    receipt_of,
    text_of,
)

pytestmark = pytest.mark.anyio


def chat(**settings: Any) -> list[dict[str, Any]]:
    return [{"name": "house-chat", "api": "chat-completions", **settings}]


def sent_to(emulator: Emulator) -> dict[str, Any]:
    (request,) = inference_requests(emulator.requests)
    body: dict[str, Any] = json.loads(request.body)
    return body


async def test_name_title_and_description_are_what_the_settings_say(emulator: Emulator) -> None:
    models = chat(tool="Ask_House", title="Ask the house", description="Knows the house.")
    async with connect(leading_to(emulator, models=models)) as client:
        tool = (await client.list_tools()).tools[0]
        assert answer_of(await client.call_tool("Ask_House", {"prompt": "Hi"}))

    assert (tool.name, tool.title, tool.description) == ("Ask_House", "Ask the house", "Knows the house.")


async def test_a_prefix_stands_before_every_tool(emulator: Emulator) -> None:
    config = leading_to(emulator, models=[*chat(), {"name": "house-embed", "tool": "embed"}], tools={"prefix": "bx_"})
    async with connect(config) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]

    assert names == [
        *("bx_house-chat", "bx_embed"),
        *("bx_run_model", "bx_list_models", "bx_read_result", "bx_cancel_call"),
    ]


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        pytest.param({"builtin": ["run_model"]}, ["house-chat", "house-embed", "run_model"], id="one built-in tool"),
        pytest.param({"builtin": []}, ["house-chat", "house-embed"], id="none"),
        pytest.param({"max_tools": 1}, ["house-chat", *TOOLS_OF_ONE], id="fewer than models"),
        pytest.param({"max_tools": 0}, [*TOOLS_OF_ONE], id="no model tools at all"),
    ],
)
async def test_the_settings_choose_which_tools_are_listed(
    emulator: Emulator, tools: dict[str, Any], names: list[str]
) -> None:
    config = leading_to(emulator, models=[*chat(), {"name": "house-embed", "api": "embeddings"}], tools=tools)
    async with connect(config) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == names


async def test_a_model_beyond_max_tools_stays_reachable_with_its_settings(emulator: Emulator) -> None:
    models = [*chat(), {"name": "house-embed", "api": "embeddings", "locked": {"dimensions": 8}}]
    async with connect(leading_to(emulator, models=models, tools={"max_tools": 1})) as client:
        result = await client.call_tool("run_model", {"model": "house-embed", "data": {"input": "Hi"}})

    assert len(answer_of(result)["data"][0]["embedding"]) == 8


async def test_defaults_fill_in_what_the_caller_leaves_out(emulator: Emulator) -> None:
    defaults = {"temperature": 0.2, "max_tokens": 9, "response_format": {"type": "text", "x": 1}}
    async with connect(leading_to(emulator, models=chat(defaults=defaults))) as client:
        arguments = {"prompt": "Hi", "max_tokens": 5, "response_format": {"type": "json_object"}}
        await client.call_tool("house-chat", arguments)

    assert sent_to(emulator) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.2,
        "max_tokens": 5,
        "response_format": {"type": "json_object", "x": 1},
    }


async def test_a_locked_field_is_not_offered_and_cannot_be_changed(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=chat(locked={"temperature": 0, "user": "u"}))) as client:
        tool = (await client.list_tools()).tools[0]
        result = await client.call_tool("house-chat", {"prompt": "Hi", "temperature": 1, "user": "u"})

    assert "temperature" not in tool.input_schema["properties"]
    assert (sent_to(emulator)["temperature"], sent_to(emulator)["user"]) == (0, "u")
    assert receipt_of(result)["repairs"] == ["temperature is locked by the settings and was reset to its locked value"]


@pytest.mark.parametrize("path", [None, "/v1/chat/completions"], ids=["the model's own path", "a path of the caller's"])
async def test_run_model_is_no_way_around_a_lock(emulator: Emulator, path: str | None) -> None:
    data = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 1}
    arguments = {"model": "house-chat", "data": data, "path": path}
    async with connect(leading_to(emulator, models=chat(locked={"temperature": 0}))) as client:
        await client.call_tool("run_model", arguments)

    assert sent_to(emulator)["temperature"] == 0


async def test_defaults_belong_to_the_models_own_path(emulator: Emulator) -> None:
    models = [{"name": "edge-chat", "api": "chat-completions", "defaults": {"temperature": 0.2}}]
    async with connect(leading_to(emulator, models=models)) as client:
        await client.call_tool("run_model", {"model": "edge-chat", "path": "/v1/embeddings", "data": {"input": "Hi"}})

    assert sent_to(emulator) == {"model": "edge-chat", "input": "Hi"}


async def test_a_schema_of_ones_own_is_advertised_and_enforced(emulator: Emulator) -> None:
    schema = {
        "type": "object",
        "properties": {"inputs": {"type": "string", "minLength": 3, "description": "A review."}},
        "required": ["inputs"],
    }
    models = [{"name": "house-classifier", "input_schema": schema}]
    async with connect(leading_to(emulator, models=models)) as client:
        tool = (await client.list_tools()).tools[0]
        short = await client.call_tool("house-classifier", {"inputs": "no"})
        fitting = await client.call_tool("house-classifier", {"inputs": "A wonderful book."})

    assert tool.input_schema == schema
    assert error_of(short)["code"] == "invalid_arguments"
    assert "$.inputs" in text_of(short)
    assert answer_of(fitting)
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_path_of_ones_own_overrides_the_apis(emulator: Emulator) -> None:
    models = [{"name": "edge-chat", "api": "raw", "path": "/v1/embeddings"}]
    async with connect(leading_to(emulator, models=models)) as client:
        await client.call_tool("edge-chat", {"input": "Hi"})

    assert inference_requests(emulator.requests)[0].path == "/direct/edge-chat/v1/embeddings"


async def test_a_path_alone_tells_the_api(emulator: Emulator) -> None:
    models = [{"name": "house-chat", "path": "/v1/chat/completions"}]
    async with connect(leading_to(emulator, models=models)) as client:
        assert answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))


async def test_a_model_may_live_in_another_workspace(emulator: Emulator) -> None:
    emulator.workspaces.add("other")
    async with connect(leading_to(emulator, models=chat(workspace="other"))) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    (request,) = inference_requests(emulator.requests)
    assert request.path == "/other/models/house-chat/v1/chat/completions"
    assert dict(request.headers)["x-blaxel-workspace"] == "other"
    assert receipt_of(result)["workspace"] == "other"


@pytest.mark.parametrize(
    ("models", "told"),
    [
        pytest.param([{"name": "a/b"}], "'a/b' cannot be the name of a model", id="a name that is a path"),
        pytest.param([{"name": "x", "path": "/../y"}], "In the entry of the model 'x'", id="a path that climbs"),
        pytest.param([{"name": "x", "input_schema": {}}], "does not describe an object", id="an empty schema"),
        *(
            pytest.param(
                [{"name": "x", "input_schema": {"type": "object", **part}}], "is not a valid JSON Schema", id=str(part)
            )
            for part in (
                {"properties": 5},
                {"properties": None},
                {"properties": ["a"]},
                {"required": 5},
                {"required": None},
            )
        ),
        pytest.param(
            [{"name": "x"}, {"name": "y", "tool": "X"}], "would share the tool name 'x'", id="names that differ in case"
        ),
        pytest.param([{"name": "x", "tool": "run_model"}], "would share the tool name 'run_model'", id="a built-in"),
        pytest.param(
            [{"name": "x", "tool": "t" * 40}], "longer than 40 characters with its prefix", id="too long with a prefix"
        ),
    ],
)
async def test_an_entry_that_cannot_become_a_tool_is_refused_at_the_start(
    emulator: Emulator, models: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with connect(leading_to(emulator, models=models, tools={"prefix": "" if "share" in told else "p_"})):
            pass

    assert told in str(caught.value)


async def test_every_entry_that_cannot_become_a_tool_is_named_with_its_line(home: Path) -> None:
    file = home / "config.toml"
    file.write_text(
        '[[models]]\nname = "a/b"\n[[models]]\nname = "x"\ntool = "run_model"\n'
        '[[models]]\nname = "y"\ninput_schema = {}\n'
    )
    file.chmod(0o600)

    with pytest.raises(ConfigurationError) as caught:
        build_runtime(load_settings(config_file=file, environ={}))

    first, *lines = str(caught.value).splitlines()
    assert first == "The settings cannot be used:"
    assert [line.partition(" cannot become a tool: ")[0] for line in lines] == [
        f"models[0] in {file}:1",
        f"models[1] in {file}:3",
        f"models[2] in {file}:6",
    ]
    assert [part in line for part, line in zip(("'a/b' cannot", "'run_model'", "an object"), lines, strict=True)] == [
        True
    ] * 3
