"""A server started as a client would start it: its first answers, and what else came out of it."""

import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from blaxel_mcp.core.redaction import quote

_LAST_PRINTS_SECONDS = 1.0

HANDSHAKE_SECONDS = 30.0
"""How long Claude Code and Codex wait for a server to start."""

_LINE_SHOWN = 120
_LOG_SHOWN = 300
_LOG_TAIL = 8000
_NO_MODEL = "\N{REPLACEMENT CHARACTER} no model is named like this"
"""Asked for, so that the listing says whose credentials there are and looks up no model."""

_Incoming = MemoryObjectSendStream[SessionMessage | Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a server answered.

    Attributes:
        seconds: From its start to its list of tools.
        protocol: The version of the protocol that was agreed on.
        tools: The names of its tools.
        characters: Of the list of tools, as a client gets it.
        stray: The first line on its standard output that was no frame, quoted; None where there was none.
        log: The last of what it wrote to standard error.
        listing: What its `list_models` says of the workspace and the credentials; None where it was not asked.
    """

    seconds: float
    protocol: str
    tools: tuple[str, ...]
    characters: int
    stray: str | None
    log: str
    listing: Mapping[str, Any] | None = None


class NoHandshakeError(Exception):
    """A server that did not answer.

    Attributes:
        reason: What happened, as the end of a sentence that begins with the server.
        log: The last of what it wrote to standard error.
        stray: As in `Handshake`.
    """

    def __init__(self, reason: str, *, log: str = "", stray: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log
        self.stray = stray


async def shake_hands(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    seconds: float = HANDSHAKE_SECONDS,
    ask_models: bool = False,
) -> Handshake:
    """Start a server, list its tools, and end it.

    Args:
        command: The program and its arguments.
        environment: Its variables, besides the few that clients pass on of their own: PATH, HOME and the like.
        seconds: How long all of it may take.
        ask_models: Whether it is asked for the source of its credentials too, by its tool `list_models`.

    Raises:
        NoHandshakeError: It did not answer.
    """
    server = StdioServerParameters(
        command=command[0], args=list(command[1:]), env=dict(environment), encoding_error_handler="replace"
    )
    heard = _Heard()
    with tempfile.TemporaryFile() as log:
        try:
            with anyio.fail_after(seconds):
                return await _met(server, log, heard, ask_models=ask_models)
        except TimeoutError:
            reason = f"did not answer within {seconds:g} seconds"
        except (OSError, ValueError) as error:
            reason = f"could not be started ({getattr(error, 'strerror', None) or type(error).__name__})"
        except ExceptionGroup as errors:
            # The SDK's task groups wrap what its client raises.
            if errors.split(MCPError)[1] is not None:
                raise
            reason = "ended before it had answered"
        raise NoHandshakeError(reason, log=_tail(log), stray=heard.stray)


async def _met(server: StdioServerParameters, log: IO[bytes], heard: "_Heard", *, ask_models: bool) -> Handshake:
    started = time.perf_counter()
    async with Client(_overheard(server, log, heard), mode="legacy") as client:
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
        stray=heard.stray,
        log=_tail(log),
        listing=listing,
    )


class _Heard:
    """What came out of a server besides frames."""

    def __init__(self) -> None:
        self.stray: str | None = None
        self.all = anyio.Event()

    def note(self, problem: Exception) -> None:
        """Keep the first line that could not be read as a frame, which the SDK's error holds."""
        if self.stray is None:
            details = problem.errors(include_url=False) if isinstance(problem, ValidationError) else []
            line = details[0]["input"] if details else ""
            self.stray = quote(line if isinstance(line, str) else json.dumps(line, default=str), _LINE_SHOWN)


@asynccontextmanager
async def _overheard(server: StdioServerParameters, log: IO[bytes], heard: _Heard) -> AsyncIterator[Any]:
    """The transport of the server's process, with what is no frame taken out of it and noted."""
    sending, receiving = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    async with stdio_client(server, errlog=log) as (incoming, outgoing), anyio.create_task_group() as group:  # type: ignore[arg-type] # any file with a descriptor does
        group.start_soon(_passed_on, incoming, sending, heard)
        try:
            yield receiving, outgoing
        except BaseException:
            # A server that died may have printed something before, which is still on its way.
            with anyio.move_on_after(_LAST_PRINTS_SECONDS, shield=True):
                await heard.all.wait()
            raise
        finally:
            group.cancel_scope.cancel()
            receiving.close()


async def _passed_on(incoming: Any, sending: _Incoming, heard: _Heard) -> None:
    async with sending:
        async for item in incoming:
            if isinstance(item, Exception):
                heard.note(item)
            else:
                await sending.send(item)
    heard.all.set()


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LOG_TAIL))
    return log.read().decode(errors="replace")


def last_words(log: str) -> str:
    """The last line of a log as the end of a sentence; empty where there is none."""
    lines = [line for line in log.splitlines() if line.strip()]
    return f'; the last that it said: "{quote(lines[-1], _LOG_SHOWN)}"' if lines else ""
