"""Tries an installed server out: an MCP client starts it, lists its tools and calls a model of the emulator's.

python packaging/smoke.py COMMAND...     the command starts the server on stdio, as in `blaxel-mcp serve --demo`

It runs with this project's own dependencies; the command may come from anywhere. The exit code is 1 where something
is not as it should be, and the server's stderr is shown in any case.
"""

# ruff: noqa: INP001 - a script, not a package
import os
import sys

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters

_SECONDS = 90
"""Some commands install the server before they start it."""

_QUESTION, _ANSWER = "What is 6 * 7?", "42"


async def _try_out(words: list[str]) -> str:
    command, *arguments = words
    server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    with anyio.fail_after(_SECONDS):
        async with Client(server) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool("house-chat", {"prompt": _QUESTION})
    text = "".join(block.text for block in result.content if isinstance(block, types.TextContent))
    if result.is_error or _ANSWER not in text:
        raise SystemExit(f"{_QUESTION} was answered with {text}")
    return f"{len(tools)} tools, and {_QUESTION} is answered with {_ANSWER}"


def main(words: list[str]) -> int:
    """Try the server out that these words start; the exit code."""
    if not words:
        sys.stderr.write("usage: smoke.py COMMAND...\n")
        return 2
    sys.stdout.write(f"{anyio.run(_try_out, words)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
