"""Parts of answers (`select`), other forms of embeddings (`return`), the latest answer and the visible receipt."""

import json
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

CONTENT = "/choices/0/message/content"
QUESTION = {"prompt": "What is 6 * 7?"}


def bodies(emulator: Emulator) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in inference_requests(emulator.requests)]


def texts_of(result: types.CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, types.TextContent)]


@pytest.mark.parametrize("select", [pytest.param(CONTENT, id="a text"), pytest.param([CONTENT], id="a list")])
async def test_a_selected_text_comes_back_by_itself_and_the_whole_answer_stays_readable(
    emulator: Emulator, select: Any
) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("house-chat", {**QUESTION, "select": select})
        whole = await client.call_tool("read_result", {"call_id": "last"})

    assert text_of(result) == json.loads(text_of(whole))["choices"][0]["message"]["content"]
    assert result.structured_content is None
    assert "select" not in bodies(emulator)[0]


async def test_several_parts_come_back_by_pointer_with_what_selects_nothing(emulator: Emulator) -> None:
    pointers = [CONTENT, "/usage", "/choices/7"]
    async with connect(leading_to(emulator)) as client:
        answer = answer_of(await client.call_tool("house-chat", {**QUESTION, "select": pointers}))

    assert "42" in answer[CONTENT]
    assert answer["/usage"]["total_tokens"] > 0
    assert "an array of 1 item" in answer["not_selected"]["/choices/7"]


async def test_a_pointer_that_selects_nothing_loses_no_answer(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("house-chat", {**QUESTION, "select": "/choice"})

    assert answer_of(result)["choices"]
    assert "[`select`: The pointer selects nothing at step" in texts_of(result)[-1]


@pytest.mark.parametrize("tool", ["house-chat", "run_model"])
async def test_a_malformed_pointer_is_rejected_before_anything_is_sent(emulator: Emulator, tool: str) -> None:
    arguments = QUESTION if tool == "house-chat" else {"model": "house-chat", "data": {"messages": []}}
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool(tool, {**arguments, "select": "choices"})

    assert (error_of(result)["code"], error_of(result)["billed"]) == ("invalid_arguments", "no")
    assert not inference_requests(emulator.requests)


async def test_run_model_selects_and_leaves_a_field_of_that_name_in_its_data(emulator: Emulator) -> None:
    data = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "house-chat", "data": data, "select": CONTENT})
        await client.call_tool("run_model", {"model": "house-chat", "data": {**data, "select": "theirs"}})

    assert "42" in text_of(result)
    assert [body.get("select") for body in bodies(emulator)] == [None, "theirs"]


OWN_SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}, "select": {"type": "string"}}}


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"input_schema": OWN_SCHEMA}, id="in a schema of one's own"),
        pytest.param({"defaults": {"select": "d"}}, id="with a default"),
    ],
)
async def test_a_field_that_the_api_itself_calls_select_is_the_apis(emulator: Emulator, own: dict[str, Any]) -> None:
    models = [{"name": "house-chat", "api": "chat-completions", **own}]
    async with connect(leading_to(emulator, models=models)) as client:
        # The emulator's API has no such field.
        await client.call_tool("house-chat", {**QUESTION, "select": "mine"})

    assert bodies(emulator)[0]["select"] == "mine"


async def test_a_tool_with_a_schema_of_its_own_selects_too(emulator: Emulator) -> None:
    closed = {"type": "object", "properties": {"prompt": {"type": "string"}}, "additionalProperties": False}
    models = [{"name": "house-chat", "api": "chat-completions", "input_schema": closed}]
    async with connect(leading_to(emulator, models=models)) as client:
        result = await client.call_tool("house-chat", {**QUESTION, "select": "/object"})

    assert text_of(result) == "chat.completion"
    assert "select" not in bodies(emulator)[0]


async def test_the_settings_select_for_a_model_and_an_argument_overrides_them(emulator: Emulator) -> None:
    models = [{"name": "house-chat", "api": "chat-completions", "select": CONTENT}]
    async with connect(leading_to(emulator, models=models)) as client:
        usual = await client.call_tool("house-chat", QUESTION)
        other = await client.call_tool("house-chat", {**QUESTION, "select": ["/object"]})
        whole = await client.call_tool("house-chat", {**QUESTION, "select": []})

    assert "42" in text_of(usual)
    assert text_of(other) == "chat.completion"
    assert answer_of(whole)["choices"]


async def test_a_selected_picture_is_a_picture(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[{"name": "house-painter", "api": "images"}])) as client:
        result = await client.call_tool("house-painter", {"prompt": "A barn", "select": "/data/0/b64_json"})

    assert [block.type for block in result.content] == ["image"]


async def test_a_long_selected_part_is_truncated_with_its_own_pointer(emulator: Emulator) -> None:
    words = " ".join(f"word{number}" for number in range(400))
    config = leading_to(emulator, limits={"max_result_chars": 1000})
    async with connect(config) as client:
        result = await client.call_tool("house-chat", {"prompt": f"Reverse: {words}", "select": CONTENT})
        rest = await client.call_tool("read_result", {"call_id": "last", "pointer": CONTENT, "offset": 500})

    assert len(text_of(result)) <= 1000
    assert f'pointer="{CONTENT}"' in text_of(result)
    assert not rest.is_error


@pytest.mark.parametrize(
    ("layout", "tool", "model"), [("per-model", "house-embed", {}), ("per-api", "embeddings", {"model": "house-embed"})]
)
async def test_embeddings_return_how_similar_the_texts_are(
    emulator: Emulator, layout: str, tool: str, model: dict[str, Any]
) -> None:
    texts = ["a cat", "a cat", "stock prices fell"]
    async with connect(leading_to(emulator, tools={"layout": layout})) as client:
        result = await client.call_tool(tool, {**model, "input": texts, "return": "similarity"})

    rows = answer_of(result)["similarity"]
    assert rows[0][1] == rows[1][0] == rows[2][2] == 1.0
    assert rows[0][2] < 0.99
    assert "return" not in bodies(emulator)[0]


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings_return_whole_vectors_or_a_file_with_them(emulator: Emulator, encoding: str) -> None:
    asked = {"input": ["a cat"], "return": "file", "encoding_format": encoding}
    async with connect(leading_to(emulator)) as client:
        vectors = answer_of(await client.call_tool("house-embed", {"input": ["a cat"], "return": "vectors"}))
        result = await client.call_tool("house-embed", asked)
        sentence = texts_of(result)[-1]
        file = next(Path(word.rstrip(",.")) for word in sentence.split() if word.startswith("/"))
        written = json.loads(file.read_text())

    assert isinstance(vectors["data"][0]["embedding"][7], float)
    assert written == [pytest.approx(vectors["data"][0]["embedding"], abs=1e-6)]
    assert json.loads(text_of(result))["dimensions"] == len(written[0])
    assert "too large" not in sentence
    assert " of JSON. They are in the file /" in sentence
    assert "As the endpoint sent them, they are for a limited time also the resource blaxel://calls/" in sentence


async def test_too_many_texts_to_compare_are_rejected_before_they_are_sent(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("house-embed", {"input": ["a"] * 101, "return": "similarity"})

    assert "at most 100 texts" in text_of(result)
    assert not inference_requests(emulator.requests)


async def test_without_a_call_there_is_no_last_answer(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("read_result", {"call_id": "last"})

    assert error_of(result)["code"] == "not_found"


async def test_the_last_answer_is_that_of_the_latest_call_that_has_one(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        await client.call_tool("house-embed", {"input": ["a cat"]})
        await client.call_tool("house-chat", QUESTION)
        await client.call_tool("house-chat", {"prompt": 7, "top_p": "high"})
        result = await client.call_tool("read_result", {"call_id": "last", "pointer": CONTENT})

    assert "42" in text_of(result)


async def test_a_receipt_as_text_is_a_line_that_the_model_sees(emulator: Emulator) -> None:
    models = [{"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 2}}]
    async with connect(leading_to(emulator, models=models, tools={"receipt": "text"})) as client:
        result = await client.call_tool("house-chat", QUESTION)
        failed = await client.call_tool("house-chat", {**QUESTION, "top_p": 7})

    receipt = receipt_of(result)
    assert texts_of(result)[-1] == (
        f"[call_id {receipt['call_id']}, {receipt['usage']['total_tokens']} tokens, ${receipt['cost_usd']:.6f}]"
    )
    # Clients show structured content in place of the text.
    assert result.structured_content is None
    assert texts_of(failed)[-1] == f"[call_id {receipt_of(failed)['call_id']}]"
