"""JSON text that is passed on unchanged."""

import pytest

from blaxel_mcp.core import json_text


@pytest.mark.parametrize(
    ("text", "compacted"),
    [
        pytest.param('{ "a" : 1 ,\n "b":[ 1, 2 ] }', '{"a":1,"b":[1,2]}', id="white space goes"),
        pytest.param('{"a b": " c\\" d "}', '{"a b":" c\\" d "}', id="white space in strings stays"),
        pytest.param('"\\\\" ', '"\\\\"', id="an escaped backslash ends no string"),
        pytest.param("[1.10, -0.0, 1E400, 12345678901234567890123]", "[1.10,-0.0,1E400,12345678901234567890123]"),
        pytest.param('{"a":1, "a":2}', '{"a":1,"a":2}', id="names given twice"),
        pytest.param('["\\u00e9", "é", "\\ud800"]', '["\\u00e9","é","\\ud800"]', id="escapes stay escapes"),
        pytest.param("\t null\r\n", "null", id="a scalar"),
    ],
)
def test_compact_takes_out_white_space_and_nothing_else(text: str, compacted: str) -> None:
    assert json_text.compact(text) == compacted


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[-Infinity]", "{", "", "{'a': 1}", '{"a": 1,}'])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.parse(text)


def test_json_too_deep_to_read_is_refused_and_not_a_crash() -> None:
    with pytest.raises(ValueError, match="nests too deeply"):
        json_text.parse("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    ("text", "depth"),
    [("1", 0), ("[]", 1), ('{"a":[{"b":1}]}', 3), ('"[[["', 0), ('["]\\"["]', 1), ("[[],[[]]]", 3)],
)
def test_depth_counts_brackets_outside_strings(text: str, depth: int) -> None:
    assert json_text.depth(text) == depth


@pytest.mark.parametrize(
    ("text", "survives"),
    [
        pytest.param('{"a": [1, "é", -0.0, 1180591620717411303424, null]}', True, id="ordinary"),
        pytest.param("[1e400]", False, id="beyond a double"),
        pytest.param('["\\ud800"]', False, id="half a surrogate pair"),
        pytest.param('["\\ud83d\\ude00"]', True, id="a whole pair"),
        pytest.param("[" * 100 + "]" * 100, True, id="as deep as it may be"),
        pytest.param("[" * 101 + "]" * 101, False, id="deeper"),
    ],
)
def test_a_value_goes_out_as_structured_content_only_if_it_says_what_the_text_says(text: str, survives: bool) -> None:
    assert json_text.survives_as_value(text, json_text.parse(text)) is survives


def test_only_strings_are_replaced_and_the_rest_keeps_its_spelling() -> None:
    text = '{"a\\u0041": [1.10, -0.0, 1e400, "x\\/y"], "b":  null}'

    assert json_text.with_strings(text, lambda value: value.replace("x", "\ud800")) == (
        '{"a\\u0041": [1.10, -0.0, 1e400, "\\ud800/y"], "b":  null}'
    )
    assert json_text.with_strings(text, str) == text
