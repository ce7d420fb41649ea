"""Validation with bounded work: few errors, counted steps, patterns in linear time, memory by the size of the input."""

import gc
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from blaxel_mcp.apis import APIS, CHAT_COMPLETIONS, api_named
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError

CHAT = ArgumentValidator(
    CHAT_COMPLETIONS.accepted_schema(), advertised=CHAT_COMPLETIONS.input_schema(), owner="The schema"
)


def schema(value: Any, **root: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"value": value}, **root}


def peak_bytes(work: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refusal(validator: ArgumentValidator, arguments: dict[str, Any]) -> InvalidArgumentsError:
    with pytest.raises(InvalidArgumentsError) as caught:
        validator.validate(arguments)
    assert len(str(caught.value)) < 4000
    return caught.value


MANY = 20_000
ANY_OF_MANY = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"minimum": 9}}]}

FLOODS: list[Any] = [
    pytest.param(CHAT, {"messages": [1] * MANY}, id="messages that are numbers"),
    pytest.param(CHAT, {"messages": [{} for _ in range(MANY)]}, id="messages without a role"),
    pytest.param(CHAT, {"prompt": "x", "tools": [1] * MANY}, id="tools that are numbers"),
    pytest.param(CHAT, {"messages": [[[]]] * MANY}, id="messages that are arrays"),
    pytest.param(ArgumentValidator(schema(ANY_OF_MANY), owner="x"), {"value": [1] * MANY}, id="anyOf"),
    pytest.param(
        ArgumentValidator(schema({"oneOf": ANY_OF_MANY["anyOf"]}), owner="x"), {"value": [1] * MANY}, id="oneOf"
    ),
    pytest.param(
        ArgumentValidator(schema({}, additionalProperties=False), owner="x"),
        {str(index): 1 for index in range(MANY)},
        id="unknown properties",
    ),
    pytest.param(
        ArgumentValidator(schema({"patternProperties": {"^x": {"type": "string"}}}), owner="x"),
        {"value": {f"x{index}": 1 for index in range(MANY)}},
        id="pattern properties",
    ),
    pytest.param(ArgumentValidator(schema({"maxItems": 1}), owner="x"), {"value": ["x" * 9] * MANY}, id="maxItems"),
    pytest.param(ArgumentValidator(schema({"not": {}}), owner="x"), {"value": ["x" * 9] * MANY}, id="not"),
]


@pytest.mark.parametrize(("validator", "arguments"), FLOODS)
def test_arguments_that_do_not_fit_cost_memory_by_their_size_and_show_five_problems(
    validator: ArgumentValidator, arguments: dict[str, Any]
) -> None:
    size = len(json_text.dump(arguments))
    error = refusal(validator, arguments)

    assert peak_bytes(lambda: refusal(validator, arguments)) < 10 * size + 100_000
    assert str(error).count("$") <= 5


def test_long_names_and_texts_are_shown_in_part() -> None:
    typed = ArgumentValidator(schema({}, additionalProperties={"type": "string"}), owner="x")
    nested = ArgumentValidator(schema({"additionalProperties": {"type": "integer"}}), owner="x")

    refusal(typed, {"k" * 1_000_000: 1})
    refusal(nested, {"value": {"k" * 1_000_000: "v" * 1_000_000}})
    refusal(CHAT, {"prompt": ["x" * 1_000_000]})


NODE = {
    "anyOf": [
        {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["left"]},
        {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["right"]},
    ]
}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_alternatives_that_double_with_each_level_end_in_an_error(keyword: str) -> None:
    node = {keyword: [{**part, "required": []} for part in NODE["anyOf"]] if keyword != "anyOf" else NODE["anyOf"]}
    validator = ArgumentValidator(schema({"$ref": "#/$defs/node"}, **{"$defs": {"node": node}}), owner="x")
    value: dict[str, Any] = {}
    for _ in range(40):
        value = {"next": value}

    assert "take too long to validate" in refusal(validator, {"value": value}).message or keyword == "oneOf"


def test_a_reference_to_itself_ends_in_an_error() -> None:
    validator = ArgumentValidator(schema({"$ref": "#/$defs/a"}, **{"$defs": {"a": {"$ref": "#/$defs/a"}}}), owner="x")

    refusal(validator, {"value": 1})


@pytest.mark.parametrize("reference", ["#/$defs/b", "#b", "https://example.com/s.json", "other.json"])
def test_a_reference_that_leads_nowhere_is_refused_when_it_is_read(reference: str) -> None:
    with pytest.raises(ConfigurationError, match="outside itself, or to nothing"):
        ArgumentValidator(schema({"items": {"$ref": reference}}), owner="x")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        pytest.param({"uniqueItems": True}, [{"a": index} for index in range(30_000)], id="uniqueItems"),
        pytest.param({"contains": {"minimum": 5}, "unevaluatedItems": False}, [9] * 60_000, id="unevaluatedItems"),
        pytest.param(
            {"properties": {"a": {}}, "unevaluatedProperties": {}},
            {str(index): 1 for index in range(60_000)},
            id="unevaluatedProperties",
        ),
    ],
)
def test_keywords_that_compare_each_with_each_are_bounded(part: dict[str, Any], value: Any) -> None:
    validator = ArgumentValidator(schema(part), owner="x")
    try:
        validator.validate({"value": value})
    except InvalidArgumentsError as error:
        assert "more than 1000 entries" in str(error)  # noqa: PT017 - either outcome is right, if it comes


def test_unique_items_are_told_as_json_tells_them() -> None:
    validator = ArgumentValidator(schema({"uniqueItems": True}), owner="x")

    value: Any
    for value in ([1, True, "1", [1], {"a": 1}], [0, False, None], [[1], [True]]):
        validator.validate({"value": value})
    for value in ([1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [[1, [2]], [1, [2]]], ["x", "x"]):
        assert "equal" in refusal(validator, {"value": value}).message


SLOW = ["^(a+)+$", "(x+x+)+y", r"^(([a-z])+.)+[A-Z]([a-z])+$", "(a|aa)+$", r"^(\w+\s?)*$", "(.*)*=(.*)*;", "(a|a?)+b"]


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_with_nested_repeats_is_matched_in_linear_time(pattern: str) -> None:
    text = "a" * 100_000 + "!"
    for part in ({"pattern": pattern}, {"anyOf": [{"pattern": pattern}]}, {"$schema": DRAFT, "pattern": pattern}):
        refusal(ArgumentValidator(schema(part), owner="x"), {"value": text})
    names = {
        "patternProperties": {pattern: False},
        "additionalProperties": False,
        "propertyNames": {"pattern": pattern},
    }
    refusal(ArgumentValidator(schema(names), owner="x"), {"value": {text: 1}})


DRAFT = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_a_dialect_inside_a_schema_does_not_bring_the_slow_engine_back(keyword: str) -> None:
    part = {"$schema": DRAFT, "$defs": {"s": {"$schema": DRAFT, "pattern": SLOW[0]}}, keyword: [{"$ref": "#/$defs/s"}]}
    whole = {"$schema": DRAFT, **schema({"$ref": "#/$defs/s"}, **{"$defs": part["$defs"]}), keyword: [{}]}

    refusal(ArgumentValidator(whole, owner="x"), {"value": "a" * 100_000 + "!"})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "backreferences"),
        ("[", "unclosed"),
        ("(((a{1,1000}){1,1000}){1,1000})", "size limit"),
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        lambda pattern: {"pattern": pattern},
        lambda pattern: {"patternProperties": {pattern: {}}},
        lambda pattern: {"items": {"anyOf": [{"propertyNames": {"pattern": pattern}}]}},
        lambda pattern: {"properties": {"pattern": {"pattern": pattern}}},
    ],
)
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused_when_it_is_read(
    pattern: str, reason: str, place: Callable[[str], dict[str, Any]]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ArgumentValidator(schema(place(pattern)), owner="The input_schema of the model 'x'")

    assert caught.value.message.startswith("The input_schema of the model 'x' has the pattern ")
    assert repr(pattern) in caught.value.message
    assert reason in caught.value.message


def test_what_merely_looks_like_a_pattern_is_left_alone() -> None:
    part = {
        "default": {"pattern": "(?=a)"},
        "enum": [{"pattern": "(?=a)"}],
        "properties": {"pattern": {"type": "string"}},
    }

    ArgumentValidator(schema(part), owner="x").validate({"value": {"pattern": "(?=a)"}})


def test_patterns_mean_what_they_mean_in_json_schema() -> None:
    validator = ArgumentValidator(schema({"pattern": r"b{2}\d$"}), owner="x")

    validator.validate({"value": "abb1"})
    assert "does not match" in refusal(validator, {"value": "abb1\n"}).message


def test_a_text_is_as_long_as_a_pattern_that_repeats_by_count_allows() -> None:
    counted = ArgumentValidator(schema({"pattern": r"\w{1,200}x"}), owner="x")
    simple = ArgumentValidator(schema({"pattern": "^data:image/"}), owner="x")

    assert "too long for the pattern" in refusal(counted, {"value": "ü" * 100_000}).message
    simple.validate({"value": "data:image/" + "x" * 1_000_000})


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 1_000_000, id="text"),
        pytest.param("x" * 1_000_000 + "\U0001f600", id="text with one emoji"),
        pytest.param('"\n\\' * 300_000, id="text with escapes"),
        pytest.param([1] * 20_000, id="numbers"),
        pytest.param([{"role": "user", "content": "hi"}] * 5_000, id="small objects"),
    ],
)
def test_a_large_body_is_written_in_memory_by_its_size(value: Any) -> None:
    body = {"value": value}
    encoded = CHAT_COMPLETIONS.encode(body).content

    assert encoded == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    # Besides the content itself, which grows by reallocation.
    assert peak_bytes(lambda: CHAT_COMPLETIONS.encode(body)) < 4 * len(encoded) + 500_000


@pytest.mark.parametrize("fence", ["```json\n{}```", "```\n{}\n```", '"{}"', "[{}"])
def test_a_string_of_megabytes_that_is_not_json_is_given_up_at_once(fence: str) -> None:
    for text in (" \n" * 500_000, "[" * 1_000_000, "\\" * 1_000_000, "{}," * 300_000, "`" * 1_000_000):
        refusal(CHAT, {"messages": fence.replace("{}", text)})


def test_numbers_beyond_a_double_are_refused_wherever_they_stand() -> None:
    for number in (10**400, -(10**400), float("inf"), float("nan")):
        for arguments in ({"seed": number}, {"messages": [{"role": "user", "x": [{"y": number}]}]}):
            assert "JSON cannot represent" in refusal(CHAT, {"prompt": "x", **arguments}).message


@pytest.mark.parametrize("levels", [101, 5_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value]

    assert "levels deep" in refusal(CHAT, {"prompt": "x", "extra": value}).message


@pytest.mark.parametrize("api", APIS, ids=[api.name for api in APIS])
def test_the_schemas_of_the_apis_need_no_thread_for_small_arguments(api: Any) -> None:
    assert ArgumentValidator(api.accepted_schema(), advertised=api.input_schema(), owner=api.name).is_plain


def test_a_schema_with_alternatives_needs_a_thread() -> None:
    assert not ArgumentValidator(schema(ANY_OF_MANY), owner="x").is_plain
    assert not ArgumentValidator(schema({"pattern": "a"}), owner="x").is_plain
    assert api_named("raw")
