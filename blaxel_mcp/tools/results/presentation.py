"""The text and media of an answer in a tool result, no longer than allowed: all of it, or what the call selects."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from blaxel_mcp.apis.retrieval import read_vectors, similarities
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_pointer import find_string, read_steps
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.tools.results.media import Media, extract_media, may_hold_base64, pick
from blaxel_mcp.tools.results.summaries import summarize
from blaxel_mcp.tools.results.truncation import (
    AnswerRef,
    Presentation,
    Truncation,
    as_object,
    measure,
    truncate_json,
    truncate_text,
)

MISSING = "not_selected"
"""The member, in a result with several parts, that explains pointers without a part. It is no pointer."""

_MIN_CHARS = 1000
"""Minimum text that each of several parts may have, and the maximum of what is beside the vectors of an embedding."""

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
    """Decide how a tool result of at most `limit` characters shows an answer, which can be read completely at `ref`.

    `model_text` is shown in place of the JSON. `summarizes` is whether long vectors and opaque strings are summarized.
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


def fit_json(text: str, limit: int, ref: AnswerRef, steps: Sequence[str | int]) -> Presentation | None:
    """Separate the media of JSON and truncate the rest, or return it verbatim if neither is needed.

    `steps` is the path from the top of the complete answer to it. None if only its text represents it exactly.
    """
    value, path = json_text.parse(text), tuple(steps)
    if not json_text.survives_as_value(text, value):
        return None
    shown, media = extract_media(value, steps=path)
    if shown is value and len(text) <= limit:
        return Presentation(text, as_object(value))
    return truncate_json(shown, limit=limit, ref=ref, media=media, steps=path)


def calls_tools(value: Any, levels: int = _CALL_LEVELS) -> bool:
    """Return whether a model's answer asks for a call of the caller's own tools, in the shape of any API."""
    if not levels:
        return False
    if isinstance(value, list):
        return any(calls_tools(item, levels - 1) for item in value)
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if (isinstance(kind, str) and kind in _CALL_TYPES) or any(value.get(name) for name in _CALL_MEMBERS):
        return True
    return any(calls_tools(member, levels - 1) for member in value.values() if isinstance(member, list | dict))


def _present_json(answer: JSONAnswer, limit: int, ref: AnswerRef, *, summarizes: bool) -> Presentation:
    """Show an answer as JSON; ValueError or RecursionError if only its text represents it exactly."""
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


def present_parts(answer: JSONAnswer, pointers: Sequence[str], *, limit: int, ref: AnswerRef) -> Presentation:
    """Return the selected parts of an answer: a single one as it is, several as an object by pointer.

    A pointer that selects nothing is explained and never an error, because the answer has been paid for. A single one
    that selects nothing is followed by the whole answer.
    """
    if len(pointers) == 1:
        try:
            return _part(answer.text, pointers[0], limit, ref)
        except InvalidArgumentsError as error:
            return replace(present(answer, limit=limit, ref=ref), remarks=(f"[`select`: {error.message}]",))
    members: JSONObject = {}
    missing: dict[str, str] = {}
    truncated, used = False, 0
    for pointer in pointers:
        if used > limit:
            missing[pointer] = f"It does not fit; {ref.read_call(pointer=pointer)} returns it."
            truncated = True
            continue
        try:
            part = _part(answer.text, pointer, max(_MIN_CHARS, limit // len(pointers)), ref)
        except InvalidArgumentsError as error:
            missing[pointer] = error.message
            continue
        used += len(part.text or "")
        truncated = truncated or part.truncated or bool(part.media)
        if part.media:
            members[pointer] = f"[a picture, a sound or a file; {ref.read_call(pointer=pointer)} returns it]"
        else:
            members[pointer] = part.text if part.structured is None else json_text.parse(part.text or "null")
    return _as_json({**members, MISSING: missing} if missing else members, truncated=truncated)


def present_embedding(answer: JSONAnswer, form: str) -> Presentation | None:
    """Return how similar the embedded texts are to each other (`similarity`), or the vectors as a file (`file`).

    None if the answer has no vectors.
    """
    vectors = read_vectors(answer.value)
    if not vectors:
        return None
    others = {name: member for name, member in answer.value.items() if name not in ("data", "object")}
    if not json_text.is_small(others) or measure(others, _MIN_CHARS) > _MIN_CHARS:
        others = {}
    if form == "similarity":
        return _as_json({"similarity": similarities(vectors), **others}, truncated=True)
    file = Media(json_text.dump(vectors).encode(), "application/json", "/data")
    sizes = {"vectors": len(vectors), "dimensions": len(vectors[0]), **others}
    return Presentation(json_text.dump(sizes), truncated=True, media=(file,))


def _as_json(value: JSONObject, *, truncated: bool) -> Presentation:
    """Show an object as JSON; as text only if the SDK cannot write what is in it."""
    text = json_text.dump(value)
    return Presentation(text, value if json_text.survives_as_value(text, value) else None, truncated)


def _part(text: str, pointer: str, limit: int, ref: AnswerRef) -> Presentation:
    """Return one part, without structured content if it is a text or a medium; InvalidArgumentsError if it is none."""
    part, medium = pick(text, pointer)
    if medium:
        return Presentation(None, media=(medium,))
    if part[0] != '"' and (fitted := fit_json(part, limit, ref, read_steps(pointer))):
        return fitted
    shown = json_text.parse(part) if part[0] == '"' else part
    return truncate_text(shown, limit=limit, ref=ref, place=Truncation(pointer))
