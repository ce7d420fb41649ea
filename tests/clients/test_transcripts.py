"""What the model behind Claude Code and Codex is shown of the server: kept as pages, and compared whole.

A model with a script stands in for the real one, on loopback. The programs are the real ones, so the
pages show what becomes of names, schemas, cut answers, pictures and failures on the way to a model. Where
a page changes, read it as a model would: `UPDATE_SNAPSHOTS=1` writes what there is now.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator
from tests.clients.coding_agents import ClaudeCode, Codex
from tests.clients.driving import stdio_server
from tests.clients.fake_models import DONE, Call, FakeModel, serving
from tests.clients.installed import needs
from tests.clients.transcript import Round, normalised, page
from tests.support.leaks import look_at

pytestmark = pytest.mark.anyio

PAGES = Path(__file__).parent / "transcripts"
UPDATE = bool(os.environ.get("UPDATE_SNAPSHOTS"))

MOST_CHARACTERS = 40_000
"""Of a page: more than this nobody reads."""

MODELS = [
    {"name": "house-chat", "api": "chat-completions", "description": "Short questions, arithmetic, a second opinion."},
    {"name": "house-painter", "api": "images", "description": "Paints."},
    {"name": "house-embed", "api": "embeddings"},
]
SETTINGS = {
    "BLAXEL_MCP_MODELS": json.dumps(MODELS),
    "BLAXEL_MCP_LIMITS__MAX_RESULT_CHARS": "1000",
    "BLAXEL_MCP_LIMITS__DETACH_AFTER_SECONDS": "3",
}


def reading(result: str, **arguments: Any) -> dict[str, Any]:
    """The arguments that read on in the answer that a result names."""
    found = re.search(r"call_[A-Za-z0-9_-]{22}", result)
    assert found, result
    return {"call_id": found[0], **arguments}


SPEECH = {"input": "Good morning", "voice": "alloy", "response_format": "wav"}
LONG = " ".join(f"word{number}" for number in range(200))
SCRIPT = (
    Call("An answer", "house-chat", {"prompt": "What is 6 * 7?"}),
    Call(
        "A body as text",
        "run_model",
        {"model": "house-chat", "data": '{"messages": [{"role": "user", "content": "Hi"}]}'},
    ),
    Call("An argument of the wrong kind", "run_model", {"model": 3, "data": {}}),
    Call("An argument that only the endpoint refuses", "house-chat", {"prompt": "Hi", "top_p": 7}),
    Call("A model that is not there", "run_model", {"model": "house-chatt", "data": {"inputs": "Hi"}}),
    Call("A long answer", "house-chat", {"prompt": f"Reverse: {LONG}"}),
    Call(
        "The rest of it",
        "read_result",
        lambda result: reading(result, pointer="/choices/0/message/content", offset=24, length=60),
    ),
    Call("A vector", "house-embed", {"input": "a cat"}),
    Call("A picture", "house-painter", {"prompt": "A red barn", "size": "1024x1024"}),
    Call("A sound", "run_model", {"model": "house-voice", "path": "/v1/audio/speech", "data": SPEECH}),
    Call("A limit that is used up", "run_model", {"model": "fault-429-long", "data": {"inputs": "again"}}),
    Call("An answer cut off on the way", "run_model", {"model": "fault-truncated", "data": {"inputs": "again"}}),
    Call("A slow answer", "run_model", {"model": "fault-slow-4s", "data": {"inputs": "slowly"}}),
    Call("What became of it", "read_result", lambda result: reading(result, wait_seconds=20)),
)


@pytest.mark.parametrize(
    "agent",
    [
        pytest.param(ClaudeCode(), id="claude", marks=needs("claude")),
        pytest.param(Codex(), id="codex", marks=needs("codex")),
    ],
)
async def test_the_model_behind_an_agent_sees_the_recorded_transcript(
    agent: ClaudeCode | Codex, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp(agent.name)
    server = stdio_server(emulator, **SETTINGS)
    with serving(FakeModel(SCRIPT, agent.tool)) as model:
        finished = await agent.ask(home, server, model.url)

    look_at("what the model is shown", json.dumps(model.asked))
    assert (finished.code, finished.stdout.strip()) == (0, DONE), finished
    shown = agent.shown(model.asked[-1])
    rounds = [
        Round(call.why, call.tool, model.made[number], *result)
        for number, (call, result) in enumerate(zip(SCRIPT, shown.results, strict=True))
    ]
    found = normalised(page(agent.title, shown.instructions, shown.tools, rounds), str(home))
    assert len(found) < MOST_CHARACTERS
    file = PAGES / f"{agent.name}.md"
    if UPDATE:
        file.write_text(found)
    assert found == file.read_text()
