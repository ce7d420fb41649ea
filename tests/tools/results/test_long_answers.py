"""Answers that would not fit an agent's context, seen through a client: cut, told, and whole on request."""

import json
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.tools.call_tools import PART_KEY
from tests.support.connecting import answer_of, connect, leading_to, receipt_of, text_of
from tests.support.raw_upstream import answer, raw_upstream

pytestmark = pytest.mark.anyio

CHAT = {"name": "house-chat", "api": "chat-completions"}
MEBIBYTE = 1024 * 1024


async def test_a_long_answer_is_cut_and_can_be_read_to_the_last_character(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-flood-1"})
        call_id = receipt_of(result)["call_id"]
        parts: list[str] = []
        offset: int | None = 0
        while offset is not None:
            wanted = {"call_id": call_id, "pointer": "/output", "offset": offset}
            part = await client.call_tool("read_result", wanted)
            parts.append(text_of(part))
            offset = (part.meta or {})[PART_KEY]["next_offset"]

    assert len(text_of(result)) <= 40_000
    assert json.loads(text_of(result)) == answer_of(result)
    assert call_id in text_of(result)
    assert receipt_of(result)["truncated"] is True
    assert "".join(parts) == "a" * MEBIBYTE


async def test_an_answer_that_fits_is_left_as_it_is(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})

    assert receipt_of(result)["truncated"] is False
    assert set(answer_of(result)) == {"id", "object", "created", "model", "choices", "usage"}


@pytest.mark.parametrize(
    ("tools", "model", "text"),
    [
        pytest.param({"result": "text"}, {}, True, id="for all"),
        pytest.param({}, {"result": "text"}, True, id="for this model"),
        pytest.param({"result": "text"}, {"result": "json"}, False, id="for all but this model"),
    ],
)
@pytest.mark.parametrize("tool", ["house-chat", "run_model"])
async def test_the_models_text_alone_is_given_where_the_settings_say_so(
    emulator: Emulator, tool: str, tools: dict[str, Any], model: dict[str, Any], text: bool
) -> None:
    data = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}
    arguments = data if tool == "house-chat" else {"model": "house-chat", "data": data}
    async with connect(leading_to(emulator, models=[{**CHAT, **model}], tools=tools)) as client:
        result = await client.call_tool(tool, arguments)

    assert (text_of(result) == "6 * 7 = 42") is text
    assert (result.structured_content is None) is text
    assert receipt_of(result)["usage"]["total_tokens"] > 0


HIDDEN = {
    "a number beyond every double": "1e400",
    "half of a surrogate pair": '"\\ud800"',
    "150 levels": "[" * 150 + "]" * 150,
    "390 levels": "[" * 390 + "]" * 390,
}


@pytest.mark.parametrize("oddity", HIDDEN.values(), ids=HIDDEN)
async def test_what_the_sdk_cannot_write_matters_only_where_it_is_shown(emulator: Emulator, oddity: str) -> None:
    items = ",".join(f'{{"item": {number}}}' for number in range(20_000))
    bodies = {"ordinary": f'[{items},"end"]', "first": f"[{oddity},{items}]", "last": f"[{items},{oddity}]"}
    upstream = {model: lambda body=body: [answer(body.encode())] for model, body in bodies.items()}
    async with raw_upstream(upstream) as url, connect(leading_to(emulator, run_url=url)) as client:
        ordinary, first, last = [await client.call_tool("run_model", {"model": model}) for model in bodies]

    assert answer_of(last)["result"][:900] == answer_of(ordinary)["result"][:900]
    assert first.structured_content is None
    assert text_of(first).startswith(f"[{oddity},")
    assert all(receipt_of(result)["truncated"] for result in (ordinary, first, last))
