"""A server process asks the person behind its client, in both eras of the protocol."""

import json

import anyio
import pytest
from mcp import StdioServerParameters

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import ERAS, Era, inference_requests
from tests.support.leaks import Client
from tests.support.person import CHAT, QUESTION, Person
from tests.support.processes import SERVE, variables

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_a_server_process_asks_over_stdio(emulator: Emulator, era: Era, action: str) -> None:
    environment = {
        **variables(emulator),
        "BLAXEL_MCP_MODELS": json.dumps([CHAT]),
        "BLAXEL_MCP_BUDGET__ASK_OVER_USD": "0.5",
    }
    parameters = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
    person = Person(action)
    with anyio.fail_after(30):
        async with Client(parameters, mode=era, elicitation_callback=person.answer) as client:
            result = await client.call_tool("house-chat", QUESTION)

    assert result.is_error is (action == "decline")
    assert len(person.asked) == 1
    assert len(inference_requests(emulator.requests)) == (action == "accept")
