"""The text of an answer as it comes, for a client that asks for it."""

import json
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import ERAS, Era, leading_to
from tests.support.http_serving import message, serving

pytestmark = pytest.mark.anyio

WORDS = "Slowly but surely, one word after the other."


async def messages_of_a_slow_stream(emulator: Emulator, era: Era, meta: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages that answer a streamed call of two seconds, made with this `_meta`."""
    data = {"messages": [{"role": "user", "content": "Hello"}]}
    arguments = {"model": "fault-stream-slow", "path": "/v1/chat/completions", "data": data}
    body, headers = message("tools/call", era, name="run_model", arguments=arguments)
    request = json.loads(body)
    request["params"].setdefault("_meta", {}).update(meta)
    async with serving(leading_to(emulator)) as served:
        response = await served.post(json.dumps(request).encode(), headers)
    lines = [line.removeprefix("data:") for line in response.text.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_asks_for_the_text_gets_it_piece_by_piece(emulator: Emulator, era: Era) -> None:
    meta = {"progressToken": "t", "blaxel-mcp/partial": True}
    *notifications, result = await messages_of_a_slow_stream(emulator, era, meta)

    text = ""
    for notification in notifications:
        partial = notification["params"]["_meta"]["blaxel-mcp/partial"]
        assert partial["offset"] == len(text)
        text += partial["text"]
    assert text
    assert WORDS.startswith(text)
    steps = [notification["params"]["progress"] for notification in notifications]
    assert steps == sorted(set(steps))
    assert result["result"]["structuredContent"]["choices"][0]["message"]["content"] == WORDS


@pytest.mark.parametrize("asked", [{}, {"blaxel-mcp/partial": "yes"}], ids=["not asked", "not true"])
async def test_any_other_client_gets_sentences_only(emulator: Emulator, asked: dict[str, Any]) -> None:
    *notifications, _ = await messages_of_a_slow_stream(emulator, "2026-07-28", {"progressToken": "t", **asked})

    assert notifications
    assert all("_meta" not in notification["params"] for notification in notifications)
