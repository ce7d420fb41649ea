"""Starts a server as a client does: this one for checks of its own, and those of clients' entries."""

import json
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from blaxel_mcp.core.redaction import REDACTED, Redact, quote
from blaxel_mcp.setup.doctor.checks import CheckContext, Result, count, failed, ok, warning
from blaxel_mcp.setup.install.entries import SECRET_VARIABLES

SLOW_SECONDS = 20.0
"""Clients give up after 30 seconds, which a busier machine would exceed."""

MAX_TOKENS = 10_000
"""Tokens of the tool list above which there is a warning: they are part of every request to a model."""

CHARACTERS_PER_TOKEN = 4

_DRAIN_SECONDS = 1.0

HANDSHAKE_SECONDS = 30.0
"""How long Claude Code and Codex wait for a server to start."""

_MAX_LINE_CHARS = 120
_MAX_LOG_CHARS = 300
_LOG_TAIL_BYTES = 8000
_NO_MODEL = "\N{REPLACEMENT CHARACTER} no model is named like this"
"""A query that matches no model, so that `list_models` reports the credentials and looks up nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """A server's answers.

    Attributes:
        seconds: The time from its start to its list of tools.
        characters: The size of its list of tools, in characters of JSON.
        stray: The first line on its standard output that is not a protocol message, quoted; None if there is none.
        listing: The result of its tool `list_models`, with the workspace and the credentials; None if not called.
    """

    seconds: float
    protocol: str
    tools: tuple[str, ...]
    characters: int
    stray: str | None
    listing: Mapping[str, Any] | None = None


class NoHandshakeError(Exception):
    """A server did not answer; the text continues a sentence that begins with "The server"."""


async def shake_hands(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    secrets: Collection[str] = (),
    seconds: float = HANDSHAKE_SECONDS,
    ask_models: bool = False,
    folder: str | None = None,
) -> Handshake:
    """Start a server, list its tools, and stop it.

    Args:
        command: The program and its arguments.
        environment: Its variables, in addition to the few that clients always pass on, such as PATH and HOME.
        secrets: Texts to redact in what it prints.
        seconds: The timeout of the whole handshake.
        ask_models: Whether to call its tool `list_models` too, which reports the source of its credentials.
        folder: The folder in which it is started; None for the working directory.

    Raises:
        NoHandshakeError: The server did not start, or did not answer in time.
    """
    server = StdioServerParameters(
        command=command[0], args=list(command[1:]), env=dict(environment), cwd=folder, encoding_error_handler="replace"
    )

    def redact(line: bytes) -> bytes:
        for secret in sorted(secrets, key=len, reverse=True):
            line = line.replace(os.fsencode(secret), REDACTED.encode())
        return line

    # It logs each line that is not a message, with any secret in it; a check reports the first one.
    logging.getLogger("mcp.client.stdio").setLevel(logging.CRITICAL)
    stray: list[str] = []
    with tempfile.TemporaryFile() as log:
        try:
            with anyio.fail_after(seconds):
                return await _handshake(_transport(server, log, stray, redact), stray, ask_models=ask_models)
        except TimeoutError:
            reason = f"did not answer within {seconds:g} s"
        except (OSError, ValueError) as error:
            reason = f"could not be started ({getattr(error, 'strerror', None) or type(error).__name__})"
        except ExceptionGroup as errors:
            # The SDK's task groups wrap the exceptions of its client.
            if errors.split(MCPError)[1] is not None:
                raise
            reason = "exited before it answered"
        printed = f"; before that it printed {stray[0]!r} on standard output" if stray else ""
        raise NoHandshakeError(f"{reason}{printed}{_last_words(log, redact)}.")


async def _handshake(transport: Any, stray: Sequence[str], *, ask_models: bool) -> Handshake:
    started = time.perf_counter()
    async with Client(transport, mode="legacy") as client:
        tools = (await client.list_tools()).tools
        seconds = time.perf_counter() - started
        listing = None
        name = next((tool.name for tool in tools if tool.name.endswith("list_models")), None)
        if ask_models and name is not None:
            result = await client.call_tool(name, {"query": _NO_MODEL})
            listing = None if result.is_error else result.structured_content
        protocol = client.protocol_version
    return Handshake(
        seconds=seconds,
        protocol=protocol,
        tools=tuple(tool.name for tool in tools),
        characters=sum(len(tool.model_dump_json(by_alias=True, exclude_none=True)) for tool in tools),
        stray=next(iter(stray), None),
        listing=listing,
    )


@asynccontextmanager
async def _transport(
    server: StdioServerParameters, log: IO[bytes], stray: list[str], redact: Redact
) -> AsyncIterator[Any]:
    """Provide the transport of the server's process; the first line that is not a message goes to `stray`, quoted."""
    ended = anyio.Event()
    sending, receiving = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    async with stdio_client(server, errlog=log) as (incoming, outgoing), anyio.create_task_group() as group:  # type: ignore[arg-type] # any file with a descriptor does

        async def forward() -> None:
            async with sending:
                async for item in incoming:
                    if not isinstance(item, Exception):
                        await sending.send(item)
                    elif not stray:
                        stray.append(_line_in(item, redact))
            ended.set()

        group.start_soon(forward)
        try:
            yield receiving, outgoing
        except BaseException:
            # The last output of a dead server may still be in the pipe.
            with anyio.move_on_after(_DRAIN_SECONDS, shield=True):
                await ended.wait()
            raise
        finally:
            group.cancel_scope.cancel()
            receiving.close()


def _line_in(problem: Exception, redact: Redact) -> str:
    """Return the line in the SDK's parse error, quoted."""
    details = problem.errors(include_url=False) if isinstance(problem, ValidationError) else []
    line = details[0]["input"] if details else ""
    return quote(line if isinstance(line, str) else json.dumps(line, default=str), _MAX_LINE_CHARS, redact)


def _last_words(log: IO[bytes], redact: Redact) -> str:
    """Return the last line of a log as the end of a sentence; empty if there is none."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return f'; its last log line: "{quote(lines[-1], _MAX_LOG_CHARS, redact)}"' if lines else ""


async def server(context: CheckContext) -> Result:
    """Start this server with the settings of this command, and list its tools as a client does."""
    # -P: nothing is imported from the working directory.
    command = (sys.executable, "-P", "-m", "blaxel_mcp", *context.serve)
    try:
        async with context.servers:
            secrets = [value for name in SECRET_VARIABLES if (value := context.variables.get(name))]
            handshake = await shake_hands(command, context.variables, secrets=secrets)
    except NoHandshakeError as error:
        fix = f"Run `{shlex.join(command)}` in a terminal to see why."
        return failed(f"The server {error}", fix)
    context.tool_list = len(handshake.tools), handshake.characters
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
    tools, characters = context.tool_list
    tokens = characters // CHARACTERS_PER_TOKEN
    message = f"{count(tools, 'tool')}, {count(characters, 'character')}, about {count(tokens, 'token')}"
    if tokens <= MAX_TOKENS:
        return ok(message)
    return warning(
        f"{message} in every request to a model.",
        "Lower tools.max_tools, or select models with discovery.include and discovery.exclude; run_model still calls "
        "the others.",
    )
