"""The tools of a server: what a client lists, and what happens when it calls one."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import mcp_types as types
from mcp import MCPError

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.inference.receipt import Progress, Receipt
from blaxel_mcp.tools.calls import Call, CallRegistry, Report, finished_result
from blaxel_mcp.tools.results.results import error_result

logger = logging.getLogger(__name__)

Run = Callable[[JSONObject, Receipt], Awaitable[types.CallToolResult]]
"""What a tool does with arguments that fit its schema."""

Handle = Callable[[Call], types.CallToolResult]

_UNEXPECTED = "The server failed at this call in a way that it did not expect."


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's definition as it goes to the client, and what stands behind it."""

    definition: types.Tool
    reader: ArgumentValidator
    run: Run
    calls_a_model: bool = False

    @property
    def name(self) -> str:
        """The name that clients call it by."""
        return self.definition.name


class ToolRegistry:
    """The tools of one server, in a fixed order, and its calls in flight.

    Args:
        calls: Where calls of models run.
    """

    def __init__(self, calls: CallRegistry) -> None:
        self._calls = calls
        self._tools: dict[str, Tool] = {}
        self._detach_after = 0.0
        self._handle: Handle | None = None
        self._longest_part = 0

    def replace(self, tools: Iterable[Tool], *, detach_after: float, handle: Handle, longest_part: int) -> None:
        """Take these tools from now on; calls under way go on.

        Args:
            tools: The tools.
            detach_after: When a slow call is handed back as a handle, in seconds; 0 is never.
            handle: Makes the result of a call that goes on.
            longest_part: The most of an answer that is shown with the error it ended in, in characters.
        """
        self._tools = {tool.name: tool for tool in tools}
        self._detach_after = detach_after
        self._handle = handle
        self._longest_part = longest_part

    @property
    def definitions(self) -> list[types.Tool]:
        """Every tool as `tools/list` shows it."""
        return [tool.definition for tool in self._tools.values()]

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
        receipt = Receipt(live=Progress(wanted=report is not None))
        work = partial(_settled, tool, arguments or {}, receipt, self._longest_part)
        if not tool.calls_a_model:
            return await work()
        call = await self._calls.run(receipt, work, detach_after=self._detach_after, report=report)
        if call.done.is_set() or self._handle is None:
            return finished_result(call)
        return self._handle(call)

    def _unknown(self, name: str) -> MCPError:
        guess = closest(name, self._tools)
        message = f"Unknown tool: {literal(name)}." + (f" Did you mean {guess!r}?" if guess else "")
        return MCPError(code=types.INVALID_PARAMS, message=message)


async def _settled(
    tool: Tool, arguments: Mapping[str, Any], receipt: Receipt, longest_part: int
) -> types.CallToolResult:
    """What came of one call, whatever came of it."""
    try:
        ready, repairs = tool.reader.read(arguments)
        receipt.repairs += repairs
        return await tool.run(ready, receipt)
    except BlaxelError as error:
        return error_result(error, receipt, longest_part=longest_part)
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
