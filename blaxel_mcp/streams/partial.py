"""What is told of a stream that did not come to its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.redaction import quote
from blaxel_mcp.streams.assembler import Assembler
from blaxel_mcp.streams.fragments import JSONObject

_MAX_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The part of an answer that arrived.

    Attributes:
        value: The answer as far as it came, in the shape of a whole one.
        text: The text in it.
        reason: One sentence on why there is no more; what the provider says in it is quoted.
    """

    value: JSONObject
    text: str
    reason: str


def partial_answer(
    assembler: Assembler, *, unfinished: bool = False, failure: str | None = None, clean: Callable[[str], str] = str
) -> PartialAnswer | None:
    """Tell what is missing of an answer, None if it is whole.

    Args:
        assembler: Has been fed every event that came.
        unfinished: Whether the stream ended inside an event.
        failure: A sentence on why reading ended early, if it did.
        clean: Takes our secrets out of the provider's words, before they are cut.
    """
    reason = _reason(assembler, unfinished=unfinished, failure=failure, clean=clean)
    return PartialAnswer(assembler.value(), assembler.text, reason) if reason else None


def _reason(assembler: Assembler, *, unfinished: bool, failure: str | None, clean: Callable[[str], str]) -> str | None:
    if assembler.error is not None:
        message = quote(clean(_message(assembler.error)), _MAX_ERROR_CHARS)
        return f'The provider ended its stream with an error: "{message}".'
    if assembler.unreadable:
        return f"{assembler.unreadable} of the stream's events could not be read, so parts of the answer are missing."
    return None if assembler.complete else failure or _open_end(assembler, unfinished=unfinished)


def _open_end(assembler: Assembler, *, unfinished: bool) -> str | None:
    if unfinished:
        return "The stream ended in the middle of an event."
    if assembler.announces_end:
        return "The stream ended without the provider's sign that the answer is complete."
    return None


def _message(error: Any) -> str:
    """The words in an error, else its code."""
    if not isinstance(error, dict):
        return str(error)
    told = (error.get(name) for name in ("message", "detail", "code", "type", "status"))
    return str(next((word for word in told if word), "no message"))
