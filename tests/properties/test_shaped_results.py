"""Truncated answers: within the limit, the same in text and structure, with every part readable."""

import json
import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_pointer import locate, spell
from blaxel_mcp.inference.answers import Answer, JSONAnswer, TextAnswer, read_answer
from blaxel_mcp.tools.results.parts import PartRequest, read_part
from blaxel_mcp.tools.results.presentation import present
from blaxel_mcp.tools.results.truncation import TRUNCATION_KEY, AnswerRef, as_object
from tests.properties.examples import any_text, large_values, long_texts, names, nested, scalars, tried

ANSWER = AnswerRef("call_x")
MAX_LIMIT = 5000
LIMITS = st.integers(1000, MAX_LIMIT)
too_long = st.text(min_size=1, max_size=9).map(lambda unit: unit * (MAX_LIMIT // len(unit) + 1)) | st.builds(
    lambda item: [item] * MAX_LIMIT, scalars
)
oversized_values = st.tuples(large_values, too_long).map(list) | st.builds(
    lambda name, value, long: {name: long, "rest": value}, names, large_values, too_long
)
"""JSON values that are above every limit here."""

READ_ON = re.compile(r"read_result\((call_id=.*?)\)(?=[.\]])")


def json_answer(value: Any) -> JSONAnswer:
    return JSONAnswer(json_text.dump(value), value)


def asked_for(note: str) -> list[PartRequest]:
    """Return the parts that the notes of a truncated answer name for `read_result`."""
    calls = []
    for spelled in READ_ON.findall(note):
        arguments: dict[str, Any] = {}
        rest = spelled
        while rest:
            name, _, rest = rest.partition("=")
            value, end = json.JSONDecoder().raw_decode(rest)
            arguments[name], rest = value, rest[end:].removeprefix(", ")
        assert arguments.pop("call_id") == ANSWER.call_id
        calls.append(PartRequest(**arguments))
    return calls


def read_to_the_end(text: str, wanted: PartRequest, *, is_json: bool, limit: int) -> list[str]:
    """Return all parts from a position on, each within the limit."""
    parts = []
    while True:
        part = read_part(text, wanted, is_json=is_json, limit=limit, ref=ANSWER)
        assert part.text is None or len(part.text) <= limit
        parts.append(part.text or "")
        if part.next_offset is None:
            return parts
        assert part.next_offset > part.offset
        wanted = PartRequest(wanted.pointer, part.next_offset, wanted.length)


def answer_or_error(content_type: str, body: bytes) -> Answer | BlaxelError:
    try:
        return read_answer(200, {"content-type": content_type}, body)
    except BlaxelError as error:
        return error


@tried(120)
@given(value=large_values, limit=LIMITS)
@example(value={"k" * 3000: [0.5] * 5000}, limit=1000)
@example(value={'"' * 900: [0.5] * 5000}, limit=1000)
@example(value=[{"k" * 200: {"k" * 200: [0.5] * 5000}}], limit=1000)
@example(value={"\0" * 300: "x" * 5000}, limit=1000)
def test_a_result_is_within_the_limit_and_its_text_matches_its_structure(value: Any, limit: int) -> None:
    answer = json_answer(value)
    shown = present(answer, limit=limit, ref=ANSWER)

    assert shown.text is not None
    assert len(shown.text) <= limit
    assert shown.media == ()
    assert as_object(json_text.parse(shown.text)) == shown.structured
    assert shown.truncated == (TRUNCATION_KEY in (shown.structured or {}))
    if not shown.truncated:
        assert shown.text == answer.text


@tried(60)
@given(value=oversized_values, limit=LIMITS)
@example(value={"k" * 3000: [0.5] * 5000}, limit=1000)
@example(value=[{"a": ["x" * 300] * 40}] * 3, limit=1000)
def test_the_parts_that_a_truncated_answer_points_to_exist(value: Any, limit: int) -> None:
    answer = json_answer(value)
    shown = present(answer, limit=limit, ref=ANSWER)
    assert shown.truncated
    assert shown.structured is not None

    wanted = asked_for(shown.structured[TRUNCATION_KEY])
    assert wanted
    for one in wanted:
        parts = read_to_the_end(answer.text, one, is_json=True, limit=limit)
        assert "".join(parts)


@tried(100)
@given(value=large_values, limit=LIMITS, length=st.none() | st.integers(1, 3000))
def test_an_answer_read_to_its_end_is_the_whole_answer(value: Any, limit: int, length: int | None) -> None:
    text = json_text.dump(value)

    assert "".join(read_to_the_end(text, PartRequest(length=length), is_json=True, limit=limit)) == text
    if isinstance(value, list):
        parts = read_to_the_end(text, PartRequest("", length=length), is_json=True, limit=100_000)
        assert [item for part in parts for item in json_text.parse(part)] == value


@tried(100)
@given(value=nested(scalars | long_texts), data=st.data(), limit=LIMITS)
def test_every_part_of_an_answer_is_where_its_pointer_says(value: Any, data: st.DataObject, limit: int) -> None:
    steps: list[str | int] = []
    inner = value
    while isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(list(inner) if isinstance(inner, dict) else list(range(len(inner)))))
        steps.append(step)
        inner = inner[step]
    text, pointer = json_text.dump(value), spell(steps)

    assert json_text.parse(text[locate(text, pointer)]) == inner
    if isinstance(inner, str):
        assert "".join(read_to_the_end(text, PartRequest(pointer), is_json=True, limit=limit)) == inner


@tried(100)
@given(
    value=large_values,
    pointer=st.lists(names | st.sampled_from(["0", "-", "01", "99999999999999999999", "~"])).map(
        lambda steps: "".join(f"/{step}" for step in steps)
    )
    | any_text,
    offset=st.none() | st.integers(0, 10**12),
    length=st.none() | st.integers(1, 10**12),
)
def test_a_missing_part_is_reported(value: Any, pointer: str, offset: int | None, length: int | None) -> None:
    try:
        part = read_part(
            json_text.dump(value), PartRequest(pointer, offset, length), is_json=True, limit=1000, ref=ANSWER
        )
    except InvalidArgumentsError:
        return

    assert part.text is None or len(part.text) <= 1000


@tried(60)
@given(
    depth=st.integers(90, 3000),
    pointer=st.sampled_from([None, "", "/0", "/0/0", "/0/1"]),
    opening=st.sampled_from(["[", '{"0":']),
)
@example(depth=960, pointer="/0/0", opening="[")
def test_an_answer_that_nests_deeply_is_shown_as_text_and_read_like_any(
    depth: int, pointer: str | None, opening: str
) -> None:
    body = opening * depth + '"x"' + ("]" if opening == "[" else "}") * depth
    answer = answer_or_error("application/json", body.encode())
    if isinstance(answer, BlaxelError):
        assert (answer.code, depth > json_text.MAX_PARSED_DEPTH) == ("bad_response", True)
        return

    assert isinstance(answer, JSONAnswer)
    shown = present(answer, limit=1000, ref=ANSWER)
    assert shown.text is not None
    assert len(shown.text) <= 1000
    try:
        part = read_part(answer.text, PartRequest(pointer), is_json=True, limit=1000, ref=ANSWER)
    except InvalidArgumentsError:
        return
    assert part.text is not None
    assert len(part.text) <= 1000


@tried(100)
@given(text=long_texts | any_text, limit=LIMITS)
def test_text_is_truncated_within_the_limit_and_readable_to_its_end(text: str, limit: int) -> None:
    shown = present(TextAnswer(text), limit=limit, ref=ANSWER)

    assert shown.text is not None
    assert len(shown.text) <= limit
    if not shown.truncated:
        assert shown.text == text
        return
    (wanted,) = asked_for(shown.text)
    assert wanted.offset is not None
    assert "".join([text[: wanted.offset], *read_to_the_end(text, wanted, is_json=False, limit=limit)]) == text
    assert shown.text.startswith(text[: wanted.offset])


CODINGS = (
    "utf-8",
    "latin-1",
    "undefined",
    "idna",
    "punycode",
    "unicode_escape",
    "utf-16",
    "utf-7",
    "zlib",
    "rot13",
    "hex",
    "x" * 300,
    "é",
    "mbcs",
    "charmap",
    "raw_unicode_escape",
)


@tried(100)
@given(
    body=st.binary(max_size=60) | any_text.map(lambda text: text.encode("utf-8", "surrogatepass")),
    media_type=st.sampled_from(
        ["text/plain", "application/json", "application/octet-stream", "", "text/html", "x/\0", "text/event-stream"]
    ),
    charset=st.sampled_from(CODINGS) | any_text,
)
@example(body=b"words", media_type="text/plain", charset="undefined")
@example(body=b"xn--\xff" * 9, media_type="text/plain", charset="idna")
def test_any_body_of_any_declared_type_is_an_answer_or_a_bad_response(
    body: bytes, media_type: str, charset: str
) -> None:
    answer = answer_or_error(f"{media_type}; charset={charset}", body)

    if isinstance(answer, BlaxelError):
        assert answer.code == "bad_response"
    else:
        present(answer, limit=1000, ref=ANSWER)
