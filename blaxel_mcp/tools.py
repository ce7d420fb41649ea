"""The tools of a server: what a client lists, and what happens when it calls one."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp import MCPError

from blaxel_mcp.apis.base import JSONObject
from blaxel_mcp.arguments import ArgumentReader
from blaxel_mcp.exceptions import BlaxelError
from blaxel_mcp.receipt import Receipt
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

    @property
    def name(self) -> str:
        """The name that clients call it by."""
        return self.definition.name


class Toolbox:
    """The tools of one server, in a fixed order."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    @property
    def definitions(self) -> list[types.Tool]:
        """Every tool as `tools/list` shows it."""
        return [tool.definition for tool in self._tools.values()]

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """A tool's input schema, or None if there is no such tool."""
        tool = self._tools.get(name)
        return tool.definition.input_schema if tool else None

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> types.CallToolResult:
        """Call a tool. A failure that an agent could get past comes back as a result that says how.

        Raises:
            MCPError: there is no such tool; the specification makes that a protocol error.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise self._unknown(name)
        receipt = Receipt()
        try:
            ready, repairs = tool.reader.read(arguments or {})
            receipt.repairs += repairs
            return await tool.run(ready, receipt)
        except BlaxelError as error:
            return error_result(error, receipt)
        except Exception:
            # Left alone, the SDK sends the exception's text to the client, where any secret in it would be read.
            logger.exception("call %s of the tool %r failed", receipt.call_id, name)
            return error_result(_unexpected(receipt), receipt)

    def _unknown(self, name: str) -> MCPError:
        shown = name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."
        guess = nearest(name, self._tools)
        message = f"Unknown tool: {shown!r}." + (f" Did you mean {guess!r}?" if guess else "")
        return MCPError(code=types.INVALID_PARAMS, message=message)


def _unexpected(receipt: Receipt) -> BlaxelError:
    return BlaxelError(
        _UNEXPECTED,
        code="upstream_error",
        origin="local",
        hint=f"The server's log has the details under {receipt.call_id}.",
        billed="maybe" if receipt.trace.sent else "no",
    )
