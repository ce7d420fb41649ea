"""The text and media of an answer in a tool result: vectors summarized, no longer than allowed."""

from contextlib import suppress
from typing import Any

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_pointer import find_string
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.tools.results.media import Media, extract_media, may_hold_base64
from blaxel_mcp.tools.results.summaries import summarize
from blaxel_mcp.tools.results.truncation import Presentation, as_object, measure, truncate_json, truncate_text
from blaxel_mcp.tools.results.truncation_notes import AnswerRef, Truncation

_LONG_CHARS = 4000
"""Vectors and all opaque strings are summarized only in answers of more characters of JSON than this."""

_CALL_MEMBERS = ("tool_calls", "function_call", "functionCall")
_CALL_TYPES = {
    *("apply_patch_call", "computer_call", "custom_tool_call", "function_call", "local_shell_call"),
    *("mcp_approval_request", "shell_call", "tool_use"),
}
"""Types of Anthropic's and OpenAI's blocks with calls for the caller; calls that the provider makes itself have other
types."""

_CALL_LEVELS = 7
"""Levels of an answer in which calls are: `candidates`, an item, `content`, `parts`, an item, `functionCall`."""


def present(
    answer: Answer, *, limit: int, ref: AnswerRef, model_text: str | None = None, summarizes: bool = True
) -> Presentation:
    """Decide how a tool result shows an answer.

    Args:
        answer: The answer.
        limit: The maximum length of the text, in characters.
        ref: Where the complete answer can be read.
        model_text: The model's text, if it is to be shown in place of the JSON.
        summarizes: Whether long vectors and opaque strings are summarized.
    """
    match answer:
        case BinaryAnswer(data=data, media_type=media_type):
            return Presentation(None, media=(Media(data, media_type),))
        case TextAnswer(text=text):
            return truncate_text(text, limit=limit, ref=ref, place=Truncation())
        case JSONAnswer(text=text) if model_text is None:
            with suppress(ValueError, RecursionError):
                return _present_json(answer, limit, ref, summarizes=summarizes)
            return truncate_text(json_text.compact(text), limit=limit, ref=ref, place=Truncation())
        case JSONAnswer(text=text, value=value):
            pointer = find_string(value, model_text) if len(model_text) > limit else None
            place = None if pointer is None else Truncation(pointer)
            media = extract_media(value)[1] if json_text.survives_as_value(text, value) else ()
            return truncate_text(model_text, limit=limit, ref=ref, place=place, media=media)


def calls_tools(value: Any, levels: int = _CALL_LEVELS) -> bool:
    """Return whether a model's answer asks for a call of the caller's own tools, in the shape of any API."""
    if not levels:
        return False
    if isinstance(value, list):
        return any(calls_tools(item, levels - 1) for item in value)
    if not isinstance(value, dict):
        return False
    if value.get("type") in _CALL_TYPES or any(value.get(name) for name in _CALL_MEMBERS):
        return True
    return any(calls_tools(member, levels - 1) for member in value.values() if isinstance(member, list | dict))


def _present_json(answer: JSONAnswer, limit: int, ref: AnswerRef, *, summarizes: bool) -> Presentation:
    """Show an answer as JSON.

    Raises:
        ValueError: What would be shown does not survive as structured content.
        RecursionError: The answer nests too deeply to be walked over.
    """
    text, value = answer.text, answer.value
    # One measurement answers three questions: whether the answer is long, may be shown whole, or has to be truncated.
    bound = max(2 * limit, _LONG_CHARS)
    size = measure(value, bound) if len(text) > min(limit, _LONG_CHARS) else len(text)
    if not answer.is_compact and (len(text) <= limit or size <= 2 * limit):
        # It may be shown whole, as its text.
        text = json_text.compact(text)
    # Without such a run, walks over the values are saved.
    may_hold_data = may_hold_base64(text)
    shown, media = extract_media(value) if may_hold_data else (value, ())
    size = size if shown is value else measure(shown, bound)
    is_long = len(text) > _LONG_CHARS and size > _LONG_CHARS
    remark = ""
    if summarizes and (is_long or may_hold_data):
        shown, remark = summarize(shown, text, ref, is_long=is_long, may_hold_data=may_hold_data)
    if shown is value and len(text) <= limit:
        fitted = Presentation(text, as_object(value))
    else:
        fitted = truncate_json(shown, limit=limit, ref=ref, media=media, remark=remark, size=None if remark else size)
    # Only what is shown is checked: in a long answer, a check of everything would take as long as parsing it.
    if not json_text.survives_as_value(fitted.text or "", fitted.structured):
        raise ValueError("the SDK would change it")
    return fitted
