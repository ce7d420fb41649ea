"""Notifications to clients: that the list of tools has changed, and the progress of a call with its text so far."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

from blaxel_mcp.tools.calls import Report
from blaxel_mcp.tools.results.content_blocks import text_block

if TYPE_CHECKING:
    from mcp.server.session import ServerSession

logger = logging.getLogger(__name__)

_SEND_SECONDS = 5.0
"""Time that a client has to read the notification, so that one that does not read delays no other."""

PARTIAL_KEY = "blaxel-mcp/partial"
"""In the `_meta` of a tool call, `true` requests the text as it arrives. In that of a notification, it is that text:
`{"offset": 12, "text": "..."}`, where `offset` is the number of earlier characters."""

PARTIAL_SECONDS = 0.1
"""Interval between two pieces of new text: it appears to flow, at no more than ten notifications a second."""

Context = ServerRequestContext[Any, Any]


class ToolChanges:
    """The clients to notify when the list of tools changes.

    Clients of the handshake era get a notification on their session. Clients of 2026-07-28 get an event on their
    `subscriptions/listen` stream.
    """

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._sessions: list[ServerSession] = []
        self.listen = ListenHandler(self._bus)

    async def initialized(self, context: Context, _: types.NotificationParams | None) -> None:
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


def progress_report(context: Context, shown: Callable[[str], str]) -> Report:
    """Return the report for a request with a progress token; `shown` returns what the caller may see of a sentence."""
    if not (context.meta and context.meta.get(PARTIAL_KEY) is True):

        async def send_sentence(progress: float, message: str, _text: str) -> None:
            await context.session.report_progress(progress, message=shown(message))

        return Report(send_sentence)
    return Report(_PartialText(context, shown).send, PARTIAL_SECONDS)


class _PartialText:
    """Sends the text of an answer piece by piece, and nothing while there is no news."""

    def __init__(self, context: Context, shown: Callable[[str], str]) -> None:
        assert context.meta is not None, "a request with a progress token has `_meta`"
        self._context, self._shown = context, shown
        self._token = context.meta["progress_token"]
        self._message, self._sent_chars = "", 0

    async def send(self, progress: float, message: str, text: str) -> None:
        offset, self._sent_chars = min(self._sent_chars, len(text)), len(text)
        if offset == len(text) and message == self._message:
            return
        self._message = message
        params = types.ProgressNotificationParams(
            progress_token=self._token,
            progress=progress,
            message=self._shown(message),
            _meta={PARTIAL_KEY: {"offset": offset, "text": text_block(text[offset:]).text}},
        )
        await self._context.session.send_notification(
            types.ProgressNotification(params=params), related_request_id=self._context.request_id
        )
