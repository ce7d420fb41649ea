"""The tools of a server: what a client lists, and what happens when it calls one."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import mcp_types as types
from mcp import MCPError

from blaxel_mcp.apis.base import JSONObject
from blaxel_mcp.arguments import ArgumentReader
from blaxel_mcp.calls import Call, Calls, Report, finished_result
from blaxel_mcp.exceptions import BlaxelError
from blaxel_mcp.receipt import LiveAnswer, Receipt
from blaxel_mcp.results import error_result
from blaxel_mcp.spelling import nearest

logger = logging.getLogger(__name__)

Run = Callable[[JSONObject, Receipt], Awaitable[types.CallToolResult]]
"""What a tool does with arguments that fit its schema."""

_UNEXPECTED = "The server failed at this call in a way that it did not expect."
_MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's definition as it goes to the client, and what stands behind it."""

    definition: types.Tool
    reader: ArgumentReader
    run: Run
    calls_a_model: bool = False

    @property
    def name(self) -> str:
        """The name that clients call it by."""
        return self.definition.name


class Toolbox:
    """The tools of one server, in a fixed order, and its calls in flight.

    Args:
        calls: Where calls of models run.
        detach_after: When a slow one is handed back as a handle, in seconds; 0 is never.
        handle: Makes the result of a call that goes on.
    """

    def __init__(self, calls: Calls, *, detach_after: float, handle: Callable[[Call], types.CallToolResult]) -> None:
        self._calls = calls
        self._detach_after = detach_after
        self._handle = handle
        self._tools: dict[str, Tool] = {}

    def replace(self, tools: Iterable[Tool]) -> None:
        """Take these tools from now on; calls under way go on."""
        self._tools = {tool.name: tool for tool in tools}

    @property
    def definitions(self) -> list[types.Tool]:
        """Every tool as `tools/list` shows it."""
        return [tool.definition for tool in self._tools.values()]

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """A tool's input schema, or None if there is no such tool."""
        tool = self._tools.get(name)
        return tool.definition.input_schema if tool else None

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None, report: Report | None = None
    ) -> types.CallToolResult:
        """Call a tool. A failure that an agent could get past comes back as a result that says how.

        Args:
            name: The tool's name.
            arguments: As they came.
            report: Tells the client of progress, where it asked to be told.

        Raises:
            MCPError: there is no such tool; the specification makes that a protocol error.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise self._unknown(name)
        receipt = Receipt(live=LiveAnswer(wanted=report is not None))
        work = partial(_settled, tool, arguments or {}, receipt)
        if not tool.calls_a_model:
            return await work()
        call = await self._calls.run(receipt, work, detach_after=self._detach_after, report=report)
        return finished_result(call) if call.done.is_set() else self._handle(call)

    def _unknown(self, name: str) -> MCPError:
        shown = name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."
        guess = nearest(name, self._tools)
        message = f"Unknown tool: {shown!r}." + (f" Did you mean {guess!r}?" if guess else "")
        return MCPError(code=types.INVALID_PARAMS, message=message)


async def _settled(tool: Tool, arguments: Mapping[str, Any], receipt: Receipt) -> types.CallToolResult:
    """What came of one call, whatever came of it."""
    try:
        ready, repairs = tool.reader.read(arguments)
        receipt.repairs += repairs
        return await tool.run(ready, receipt)
    except BlaxelError as error:
        return error_result(error, receipt)
    except Exception:
        # Left alone, the SDK sends the exception's text to the client, where any secret in it would be read.
        logger.exception("call %s of the tool %r failed", receipt.call_id, tool.name)
        return error_result(_unexpected(receipt), receipt)


def _unexpected(receipt: Receipt) -> BlaxelError:
    return BlaxelError(
        _UNEXPECTED,
        code="upstream_error",
        origin="local",
        hint=f"The server's log has the details under {receipt.call_id}.",
        billed="maybe" if receipt.trace.sent else "no",
    )
