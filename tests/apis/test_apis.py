"""The APIs: what an agent is offered, and the body that goes out."""

from typing import Any

import pytest

from blaxel_mcp.apis import APIS, ModelAPI, api_at, api_named
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.exceptions import InvalidArgumentsError

each_api = pytest.mark.parametrize("api", APIS, ids=[api.name for api in APIS])


def _schemas(schema: Any) -> list[dict[str, Any]]:
    """Return a schema and all schemas within it."""
    if not isinstance(schema, dict):
        return []
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return [schema, *(schema for part in inner for schema in _schemas(part))]


@each_api
def test_advertised_schemas_keep_to_what_every_client_takes(api: ModelAPI) -> None:
    advertised = api.input_schema()

    assert advertised["type"] == "object"
    assert advertised["properties"]
    assert advertised["additionalProperties"] == {}
    for schema in _schemas(advertised):
        assert not schema.keys() & {"oneOf", "anyOf", "allOf", "$ref", "$defs", "const", "not", "if", "prefixItems"}
        assert not isinstance(schema.get("additionalProperties"), bool)
        assert not isinstance(schema.get("type"), list)
        if schema.get("type") == "array":
            assert "items" in schema
    assert all(field["description"] for field in advertised["properties"].values())


@each_api
def test_an_api_is_found_by_its_name_and_by_its_path(api: ModelAPI) -> None:
    assert api_named(api.name) is api
    assert api_at(api.path) is api


def test_an_unknown_name_or_path_is_no_api() -> None:
    assert api_named("chat") is None
    assert api_at("/v1/else") is None


CHAT = api_named("chat-completions")
assert CHAT is not None


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        pytest.param(
            {"prompt": "Hi"}, {"messages": [{"role": "user", "content": "Hi"}]}, id="a prompt is the user's message"
        ),
        pytest.param(
            {"prompt": "Hi", "system": "Be brief.", "max_tokens": 5, "x_extra": {"a": [1]}},
            {
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
                "max_tokens": 5,
                "x_extra": {"a": [1]},
            },
            id="system comes first and other fields pass through",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "prompt": "c"},
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "c"},
                ]
            },
            id="a prompt goes on from the messages",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}], "name": "n"}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}], "name": "n"}]},
            id="messages stay as they are",
        ),
    ],
)
def test_chat_arguments_become_the_body_of_the_api(arguments: dict[str, Any], body: dict[str, Any]) -> None:
    assert CHAT is not None
    validator = ArgumentValidator(CHAT.accepted_schema(), advertised=CHAT.input_schema(), owner="chat")

    assert CHAT.body(validator.validate(arguments)[0]) == body


def test_chat_needs_something_to_answer() -> None:
    assert CHAT is not None
    with pytest.raises(InvalidArgumentsError, match="no message"):
        CHAT.check(CHAT.body({"system": "Be brief."} | {"messages": []}) | {"messages": []})


@pytest.mark.parametrize(
    ("argument", "sent"),
    [
        pytest.param("one text", "one text", id="one text"),
        pytest.param(["a", "b"], ["a", "b"], id="several"),
        pytest.param('["a", "b"]', ["a", "b"], id="several, spelled as a string"),
        pytest.param([1, 2, 3], [1, 2, 3], id="tokens"),
    ],
)
def test_embeddings_take_every_form_of_input_that_the_api_takes(argument: Any, sent: Any) -> None:
    api = api_named("embeddings")
    assert api is not None
    validator = ArgumentValidator(api.accepted_schema(), advertised=api.input_schema(), owner="embeddings")

    assert api.body(validator.validate({"input": argument, "dimensions": 256})[0]) == {"input": sent, "dimensions": 256}


@pytest.mark.parametrize("inputs", ["text", {"question": "q", "context": "c"}, ["a", "b"]], ids=type)
def test_raw_passes_any_body_on(inputs: Any) -> None:
    api = api_named("raw")
    assert api is not None
    validator = ArgumentValidator(api.accepted_schema(), advertised=api.input_schema(), owner="raw")
    arguments = {"inputs": inputs, "parameters": {"top_k": 1}, "other": None}

    assert api.body(validator.validate(arguments)[0]) == arguments
