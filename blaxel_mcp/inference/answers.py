"""An endpoint's answer, recognized by its content first and by its declared type second."""

import codecs
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.apis.reported_errors import has_answer_shape, reported_error
from blaxel_mcp.apis.streams import has_stream_format
from blaxel_mcp.budget.estimates import is_base64
from blaxel_mcp.client.errors.classify import error_in_success
from blaxel_mcp.client.errors.wording import shown_request_id
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.media_types import IMAGE_TYPES, OPAQUE, declared_media_type, media_type_of, wav_of

_JSON_TYPE = re.compile(r"application/(json|[\w.+-]+\+json)|text/json")
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[\[{]")
_HTML = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
_CHARSET = re.compile(r'charset="?([\w.:-]+)')
_CODECS = ("utf-8", "utf-16", "utf-32", "ascii", "iso8859", "cp125", "koi8", "shift_jis", "euc_", "gb", "big5")
"""Prefixes of encodings that decode any bytes in linear time. Python has others that refuse to (`undefined`, `idna`) or
take quadratic time (`punycode`)."""

_TEXT_TYPES = ("text/", "application/x-ndjson", "application/xml", "application/yaml")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
"""Characters that no text contains: a UTF-8 body with one of them is not text."""

FREE_APIS = (None, "raw")
"""APIs whose answers may be anything: text that looks like JSON is text, and `error` may be a result."""

_LONG_CHARS = 100_000
"""Longer JSON, in characters, is compacted only when all of it is read."""


@dataclass(frozen=True, slots=True)
class JSONAnswer:
    """JSON: its text verbatim, and its value.

    The text is without insignificant white space if `is_compact`. From a long one it is removed when all of it is read.
    """

    text: str
    value: Any
    is_compact: bool = True


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """Text that is not JSON, or JSON that is too large to be parsed, verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class BinaryAnswer:
    """Bytes, with the media type of their content, or else a declared one that the content may have."""

    data: bytes
    media_type: str


Answer = JSONAnswer | TextAnswer | BinaryAnswer


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, request_id: str | None = None, api: str | None = None
) -> Answer:
    """Return the answer in a 2xx response. An empty body is JSON's null; JSON with too many values stays text.

    Of the headers, whose names are in lower case, only `content-type` is used.

    Raises:
        UpstreamError: `bad_response`: an HTML page, or JSON that is not JSON.
    """
    content_type = headers.get("content-type", "").strip().lower()
    if not body.strip():
        return JSONAnswer("null", None)
    is_html = "html" in content_type
    says_json = _JSON_TYPE.match(content_type) is not None
    is_verbatim = api in FREE_APIS and content_type.startswith(_TEXT_TYPES) and not is_html
    if says_json or (not is_verbatim and _JSON_START.match(body)):
        try:
            text = _decoded(body, content_type, errors="strict")
            if not json_text.is_affordable(text):
                return TextAnswer(text)
            value = json_text.parse(text)
            is_long = len(text) > _LONG_CHARS
            return JSONAnswer(text if is_long else json_text.compact(text), value, not is_long)
        except ValueError:
            pass
    media_type = media_type_of(body)
    if media_type is None and (is_html or _HTML.match(body)):
        raise _bad_response("with an HTML page instead of an answer", status, request_id)
    if media_type is None and says_json:
        failure = _bad_response("with a body that it calls JSON and that is not", status, request_id)
        failure.partial = _decoded(body, content_type)
        raise failure
    return _other_answer(body, media_type, content_type)


def _other_answer(body: bytes, media_type: str | None, content_type: str) -> Answer:
    """Return an answer that is not JSON; `media_type` is the one of its first bytes."""
    declared = declared_media_type(content_type)
    if content_type.startswith(_TEXT_TYPES):
        text = _decoded(body, content_type)
        if media_type is None or not _CONTROLS.search(text):
            return TextAnswer(text)
    if media_type is not None:
        return BinaryAnswer(body, media_type)
    if (wav := wav_of(body, content_type)) is not None:
        return BinaryAnswer(wav, "audio/wav")
    is_vague = declared == OPAQUE and not content_type.startswith(OPAQUE + ";") and content_type != OPAQUE
    if is_vague or (declared.startswith(("image/", "audio/")) and "xml" not in declared):
        # A message in place of a picture, or without a type.
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
        else:
            if not _CONTROLS.search(text):
                return TextAnswer(text)
    return BinaryAnswer(body, OPAQUE if declared in IMAGE_TYPES else declared)


def check_answer(
    answer: Answer, api: str | None, path: str, status: int, request_id: str | None, *, redact: Callable[[bytes], bytes]
) -> None:
    """Reject an answer that is an error, which some providers and gateways send with status 200.

    Answers of an unknown API at the base endpoint itself may be anything.

    Raises:
        UpstreamError: The error, without this server's own secrets in quotations.
    """
    if api == "raw" or not (api or path) or not isinstance(answer, JSONAnswer):
        return
    # Google's streaming endpoints wrap their error object in an array.
    value = answer.value[0] if isinstance(answer.value, list) and len(answer.value) == 1 else answer.value
    if not isinstance(value, dict):
        return
    error = reported_error(value, is_known=api is not None or has_stream_format(path) or has_answer_shape(path))
    if error is not None:
        failure = error_in_success(error, status, request_id, redact=redact)
        failure.partial = failure.partial or (answer.text if value.get("choices") else "")
        raise failure


def _decoded(body: bytes, content_type: str, errors: str = "replace") -> str:
    charset = _CHARSET.search(content_type)
    if body.startswith(BOM_UTF8):
        return body.decode("utf-8-sig", errors)
    try:
        codec = codecs.lookup(charset[1] if charset else "utf-8").name
    except LookupError:
        codec = ""
    return body.decode(codec if codec.startswith(_CODECS) else "utf-8", errors)


def _bad_response(what: str, status: int, request_id: str | None) -> UpstreamError:
    return UpstreamError(
        f"The endpoint answered {status} {what}.",
        code="bad_response",
        origin="blaxel",
        hint="The call may have been paid for. Check the path: this is not what the model's API answers."
        + (f" Blaxel finds the call under request id {shown_request_id(request_id)}." if request_id else ""),
        billed="maybe",
        status=status,
        request_id=request_id,
    )


def written_characters(answer: Answer, api: ModelAPI | None) -> int:
    """Return the length of the text that a model wrote; for an unknown API, of all strings but encoded media."""
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
