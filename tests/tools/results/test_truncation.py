"""Answers cut to size: they fit, stay readable, and say how the rest is read."""

import json
import random
from typing import Any

import pytest

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_pointer import locate
from blaxel_mcp.tools.results.truncation import (
    TRUNCATION_KEY,
    AnswerRef,
    Truncation,
    measure,
    truncate_json,
    truncate_text,
)

ANSWER = AnswerRef("call_1234567890123456789012")
LIMIT = 1000


def _said(structured: dict[str, Any] | None) -> str:
    assert structured is not None
    said = structured[TRUNCATION_KEY]
    assert isinstance(said, str)
    return said


def test_an_answer_that_fits_is_left_alone() -> None:
    value = {"a": ["x" * 900]}

    bounded = truncate_json(value, limit=LIMIT, ref=ANSWER)

    assert bounded.structured is value
    assert (bounded.text, bounded.truncated) == (json_text.dump(value), False)


def test_the_longest_string_is_cut_and_the_sentence_leads_to_its_next_character() -> None:
    content = "".join(f"{number} " for number in range(5000))
    value = {"id": "a", "choices": [{"message": {"role": "assistant", "content": content}}], "usage": {"total": 3}}

    bounded = truncate_json(value, limit=LIMIT, ref=ANSWER)

    assert bounded.structured is not None
    shown, _, marker = bounded.structured["choices"][0]["message"]["content"].partition("... ")
    assert content.startswith(shown)
    assert marker == f"{len(content) - len(shown):,} more characters"
    assert bounded.structured["usage"] is value["usage"]
    assert _said(bounded.structured) == (
        "This answer was truncated in one place. Continue with read_result("
        f'call_id="{ANSWER.call_id}", pointer="/choices/0/message/content", offset={len(shown)}).'
    )


def test_a_long_array_keeps_its_first_items_and_says_how_many_more_there_are() -> None:
    value = {"rows": [{"row": number} for number in range(1000)]}

    structured = truncate_json(value, limit=LIMIT, ref=ANSWER).structured

    assert structured is not None
    *rows, marker = structured["rows"]
    assert rows == value["rows"][: len(rows)]
    assert len(rows) > 20
    assert marker == f"... {1000 - len(rows)} more items"
    assert f'pointer="/rows", offset={len(rows)}' in _said(structured)


def test_small_parts_stay_whole_beside_large_ones() -> None:
    value = {"first": "x" * 50_000, "small": ["kept"] * 5, "second": "y" * 50_000}

    structured = truncate_json(value, limit=LIMIT, ref=ANSWER).structured

    assert structured is not None
    assert structured["small"] is value["small"]
    assert abs(len(structured["first"]) - len(structured["second"])) < 10


def test_a_pointer_too_long_to_be_shown_is_left_out() -> None:
    said = _said(truncate_json({"n" * 300: "x" * 5000}, limit=2000, ref=ANSWER).structured)

    assert said.endswith(f'Read the complete answer with read_result(call_id="{ANSWER.call_id}").')


def _random_value(source: random.Random, depth: int = 0) -> Any:
    kind = source.random()
    if depth == 5 or kind < 0.3:
        strings = ["a" * source.randint(0, 3000), '"\\\n\x00' * source.randint(0, 500), "é😀 " * source.randint(0, 500)]
        return source.choice([*strings, 10 ** source.randint(0, 2000), -1.5e-7, None, True, [], {}])
    if kind < 0.65:
        return [_random_value(source, depth + 1) for _ in range(source.randint(0, 5))]
    return {f"{'~/k' * source.randint(1, 60)}{number}": _random_value(source, depth + 1) for number in range(4)}


@pytest.mark.parametrize("seed", range(40))
def test_any_answer_comes_out_within_the_limit_and_the_same_as_text_and_value(seed: int) -> None:
    value = _random_value(random.Random(seed))  # noqa: S311 - the same shapes each time, and no secret
    text = json_text.dump(value)
    for limit in (1000, 1500, 5000, 40_000):
        bounded = truncate_json(value, limit=limit, ref=ANSWER)

        assert bounded.text
        assert len(bounded.text) <= limit
        assert bounded.truncated is (len(text) > limit)
        if bounded.truncated:
            assert json.loads(bounded.text) == bounded.structured
    assert measure(value, len(text)) == len(text)
    assert (measure(value, 500) > 500) is (len(text) > 500)


def test_a_huge_answer_is_cut_by_looking_at_no_more_than_is_shown() -> None:
    class Watched(list[Any]):
        looked_at = 0

        def __iter__(self) -> Any:
            for item in super().__iter__():
                self.looked_at += 1
                yield item

    watched = Watched([[number] * 5 for number in range(100_000)])

    truncate_json({"rows": watched}, limit=LIMIT, ref=ANSWER)

    assert 0 < watched.looked_at < 10 * LIMIT


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        pytest.param("a line\n" * 1000, "a line\n", id="at the end of a line"),
        pytest.param("word " * 1000, "word ", id="at the end of a word"),
        pytest.param("x" * 5000, "x", id="anywhere"),
    ],
)
def test_a_text_is_cut_where_it_hurts_least(text: str, ends: str) -> None:
    bounded = truncate_text(text, limit=LIMIT, ref=ANSWER, place=Truncation())

    assert bounded.text
    shown, _, note = bounded.text.rpartition("\n\n")
    assert len(bounded.text) <= LIMIT
    assert text.startswith(shown)
    assert shown.endswith(ends)
    assert note == (
        f"[{len(text) - len(shown):,} more characters. Continue with read_result("
        f'call_id="{ANSWER.call_id}", offset={len(shown)}).]'
    )
    assert bounded.structured is None


def test_a_text_put_together_from_several_parts_sends_the_reader_to_the_beginning() -> None:
    text = truncate_text("x" * 5000, limit=LIMIT, ref=ANSWER).text

    assert text
    assert "offset=0)" in text


def test_the_way_to_the_rest_is_the_right_one() -> None:
    value = {"a/b": [{"~": "x" * 9000}]}

    said = _said(truncate_json(value, limit=LIMIT, ref=AnswerRef("call_1", "my_read_result")).structured)

    assert 'my_read_result(call_id="call_1", pointer="/a~1b/0/~0", offset=' in said
    assert json_text.dump(value)[locate(json_text.dump(value), "/a~1b/0/~0")] == f'"{"x" * 9000}"'
