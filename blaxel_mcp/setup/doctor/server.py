"""This server as a client starts it, and what its tools take of a context."""

import shlex
import sys

from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Result, failed, ok, warning
from blaxel_mcp.setup.doctor.handshake import NoHandshakeError, last_words, shake_hands

SLOW_SECONDS = 20.0
"""Clients give up after 30: a machine that is busier than now would not make it."""

MOST_TOKENS = 10_000
"""Of a context, in every request that a model is sent."""

CHARACTERS_PER_TOKEN = 4


async def server(context: CheckContext) -> Result:
    """Start this server with the settings of this command, and list its tools as a client does."""
    command = (sys.executable, "-m", "blaxel_mcp", *context.serve)
    try:
        async with context.servers:
            met = await shake_hands(command, context.variables)
    except NoHandshakeError as error:
        return failed(
            f"The server {error.reason}{last_words(error.log)}.", f"Run `{shlex.join(command)}` and read what it says."
        )
    context.shared.handshake = met
    if met.stray is not None:
        return failed(
            f"It printed {met.stray!r} on standard output, which clients take for a frame.",
            "A library that Python loads at its start prints: look for it in sitecustomize and in .pth files.",
        )
    found = f"{len(met.tools)} tools in {met.seconds:.1f} s, MCP {met.protocol}, nothing but frames on stdout"
    if met.seconds < SLOW_SECONDS:
        return ok(found)
    return warning(f"{found}; clients give up after 30 s.", "Start it on a machine, or at a time, that is less busy.")


async def footprint(context: CheckContext) -> Result:
    """Say how much of a model's context the list of tools takes."""
    met = context.shared.handshake
    assert met is not None
    tokens = met.characters // CHARACTERS_PER_TOKEN
    found = f"{len(met.tools)} tools, {met.characters:,} characters, about {tokens:,} tokens"
    if tokens <= MOST_TOKENS:
        return ok(found)
    return warning(
        f"{found} of every request's context.",
        "Lower tools.max_tools, or choose among the models with discovery.include and discovery.exclude; the others "
        "are still called by run_model.",
    )
