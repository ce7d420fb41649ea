"""This server, started over stdio as a client does, and the size of its tool list."""

import shlex
import sys

from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Result, count, failed, ok, warning
from blaxel_mcp.setup.doctor.handshake import NoHandshakeError, last_words, shake_hands

SLOW_SECONDS = 20.0
"""Clients give up after 30 seconds, which a busier machine would exceed."""

MAX_TOKENS = 10_000
"""Tokens of the tool list above which there is a warning: they are part of every request to a model."""

CHARACTERS_PER_TOKEN = 4


async def server(context: CheckContext) -> Result:
    """Start this server with the settings of this command, and list its tools as a client does."""
    # -P: nothing is imported from the working directory.
    command = (sys.executable, "-P", "-m", "blaxel_mcp", *context.serve)
    try:
        async with context.servers:
            handshake = await shake_hands(command, context.variables)
    except NoHandshakeError as error:
        fix = f"Run `{shlex.join(command)}` in a terminal to see why."
        return failed(f"The server {error.reason}{last_words(error.log)}.", fix)
    context.handshake = handshake
    if handshake.stray is not None:
        return failed(
            f"The server printed {handshake.stray!r} on standard output, which clients read as a protocol message.",
            f"`{shlex.join((sys.executable, '-c', 'pass'))}` should print nothing: remove the print from "
            "sitecustomize.py, or from a library that a .pth file loads.",
        )
    tools = count(len(handshake.tools), "tool")
    message = (
        f"{tools} in {handshake.seconds:.1f} s, MCP {handshake.protocol}, only protocol messages on standard output"
    )
    if handshake.seconds < SLOW_SECONDS:
        return ok(message)
    fix = "Close other programs or use a faster machine, then run `blaxel-mcp doctor` again."
    return warning(f"{message}; clients give up after 30 s.", fix)


async def footprint(context: CheckContext) -> Result:
    """Report how much of a model's context the list of tools takes."""
    handshake = context.handshake
    assert handshake is not None
    tokens = handshake.characters // CHARACTERS_PER_TOKEN
    tools = count(len(handshake.tools), "tool")
    message = f"{tools}, {count(handshake.characters, 'character')}, about {count(tokens, 'token')}"
    if tokens <= MAX_TOKENS:
        return ok(message)
    return warning(
        f"{message} in every request to a model.",
        "Lower tools.max_tools, or select models with discovery.include and discovery.exclude; run_model still calls "
        "the others.",
    )
