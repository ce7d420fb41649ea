"""Schemas of everyday keywords accept what `jsonschema` accepts, and nothing else."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from blaxel_mcp.apis import APIS
from blaxel_mcp.apis.plain_schema import plain_check
from tests.properties.examples import tried

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 2, -1, 0.0, 1.0, 1.5, -0.0, "", "a", "ab", "\U0001f600"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
KINDS = st.sampled_from(["string", "object", "array", "boolean", "null", "integer", "number"])
ANYTHING = VALUES | st.just(["a", "a"])


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    sizes = st.integers(0, 3)
    limits = st.sampled_from([-1, 0, 1, 1.0, 1.5, 2])
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": KINDS | st.lists(KINDS, min_size=1, max_size=3, unique=True),
        "enum": st.lists(SCALARS, max_size=4) | st.lists(VALUES, max_size=2),
        "const": SCALARS,
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), limits),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), sizes),
        "items": inner,
        "required": st.lists(NAMES, max_size=2, unique=True),
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "additionalProperties": inner,
        "description": st.just("Words."),
        "default": VALUES,
        "format": st.just("uri"),
    }
    valid = st.fixed_dictionaries({}, optional=keywords)
    one_wrong = st.tuples(
        valid, st.sampled_from([*keywords, "title", "$schema", "readOnly", "examples"]), ANYTHING
    ).map(lambda drawn: {**drawn[0], drawn[1]: drawn[2]})
    return valid | valid | one_wrong


SCHEMAS: st.SearchStrategy[Any] = st.recursive(st.booleans() | st.just({}), schemas, max_leaves=6)


@tried(250)
@given(schema=SCHEMAS, values=st.lists(VALUES, min_size=1, max_size=6))
@example({"enum": [1]}, [True, 1.0, 1])
@example({"type": "integer"}, [1.0, True, 1e308])
@example({"additionalProperties": {"type": "string"}, "properties": {"a": True}}, [{"a": 1, "b": "x"}, {"b": 1}])
def test_a_plain_schema_accepts_what_jsonschema_accepts(schema: Any, values: list[Any]) -> None:
    check = plain_check(schema)
    if check is not None:
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
        validator = Draft202012Validator(schema)
        assert [check(value) for value in values] == [validator.is_valid(value) for value in values]


def test_the_schemas_of_all_apis_are_plain() -> None:
    schemas_of_apis = [schema for api in APIS for schema in (api.input_schema(), api.accepted_schema())]

    assert all(plain_check(schema) for schema in schemas_of_apis)


def test_a_schema_with_any_other_keyword_is_left_to_jsonschema() -> None:
    others = [
        "$ref",
        "$defs",
        "$id",
        "allOf",
        "anyOf",
        "not",
        "if",
        "pattern",
        "prefixItems",
        "uniqueItems",
        "contains",
    ]

    assert [plain_check({"properties": {"a": {keyword: []}}}) for keyword in others] == [None] * len(others)
