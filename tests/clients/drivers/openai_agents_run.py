"""One run of an agent of the OpenAI agents SDK, with the server's tools and a model on loopback."""

import asyncio

from agents import Agent, Runner, set_tracing_disabled
from agents.models.openai_responses import OpenAIResponsesModel
from openai import AsyncOpenAI

from openai_agents_client import server_of
from python_steps import given


async def main() -> None:
    spec, url = given()
    set_tracing_disabled(disabled=True)
    model = OpenAIResponsesModel("fake", AsyncOpenAI(base_url=f"{url}/v1", api_key="none"))
    async with server_of(spec) as server:
        agent = Agent(name="agent", model=model, mcp_servers=[server])
        result = await Runner.run(agent, "Begin.", max_turns=20)
        print(result.final_output)  # noqa: T201 - the test reads it


asyncio.run(main())
