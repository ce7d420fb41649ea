"""Telling clients that the list of tools has changed, in both eras of the protocol."""

import logging
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

if TYPE_CHECKING:
    from mcp.server.session import ServerSession

logger = logging.getLogger(__name__)

_SEND_SECONDS = 5.0
"""How long a client may take to read the news: one that has stopped reading holds nobody else up."""


class ToolChanges:
    """Remembers who wants to know, and tells them.

    A client of the handshake era is told by a notification, one of 2026-07-28 over the stream
    that it listens on.
    """

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._sessions: list[ServerSession] = []
        self.listen = ListenHandler(self._bus)

    async def initialized(self, context: ServerRequestContext[Any, Any], _: types.NotificationParams | None) -> None:
        """Take note of a client of the handshake era; over HTTP each of its requests is a session, over at once."""
        if context.request is None:
            self._sessions.append(context.session)

    async def announce(self) -> None:
        """Tell everyone."""
        await self._bus.publish(ToolsListChanged())
        for session in list(self._sessions):
            with anyio.move_on_after(_SEND_SECONDS):
                try:
                    await session.send_tool_list_changed()
                except Exception:
                    # Whatever its transport says to that: it is gone.
                    logger.debug("a client is gone", exc_info=True)
                    self._sessions.remove(session)
