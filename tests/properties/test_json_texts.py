"""JSON as text: compacting removes only white space; an argument given as a JSON string is parsed."""

import json
import math
import re
import string
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.repairs import decode_json_string
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from tests.properties.examples import any_text, json_values, nested, scalars, tried

SPACES = st.text(" \t\r\n", max_size=3)
LITERALS = st.sampled_from(["1.10", "-0.0", "1e400", "123456789012345678901234567890", "0.1E+2", "-1", "1e-7"])


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """Return a value as JSON with white space anywhere, and with Unicode plain or escaped."""
    space = draw(SPACES)
    match value:
        case dict():
            members = [
                f"{draw(SPACES)}{json.dumps(name)}{draw(SPACES)}:{draw(spelled(inner))}"
                for name, inner in value.items()
            ]
            return f"{space}{{{','.join(members)}{space}}}{space}"
        case list():
            return f"{space}[{','.join(draw(spelled(inner)) for inner in value)}{space}]{space}"
    return f"{space}{json.dumps(value, ensure_ascii=draw(st.booleans()))}{space}"


@tried(200)
@given(text=nested(scalars | any_text, leaves_at_most=10).flatmap(spelled))
def test_compact_json_has_the_same_value_and_no_white_space(text: str) -> None:
    compact = json_text.compact(text)

    assert json_text.parse(compact) == json_text.parse(text)
    assert json_text.compact(compact) == compact
    assert compact == "".join(text.split()) or '"' in text
    assert len(compact) <= len(json.dumps(json_text.parse(text), separators=(",", ":")))


@tried(100)
@given(numbers=st.lists(LITERALS | st.integers().map(str), max_size=6), space=SPACES)
def test_compact_json_keeps_every_number_as_it_is_spelled(numbers: list[str], space: str) -> None:
    text = f"{space}[{f'{space},{space}'.join(numbers)}]{space}"

    assert json_text.compact(text) == f"[{','.join(numbers)}]"


@tried(100)
@given(text=any_text | st.text('{}[]",:\\0123456789eE.- \n', max_size=60))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example("1" * 5000)
def test_anything_that_is_not_json_is_a_value_error(text: str) -> None:
    try:
        value = json_text.parse(text)
    except ValueError:
        return

    assert json_text.parse(json_text.compact(text)) == value or value != value  # noqa: PLR0124 - NaN is no JSON


@tried(100)
@given(depth=st.integers(0, 3000), opening=st.sampled_from(["[", '{"a":']))
def test_the_depth_of_json_is_counted_however_deep_it_nests(depth: int, opening: str) -> None:
    text = opening * depth + "1" + ("]" if opening == "[" else "}") * depth

    assert json_text.depth(text) == depth


NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "1e400", "-1e400", "1E+0400", "9" * 4300, "9" * 4301, "01", "1.", "+1", "NaN"]),
)
STRINGS = st.one_of(
    any_text.map(json.dumps),
    st.text('\\"/bfnrtu0123456789abcdefABCDEF\u0000\n\u00e9 ', max_size=30).map('"{}"'.format),
    st.sampled_from(
        [r'"\ud83d\ude00"', r'"\ud83d"', r'"\uDE00x"', r'"\u0000"', '"\x7f"', '"\ud800"', '"Infinity"', '"1e400"']
    ),
)


def arranged(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts of arrays and objects of these texts, with names that repeat."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
            | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', r'"\u0061"']), inner), max_size=4).map(
                lambda members: f"{{{','.join(f'{name} : {item}' for name, item in members)}}}"
            )
        ),
        max_leaves=8,
    )


def outcome(parse: Callable[[str], Any], text: str) -> str:
    """Return everything about what a parser makes of a text: types, digits and the order of members."""
    try:
        return repr(parse(text))
    except ValueError:
        return "refused"


def strictly(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: int(f"not {name}"))


def finitely(text: str) -> Any:
    def within(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            raise ValueError(number)
        return value

    return json.loads(text, parse_constant=lambda name: int(f"not {name}"), parse_float=within)


@tried(300)
@given(text=arranged(NUMBERS | STRINGS | st.sampled_from(["true", "false", "null", "nul", ""])))
@example("[" * 201 + "]" * 201)
@example("[" * 202 + "]" * 202)
@example("[" * 399 + "1e400" + "]" * 399)
@example("\ufeff1")
def test_json_is_parsed_as_pythons_parser_does_it(text: str) -> None:
    assert outcome(json_text.parse, text) == outcome(strictly, text)
    assert outcome(partial(json_text.parse, finite=True), text) == outcome(finitely, text)


def is_written_by_the_sdk(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@tried(300)
@given(text=arranged(NUMBERS | STRINGS))
def test_what_survives_as_a_value_is_what_can_be_written_again(text: str) -> None:
    if outcome(strictly, text) != "refused":
        value = json_text.parse(text)
        assert json_text.survives_as_value(text, value) == (
            is_written_by_the_sdk(value) and is_written_by_the_sdk(text)
        )


@tried(200)
@given(text=st.text("ab1+/=\\ \u00e9-", max_size=60), length=st.integers(1, 12))
def test_a_run_of_characters_is_found_as_a_pattern_finds_it(text: str, length: int) -> None:
    pattern = re.compile(rf"[\w+/=\\-]{{{length}}}", re.ASCII)
    characters = string.ascii_letters + string.digits + "_+/=\\-"

    assert json_text.run_finder(characters, length)(text) == bool(pattern.search(text))


CONTAINERS = nested(scalars).filter(lambda value: isinstance(value, dict | list))
WRAPPED = st.sampled_from(["{}", " {}\n", "```json\n{}\n```", "```\n{}```", "  ```json\n{}\n```  "])
READER = ArgumentValidator(
    {
        "type": "object",
        "properties": {"data": {"type": ["object", "array"]}, "text": {"type": "string"}, "free": {}},
        "additionalProperties": False,
    },
    owner="the test's schema",
)


@tried(200)
@given(value=CONTAINERS, wrapping=WRAPPED, twice=st.booleans(), ascii_only=st.booleans())
def test_an_argument_given_as_a_json_string_is_parsed(value: Any, wrapping: str, twice: bool, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    text = wrapping.format(json.dumps(text, ensure_ascii=ascii_only) if twice else text)

    assert decode_json_string(text) == value
    kind = "object" if isinstance(value, dict) else "array"
    repair = f"data was a JSON string and was parsed as an {kind}"
    assert READER.validate({"data": text}) == ({"data": value}, [repair])


@tried(200)
@given(text=any_text | json_values.map(json.dumps))
def test_an_argument_that_is_text_is_never_changed(text: str) -> None:
    assert READER.validate({"text": text, "free": text}) == ({"text": text, "free": text}, [])


@tried(200)
@given(text=st.text('{}[]",:0123456789eE.-` \n', max_size=40) | CONTAINERS.map(json.dumps))
@example('{"a": 1e999}')
@example("[" * 500 + "]" * 500)
@example("[" * 101 + "]" * 101)
@example("[" * 100_000)
@example('{"a": NaN}')
def test_a_parsed_argument_can_be_sent(text: str) -> None:
    try:
        ready, repairs = READER.validate({"data": text})
    except InvalidArgumentsError:
        return

    assert len(repairs) == 1
    if not text:
        assert ready == {}
        return
    spelled_again = json_text.dump(ready["data"])
    assert json_text.depth(spelled_again) < json_text.MAX_DEPTH
    assert json_text.parse(spelled_again) == ready["data"]
