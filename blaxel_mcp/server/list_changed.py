"""Notify clients that the list of tools has changed (`notifications/tools/list_changed`), in both protocol eras."""

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
"""Time that a client has to read the notification, so that one that does not read delays no other."""


class ToolChanges:
    """The clients to notify when the list of tools changes.

    Clients of the handshake era get a notification on their session. Clients of 2026-07-28 get an event on their
    `subscriptions/listen` stream.
    """

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._sessions: list[ServerSession] = []
        self.listen = ListenHandler(self._bus)

    async def initialized(self, context: ServerRequestContext[Any, Any], _: types.NotificationParams | None) -> None:
        """Remember the connection of a handshake-era client, once however often it says that it is initialized."""
        # The SDK makes a session for each message; the parameters of `initialize` are the connection's own.
        if not any(session.client_params is context.session.client_params for session in self._sessions):
            self._sessions.append(context.session)

    async def announce(self) -> None:
        """Notify all clients."""
        await self._bus.publish(ToolsListChanged())
        for session in list(self._sessions):
            with anyio.move_on_after(_SEND_SECONDS):
                try:
                    await session.send_tool_list_changed()
                except Exception:
                    # Any error of the transport means that the session is closed.
                    logger.debug("a client is gone", exc_info=True)
                    self._sessions.remove(session)
