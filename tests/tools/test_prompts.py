"""The prompts that a person picks in a client."""

import mcp_types as types
import pytest
from mcp import MCPError

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import ERAS, Era, connect, leading_to

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_lists_the_prompts_with_what_they_need(emulator: Emulator, era: Era) -> None:
    async with connect(leading_to(emulator), era) as client:
        prompts = (await client.list_prompts()).prompts

    assert {prompt.name: [argument.name for argument in prompt.arguments or []] for prompt in prompts} == {
        "second_opinion": ["question", "model"],
        "compare": ["question", "models"],
        "illustrate": ["subject", "model"],
    }
    assert all(prompt.description and prompt.arguments and prompt.arguments[0].required for prompt in prompts)


async def filled(emulator: Emulator, name: str, arguments: dict[str, str]) -> str:
    async with connect(leading_to(emulator)) as client:
        result = await client.get_prompt(name, arguments)
    (message,) = result.messages
    assert isinstance(message.content, types.TextContent)
    assert message.role == "user"
    return message.content.text


async def test_a_prompt_holds_what_the_person_gave(emulator: Emulator) -> None:
    question = "Is {models} a set, or {}?"

    text = await filled(emulator, "second_opinion", {"question": question, "model": "house-chat"})

    assert question in text
    assert "put the same question to house-chat through" in text


@pytest.mark.parametrize("given", [{}, {"models": " "}])
async def test_without_a_model_the_agent_chooses(emulator: Emulator, given: dict[str, str]) -> None:
    assert "two or three different Blaxel models" in await filled(emulator, "compare", {"question": "Why?", **given})


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("compare", {"question": "x" * 1_000_001}, "have at most 1000000 characters, not 1000001"),
        pytest.param("second_opinon", {}, "Did you mean 'second_opinion'", id="a misspelled name"),
        pytest.param("illustrate", {}, "needs the argument 'subject'", id="nothing given"),
        pytest.param("illustrate", {"subject": "  "}, "needs the argument 'subject'", id="a blank"),
    ],
)
async def test_a_prompt_that_cannot_be_filled_says_why(
    emulator: Emulator, name: str, arguments: dict[str, str], message: str
) -> None:
    async with connect(leading_to(emulator)) as client:
        with pytest.raises(MCPError, match=message):
            await client.get_prompt(name, arguments)


@pytest.mark.parametrize(
    ("prompt", "argument", "typed", "values"),
    [
        pytest.param("second_opinion", "model", "HOU", ["house-chat"], id="models that chat"),
        pytest.param("illustrate", "model", "", ["painter"], id="models that paint"),
        pytest.param("compare", "models", "edge-chat, ho", ["edge-chat, house-chat"], id="the last of a list"),
        pytest.param("compare", "question", "h", [], id="an argument that is no model"),
        pytest.param("none", "model", "h", [], id="an unknown prompt"),
    ],
)
async def test_a_client_completes_the_names_of_models(
    emulator: Emulator, prompt: str, argument: str, typed: str, values: list[str]
) -> None:
    models = [
        {"name": "house-chat", "api": "chat-completions"},
        {"name": "edge-chat", "api": "messages"},
        {"name": "house-embed", "api": "embeddings"},
        {"name": "painter", "api": "images"},
    ]
    async with connect(leading_to(emulator, models=models)) as client:
        result = await client.complete(
            types.PromptReference(type="ref/prompt", name=prompt), {"name": argument, "value": typed}
        )

    assert result.completion.values == values
