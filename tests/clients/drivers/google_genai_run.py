"""One run of google-genai's own tool calling, with the server's session as a tool and a model on loopback."""

import asyncio

from google import genai
from google.genai import types
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from python_steps import given


async def main() -> None:
    spec, url = given()
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))
    async with stdio_client(StdioServerParameters(**spec)) as streams, ClientSession(*streams) as session:
        await session.initialize()
        calling: types.AutomaticFunctionCallingConfigDict = {"maximum_remote_calls": 20}
        # As a GenerateContentConfig it would be copied deeply, which a session of the SDK's second version cannot be.
        config: types.GenerateContentConfigDict = {"tools": [session], "automatic_function_calling": calling}
        response = await client.aio.models.generate_content(model="fake", contents="Begin.", config=config)
        print(response.text)  # noqa: T201 - the test reads it


asyncio.run(main())
