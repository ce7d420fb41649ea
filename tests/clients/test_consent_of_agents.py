"""A call that needs a person's consent, made by the model behind Claude Code and Codex: nobody is there to agree.

Both declare that they can ask. Without a terminal, Claude Code closes the question and Codex declines it.
"""

import json

import pytest

from blaxel_mcp.emulator import Emulator
from tests.clients.coding_agents import ClaudeCode, Codex
from tests.clients.driving import stdio_server
from tests.clients.fake_models import DONE, Call, FakeModel, serving
from tests.clients.installed import needs
from tests.support.connecting import inference_requests

pytestmark = pytest.mark.anyio

CHAT = {"name": "house-chat", "api": "chat-completions", "price": {"input": 1000, "output": 1000}}
SCRIPT = (
    Call("A call that costs a dollar", "house-chat", {"prompt": "What is 6 * 7?", "max_tokens": 1000}),
    Call("A call that costs a cent", "house-chat", {"prompt": "What is 6 * 7?", "max_tokens": 10}),
)


@pytest.mark.parametrize(
    ("agent", "reply"),
    [
        pytest.param(ClaudeCode(), "closed the question", id="claude", marks=needs("claude")),
        pytest.param(Codex(), "declined", id="codex", marks=needs("codex")),
    ],
)
async def test_an_agent_without_a_person_sends_no_expensive_call_and_its_model_is_told_why(
    agent: ClaudeCode | Codex, reply: str, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"BLAXEL_MCP_MODELS": json.dumps([CHAT]), "BLAXEL_MCP_BUDGET__ASK_OVER_USD": "0.5"}
    with serving(FakeModel(SCRIPT, agent.tool)) as model:
        home = tmp_path_factory.mktemp(agent.name)
        finished = await agent.ask(home, stdio_server(emulator, **settings), model.url)

    assert (finished.code, finished.stdout.strip()) == (0, DONE), finished
    (_, refused), (_, answered) = agent.shown(model.asked[-1]).results
    assert f"The person {reply}" in json.dumps(refused)
    assert "42" in json.dumps(answered)
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body)["max_tokens"] == 10
