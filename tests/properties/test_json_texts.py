"""JSON as text: compacting removes only white space; an argument given as a JSON string is parsed."""

import json
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
