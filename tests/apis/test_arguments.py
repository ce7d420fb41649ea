"""Arguments: repaired if a client is known to bend them, otherwise rejected with a reason."""

from typing import Any

import pytest

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.repairs import decode_json_string
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.suggestions import closest

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "data": {"type": ["object", "array"]},
        "tags": {"type": "array", "items": {"type": "object", "required": ["key"]}},
        "mode": {"type": "string", "enum": ["fast", "slow"]},
        "maybe": {"type": ["string", "null"]},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture
def validator() -> ArgumentValidator:
    return ArgumentValidator(SCHEMA, owner="The schema")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param({}, "$: 'name' is required", id="missing"),
        pytest.param({"name": 5}, "$.name: expected string, got integer 5", id="type"),
        pytest.param({"name": None}, "$.name: expected string, got null", id="null where required"),
        pytest.param({"name": "x", "count": 0}, "$.count: expected minimum 1, got 0", id="bound"),
        pytest.param({"name": "x", "count": True}, "$.count: expected integer, got boolean true", id="boolean"),
        pytest.param({"name": "x", "mode": "quick"}, '$.mode: expected one of "fast", "slow", got "quick"', id="enum"),
        pytest.param({"name": "x", "tags": [{}]}, "$.tags[0]: 'key' is required", id="deep inside"),
        pytest.param(
            {"name": "x", "data": "not json"}, '$.data: expected object or array, got string "not json"', id="a string"
        ),
        pytest.param({"name": "x", "moed": "fast"}, "$: unknown property 'moed', did you mean 'mode'?", id="unknown"),
        pytest.param({"name": "x", "zzzzz": 1}, "$: unknown property 'zzzzz'", id="unknown, like nothing"),
        pytest.param(
            {"name": 5, "count": "two"},
            '$.count: expected integer, got string "two"; $.name: expected string, got integer 5',
            id="several",
        ),
    ],
)
def test_a_misfit_names_the_place_and_what_was_expected(
    validator: ArgumentValidator, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidArgumentsError) as caught:
        validator.validate(arguments)

    assert caught.value.message == f"Invalid arguments: {problem}."
    assert caught.value.code == "invalid_arguments"


def test_a_long_value_is_shown_in_part(validator: ArgumentValidator) -> None:
    with pytest.raises(InvalidArgumentsError) as caught:
        validator.validate({"name": ["x" * 10_000]})

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        pytest.param('{"a": 1}', {"a": 1}, "object", id="an object as a string"),
        pytest.param("[1, 2]", [1, 2], "array", id="an array as a string"),
        pytest.param('```json\n{"a": 1}\n```', {"a": 1}, "object", id="in a Markdown fence"),
        pytest.param('"{\\"a\\": 1}"', {"a": 1}, "object", id="quoted twice"),
    ],
)
def test_a_json_string_is_taken_as_what_it_spells_and_the_repair_is_told(
    validator: ArgumentValidator, text: str, value: Any, kind: str
) -> None:
    ready, repairs = validator.validate({"name": "x", "data": text})

    assert ready == {"name": "x", "data": value}
    assert repairs == [f"data was a JSON string and was parsed as an {kind}"]


def test_a_text_argument_that_happens_to_be_json_stays_text(validator: ArgumentValidator) -> None:
    assert validator.validate({"name": '{"a": 1}'}) == ({"name": '{"a": 1}'}, [])


def test_null_for_an_optional_argument_counts_as_left_out(validator: ArgumentValidator) -> None:
    ready, repairs = validator.validate({"name": "x", "count": None, "data": None, "maybe": None})

    assert ready == {"name": "x", "maybe": None}
    assert repairs == []


def test_the_advertised_schema_decides_on_repairs_and_the_accepted_one_on_validity() -> None:
    advertised = {"type": "object", "properties": {"input": {"type": "array"}}}
    accepted = {"type": "object", "properties": {"input": {"type": ["string", "array"]}}}
    validator = ArgumentValidator(accepted, advertised=advertised, owner="The schema")

    assert validator.validate({"input": '["a", "b"]'})[0] == {"input": ["a", "b"]}
    assert validator.validate({"input": "a"}) == ({"input": "a"}, [])


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        pytest.param({"type": "objekt"}, "is not a valid JSON Schema", id="not a schema"),
        pytest.param({"type": "array"}, "does not describe an object", id="not an object"),
        pytest.param({}, "does not describe an object", id="empty"),
        pytest.param(
            {"type": "object", "properties": {"a": {"$ref": "https://example.com/s.json"}}},
            "outside itself",
            id="a reference that would have to be fetched",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"$dynamicRef": "#nothing"}}},
            "to nothing: '#nothing'",
            id="no anchor",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_read(schema: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ArgumentValidator(schema, owner="The input_schema of the model 'x'")


@pytest.mark.parametrize("text", ["", "plain", "{", "NaN", "'single'", r'["\ud800"]', r'"[\"\\ud800\"]"'])
def test_a_string_that_spells_no_json_spells_nothing(text: str) -> None:
    assert decode_json_string(text) is None


def test_the_nearest_name_is_found_only_when_one_is_near() -> None:
    assert closest("huose-chat", ["house-chat", "edge-chat"]) == "house-chat"
    assert closest("zzz", ["house-chat"]) is None
