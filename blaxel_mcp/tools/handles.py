"""Handles of calls that go on in the server: when a call gets one, and the results and errors of handles."""

import mcp_types as types

from blaxel_mcp.budget.shared.engine import SharedStateError
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.results.results import value_result
from blaxel_mcp.tools.shared_calls import Seen

AUTO_DETACH_SECONDS = 50.0
"""The default time after which a slow call is handed back: most clients give up after a minute."""

_BACKGROUND_CLIENTS = frozenset({"claude-code"})
"""Names of clients that move a slow call to the background by themselves. Claude Code 2.1.212 and later do so after two
minutes. A handle would only cost their model a turn per 50 seconds."""

MAX_HANDLES = 200
HANDLE_SECONDS = 3600.0
"""How many handed-back calls are kept, and how long after their end."""

_PARTIAL_CHARS = 2000


def detach_seconds(settings: Settings, client: str = "", *, reports: bool = False) -> float:
    """Return after how many seconds a slow call of a client is handed back as a handle; 0 for never.

    `reports` is whether the client gets progress notifications. Without them, Claude Code gives up on a remote call
    after five minutes, in the background too.
    """
    if "read_result" not in settings.tools.builtin:
        # A handle is of no use without the tool that takes it.
        return 0.0
    setting = settings.limits.detach_after_seconds
    if setting != "auto":
        return setting
    return 0.0 if reports and client in _BACKGROUND_CLIENTS else AUTO_DETACH_SECONDS


def running_result(context: CallContext, seen: Seen, *, prefix: str, has_own_key: bool = False) -> types.CallToolResult:
    """Return the result of a call that is still running: its handle, the partial text and what to do next.

    `has_own_key` is whether another process makes the call and the agent can repeat it with its key.
    """
    arguments = f'{{"call_id": "{context.call_id}", "wait_seconds": 50}}'
    next_step = (
        "Repeat this call with the same call_key for the answer; it is not billed again."
        if has_own_key
        else f"Call {prefix}read_result with {arguments} for the answer; do not send the request again, it would be "
        "billed twice."
    )
    value = {
        "call_id": context.call_id,
        "state": "running",
        "progress": seen.progress,
        "so_far": seen.text[-_PARTIAL_CHARS:],
        "next": f"The model is still working. {next_step}",
    }
    return value_result(value, context)


def lost_call(call_id: str, seen: Seen) -> BlaxelError:
    """Make the error for a call whose server has died."""
    error = BlaxelError(
        f"The server that ran the call {literal(call_id)} is gone, and nothing has been heard of it since.",
        code="upstream_error",
        hint="The call may have been billed, and was not retried. Read it once more in a minute, in case its server "
        "comes back; call the model again only if paying twice is acceptable.",
        billed="maybe",
    )
    error.partial = seen.text
    return error


def unreachable_call(call_id: str, error: SharedStateError) -> BlaxelError:
    """Make the error for a call of another server while the shared state cannot be used."""
    return BlaxelError(
        f"This server does not run the call {literal(call_id)}, and cannot ask the others: {error}.",
        code="upstream_error",
        hint="Try again when the shared state can be used; do not send the request again, it would be billed twice.",
        retryable=True,
        billed="maybe",
    )


def expired_call(call_id: str) -> BlaxelError:
    """Make the error for a handle that has expired."""
    return BlaxelError(
        f"The handle {call_id!r} has expired.",
        code="not_found",
        hint=f"The last {MAX_HANDLES} handles are kept, each for {HANDLE_SECONDS / 60:g} minutes after its call ended. "
        "Call the model again if you still need the answer; you will be billed again.",
        billed="yes",
    )
