"""Properties of the bounds on arguments: counting, writing in pieces, and repairs."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.apis import APIS
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.bounded_schema import BoundedSchema
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from tests.properties.examples import json_values, large_values, nested, scalars, tried

VALIDATORS = [ArgumentValidator(api.accepted_schema(), advertised=api.input_schema(), owner=api.name) for api in APIS]
TRICKY = st.text(st.sampled_from(['"', "\\", ",", ":", "[", "{", "\n", "é", "\U0001f600", "a"]), max_size=30)


def values_in(value: Any) -> int:
    """The number of values and member names."""
    if isinstance(value, dict):
        return 1 + sum(1 + values_in(item) for item in value.values())
    return 1 + sum(map(values_in, value)) if isinstance(value, list) else 1


@tried(300)
@given(
    value=nested(scalars | TRICKY),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
def test_values_are_counted_in_whatever_pieces_they_come(
    value: Any, sizes: list[int], ascii_only: bool, indent: int | None
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    whole, pieces = json_text.ValueCounter(), json_text.ValueCounter()
    whole.feed(data)
    while data:
        for size in sizes:
            pieces.feed(data[:size])
            data = data[size:]

    # An empty object or array counts once more.
    assert pieces.count == whole.count
    assert values_in(value) <= whole.count <= 2 * values_in(value)


@tried(200)
@given(value=large_values | st.builds(lambda value: [value] * 600, json_values) | TRICKY.map(lambda text: text * 5000))
def test_what_is_written_in_pieces_is_what_is_written_at_once(value: Any) -> None:
    try:
        whole = json_text.dump(value).encode()
    except ValueError:
        return

    assert json_text.dump_in_pieces(value) == whole


@tried(100)
@given(
    validator=st.sampled_from(VALIDATORS),
    arguments=st.dictionaries(
        st.sampled_from(["prompt", "messages", "input", "tools", "max_tokens", "n", "x"]), json_values
    ),
)
def test_arguments_that_have_been_repaired_need_no_repair_and_can_be_sent(
    validator: ArgumentValidator, arguments: dict[str, Any]
) -> None:
    before = json.dumps(arguments)
    try:
        ready, _ = validator.validate(arguments)
    except InvalidArgumentsError:
        return
    finally:
        assert json.dumps(arguments) == before
    assert validator.validate(ready) == (ready, [])
    json_text.dump(ready)


@tried(50)
@given(value=json_values, items=st.lists(json_values, max_size=6))
def test_unique_items_are_those_that_python_tells_apart_as_json_does(value: Any, items: list[Any]) -> None:
    bounded = BoundedSchema({"uniqueItems": True}, "x")
    spelled = [json.dumps(item, sort_keys=True) for item in items]
    if len(set(spelled)) < len(spelled):
        assert bounded.problems(items)
    assert bounded.problems([value, value])
