"""What came back from an endpoint, told apart by what it says it is and what it really is."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.budget.caps import is_base64
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.media_types import media_type_of

_JSON_TYPE = re.compile(r"application/(json|[\w.+-]+\+json)|text/json")
_HTML = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
_CHARSET = re.compile(r'charset="?([\w.:-]+)')
_CODECS = ("utf-8", "utf-16", "utf-32", "ascii", "iso8859", "cp125", "koi8", "shift_jis", "euc_", "gb", "big5")
"""How the names begin of those that read any bytes in a time that goes by their number. Python has others
beside them, which refuse to (`undefined`, `idna`) or take its square (`punycode`)."""

_TEXT_TYPES = ("text/", "application/x-ndjson", "application/xml", "application/yaml")


@dataclass(frozen=True, slots=True)
class JSONAnswer:
    """JSON: the text as it came, less its insignificant white space, and the value it spells."""

    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """Text that is not JSON, or that is too much of it to be taken apart, verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class BinaryAnswer:
    """Bytes, with the media type that their content shows or else the one that was declared."""

    data: bytes
    media_type: str


Answer = JSONAnswer | TextAnswer | BinaryAnswer


def read_answer(status: int, headers: Mapping[str, str], body: bytes, request_id: str | None = None) -> Answer:
    """Tell what a 2xx answer holds. An empty body is JSON's null; JSON of too many values stays text.

    Args:
        status: The HTTP status, for the message of an error.
        headers: Response headers with lower-case names; only `content-type` is looked at.
        body: The whole body, decoded.
        request_id: For the message of an error.

    Raises:
        UpstreamError: `bad_response`: an HTML page, or JSON that is not JSON.
    """
    content_type = headers.get("content-type", "").lower()
    if not body.strip():
        return JSONAnswer("null", None)
    if "html" in content_type or _HTML.match(body):
        raise _bad_response("with an HTML page instead of an answer", status, request_id)
    if _JSON_TYPE.match(content_type):
        return _json_answer(body, status, request_id)
    if media_type := _media_type(body):
        return BinaryAnswer(body, media_type)
    if content_type.startswith(_TEXT_TYPES):
        return TextAnswer(_decoded(body, content_type))
    if not content_type:
        return _undeclared(body)
    return BinaryAnswer(body, content_type.partition(";")[0].strip())


def _json_answer(body: bytes, status: int, request_id: str | None) -> Answer:
    try:
        text = body.decode("utf-8-sig")
        if not json_text.is_affordable(text):
            return TextAnswer(text)
        value = json_text.parse(text)
    except ValueError:
        raise _bad_response("with a body that it calls JSON and that is not", status, request_id) from None
    return JSONAnswer(json_text.compact(text), value)


def _undeclared(body: bytes) -> Answer:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return BinaryAnswer(body, "application/octet-stream")
    if not json_text.is_affordable(text):
        return TextAnswer(text)
    try:
        return JSONAnswer(json_text.compact(text), json_text.parse(text))
    except ValueError:
        return TextAnswer(text)


def _media_type(body: bytes) -> str | None:
    found = media_type_of(body)
    return found if found and found.startswith(("image/", "audio/")) else None


def _decoded(body: bytes, content_type: str) -> str:
    charset = _CHARSET.search(content_type)
    try:
        codec = codecs.lookup(charset[1] if charset else "utf-8").name
    except LookupError:
        codec = ""
    return body.decode(codec if codec.startswith(_CODECS) else "utf-8", "replace")


def _bad_response(what: str, status: int, request_id: str | None) -> UpstreamError:
    return UpstreamError(
        f"The endpoint answered {status} {what}.",
        code="bad_response",
        origin="blaxel",
        hint="The call may have been paid for. Check the path: this is not what the model's API answers."
        + (f" Blaxel finds the call under request id {request_id}." if request_id else ""),
        billed="maybe",
        status=status,
        request_id=request_id,
    )


def written_characters(answer: Answer, api: ModelAPI | None) -> int:
    """Return the length of the text that a model wrote: for an API that is not known, of all strings but encoded media.

    Args:
        answer: The answer.
        api: The API that gave it; None if it is not known.
    """
    if isinstance(answer, BinaryAnswer):
        return 0
    if isinstance(answer, TextAnswer):
        return len(answer.text)
    if api and api.streams:
        return len(api.text(answer.value) or "")
    total, pending = 0, [answer.value]
    while pending:
        value = pending.pop()
        if isinstance(value, list | dict):
            pending += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str) and not is_base64(value):
            total += len(value)
    return total
