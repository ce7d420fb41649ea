"""Why a streamed answer is incomplete."""

from collections.abc import Callable
from typing import Any

from blaxel_mcp.apis.reported_errors import ERROR_WORDS
from blaxel_mcp.apis.streams.assembler import Assembler
from blaxel_mcp.core.redaction import quote, visible

_MAX_ERROR_CHARS = 500


def incomplete_reason(
    assembler: Assembler, *, unfinished: bool = False, clean: Callable[[str], str] = str
) -> str | None:
    """Return one sentence on why a streamed answer is incomplete, or None if it is complete.

    Args:
        assembler: An assembler that was fed every event received.
        unfinished: Whether the stream ended inside an event.
        clean: Redacts our secrets in the provider's words, before they are truncated.
    """
    if assembler.error is not None:
        message = quote(clean(visible(_error_message(assembler.error))), _MAX_ERROR_CHARS)
        return f'The provider ended its stream with an error: "{message}".'
    if assembler.unreadable:
        return f"{assembler.unreadable} of the stream's events could not be read, so parts of the answer are missing."
    if assembler.complete:
        return None
    if unfinished:
        return "The stream ended in the middle of an event."
    return "The stream ended without the provider's end marker." if assembler.announces_end else None


def _error_message(error: Any) -> str:
    """Return a provider's message or, if it has none, its error code."""
    if not isinstance(error, dict):
        return str(error)
    values = (error.get(name) for name in (*ERROR_WORDS, "code", "type", "status"))
    return str(next((value for value in values if value), "no message"))
