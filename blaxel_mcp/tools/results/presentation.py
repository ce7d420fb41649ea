"""An answer as a tool's result presents it: media apart, vectors in short, no longer than allowed."""

from dataclasses import dataclass
from typing import Any

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_pointer import find_string
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.tools.results.media import Media, lift_media
from blaxel_mcp.tools.results.truncation import as_object, bound_json, bound_text, measure
from blaxel_mcp.tools.results.truncation_notes import Cut, Whole, how_to_read_one
from blaxel_mcp.tools.results.vectors import summarise_vectors

VECTORS_FROM = 4000
"""Characters of JSON from which on vectors are told in short; in a shorter answer they stay."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """What to show of an answer.

    Attributes:
        text: The text, None for an answer that is nothing but media.
        structured: The same as an object; None for what is not JSON, and beside media, since some
            clients then show nothing else.
        cut: Whether anything of the answer is left out or told in short.
        media: What goes beside the text, in the order in which the text refers to it.
    """

    text: str | None
    structured: dict[str, Any] | None = None
    cut: bool = False
    media: tuple[Media, ...] = ()


def present(answer: Answer, *, limit: int, whole: Whole, model_text: str | None = None) -> Presentation:
    """Decide what to show of an answer.

    Args:
        answer: The answer.
        limit: The most text, in characters.
        whole: Where the whole answer can be read.
        model_text: The model's text, if that is all of the JSON that is wanted.
    """
    match answer:
        case BinaryAnswer(data=data, media_type=media_type):
            return Presentation(None, media=(Media(data, media_type),))
        case TextAnswer(text=text):
            return _text(text, limit, whole)
        case JSONAnswer(text=text, value=value):
            if not json_text.survives_as_value(text, value):
                return _text(text if model_text is None else model_text, limit, whole)
            if model_text is None:
                return _json(text, value, limit, whole)
            return _model_text(model_text, value, limit, whole)


def _text(text: str, limit: int, whole: Whole) -> Presentation:
    bounded = bound_text(text, limit=limit, whole=whole, place=Cut(None, 0, 0))
    return Presentation(bounded.text, cut=bounded.cut)


def _model_text(text: str, value: Any, limit: int, whole: Whole) -> Presentation:
    pointer = find_string(value, text) if len(text) > limit else None
    place = None if pointer is None else Cut(pointer, 0, 0)
    bounded = bound_text(text, limit=limit, whole=whole, place=place)
    return Presentation(bounded.text, cut=bounded.cut, media=lift_media(value)[1])


def _json(text: str, value: Any, limit: int, whole: Whole) -> Presentation:
    lifted, media = lift_media(value)
    shown, remark = _without_vectors(lifted, whole)
    if shown is value and len(text) <= limit:
        return Presentation(text, as_object(value))
    bounded = bound_json(shown, limit=limit, whole=whole, remark=remark)
    return Presentation(bounded.text, None if media else bounded.structured, bounded.cut, media)


def _without_vectors(value: Any, whole: Whole) -> tuple[Any, str]:
    if measure(value, VECTORS_FROM) <= VECTORS_FROM:
        return value, ""
    summary = summarise_vectors(value)
    if not summary.count:
        return value, ""
    told = "One vector is" if summary.count == 1 else f"{summary.count:,} vectors are"
    return summary.value, f"{told} told in short. {how_to_read_one(summary.first, whole)}"
