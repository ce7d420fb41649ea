"""The parts of an answer that a call selects (`select`), and other forms of an embedding (`return`)."""

from collections.abc import Sequence
from dataclasses import replace

from blaxel_mcp.apis.embeddings import read_vectors, similarities
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_pointer import locate, read_steps
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.tools.results.media import Media, extract_media, media_at
from blaxel_mcp.tools.results.presentation import present
from blaxel_mcp.tools.results.truncation import Presentation, as_object, measure, truncate_json, truncate_text
from blaxel_mcp.tools.results.truncation_notes import AnswerRef, Truncation

MISSING = "not_selected"
"""The member, in a result with several parts, that explains pointers without a part. It is no pointer."""

_MIN_CHARS = 1000
"""Minimum text that each of several parts may have, and the maximum of what is beside the vectors of an embedding."""


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
    """Return one part. Without structured content, it is a text or a medium.

    Raises:
        InvalidArgumentsError: The pointer selects nothing.
    """
    part = text[locate(text, pointer)]
    value, steps = json_text.parse(part), tuple(read_steps(pointer))
    if isinstance(value, str) or not json_text.survives_as_value(part, value):
        if medium := media_at(text, pointer):
            return Presentation(None, media=(medium,))
        shown = value if isinstance(value, str) else part
        return truncate_text(shown, limit=limit, ref=ref, place=Truncation(pointer))
    shown, media = extract_media(value, steps=steps)
    if shown is value and len(part) <= limit:
        return Presentation(part, as_object(value))
    return truncate_json(shown, limit=limit, ref=ref, media=media, steps=steps)
