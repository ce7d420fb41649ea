"""Arguments in the forms that clients and models are known to send: taken as meant, and told."""

import json
from typing import Any

import pytest

from blaxel_mcp.apis import APIS, ModelAPI
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.exceptions import InvalidArgumentsError

VALIDATORS = {
    api.name: ArgumentValidator(api.accepted_schema(), advertised=api.input_schema(), owner=api.name) for api in APIS
}
TEXT = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("api", "arguments", "meant", "place"),
    [
        ("chat-completions", {"messages": TEXT}, {"messages": [TEXT]}, "messages"),
        ("chat-completions", {"messages": json.dumps(TEXT)}, {"messages": [TEXT]}, "messages"),
        (
            "chat-completions",
            {"prompt": "x", "tools": {"type": "function"}},
            {"tools": [{"type": "function"}]},
            "tools",
        ),
        (
            "chat-completions",
            {"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
            "messages[0].content",
        ),
        ("responses", {"input": TEXT}, {"input": [TEXT]}, "input"),
        ("messages", {"messages": TEXT}, {"messages": [TEXT]}, "messages"),
        ("messages", {"prompt": "x", "system": {"type": "text"}}, {"system": [{"type": "text"}]}, "system"),
        ("generate-content", {"contents": '{"parts": []}'}, {"contents": {"parts": []}}, "contents"),
        ("cohere-chat", {"messages": TEXT}, {"messages": [TEXT]}, "messages"),
        ("cohere-chat", {"prompt": "x", "documents": {"data": "y"}}, {"documents": [{"data": "y"}]}, "documents"),
        ("embeddings", {"input": '["a", "b"]'}, {"input": ["a", "b"]}, "input"),
        ("raw", {"inputs": "x", "parameters": '{"top_k": 1}'}, {"parameters": {"top_k": 1}}, "parameters"),
        ("embeddings", {"input": [1.0, 2.0]}, {"input": [1, 2]}, "input"),
        ("embeddings", {"input": [[1.0], [2e0]]}, {"input": [[1], [2]]}, "input"),
        # Whole numbers written as floats, and numbers as strings.
        ("chat-completions", {"prompt": "x", "max_tokens": 100.0}, {"max_tokens": 100}, "max_tokens"),
        ("chat-completions", {"prompt": "x", "max_tokens": "100"}, {"max_tokens": 100}, "max_tokens"),
        ("chat-completions", {"prompt": "x", "max_tokens": " 100.0 "}, {"max_tokens": 100}, "max_tokens"),
        ("chat-completions", {"prompt": "x", "temperature": "0.7"}, {"temperature": 0.7}, "temperature"),
        ("chat-completions", {"prompt": "x", "temperature": "1"}, {"temperature": 1}, "temperature"),
        ("responses", {"input": "x", "max_output_tokens": 50.0}, {"max_output_tokens": 50}, "max_output_tokens"),
        ("messages", {"prompt": "x", "max_tokens": 10.0}, {"max_tokens": 10}, "max_tokens"),
        ("cohere-chat", {"prompt": "x", "max_tokens": "7"}, {"max_tokens": 7}, "max_tokens"),
        (
            "chat-completions",
            {"prompt": "x", "max_completion_tokens": 9.0},
            {"max_completion_tokens": 9},
            "max_completion_",
        ),
        (
            "messages",
            {"prompt": "x", "thinking": {"budget_tokens": 9.0}},
            {"thinking": {"budget_tokens": 9}},
            "thinking.",
        ),
        (
            "generate-content",
            {"prompt": "x", "generationConfig": {"maxOutputTokens": 9.0, "thinkingConfig": {"thinkingBudget": 0.0}}},
            {"generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"thinkingBudget": 0}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        ("embeddings", {"input": "x", "dimensions": 4.0}, {"dimensions": 4}, "dimensions"),
        ("images", {"prompt": "x", "n": 2.0}, {"n": 2}, "n"),
        ("speech", {"input": "x", "voice": "y", "speed": "1.5"}, {"speed": 1.5}, "speed"),
        ("rerank", {"query": "x", "documents": ["y"], "top_n": 1.0}, {"top_n": 1}, "top_n"),
        ("rerank", {"query": "x", "documents": '["y"]'}, {"documents": ["y"]}, "documents"),
        ("transcriptions", {"file": "x", "temperature": "0"}, {"temperature": 0}, "temperature"),
    ],
)
def test_what_is_sent_in_another_form_is_taken_as_meant(
    api: str, arguments: dict[str, Any], meant: dict[str, Any], place: str
) -> None:
    ready, repairs = VALIDATORS[api].validate(arguments)

    assert ready == {**arguments, **meant}
    assert json.dumps({name: ready[name] for name in meant}) == json.dumps(meant), "1 and 1.0 differ on the wire"
    assert repairs[-1].startswith(place)
    # What has been repaired once needs no repair.
    assert VALIDATORS[api].validate(ready) == (ready, [])


@pytest.mark.parametrize(
    ("api", "arguments"),
    [
        ("chat-completions", {"prompt": "5", "system": "true", "reasoning_effort": "x"}),
        ("chat-completions", {"prompt": "x", "temperature": 0.5, "top_p": 1.0, "metadata": {"n": "1"}}),
        ("chat-completions", {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}),
        ("chat-completions", {"messages": [{"role": "user", "content": '{"a": 1}'}]}),
        ("chat-completions", {"prompt": "x", "temperature": 1.0}),
        ("responses", {"input": '[{"role": "user"}]'}),
        ("embeddings", {"input": "12"}),
        ("generate-content", {"prompt": "x", "generationConfig": {"temperature": 1.0, "other": "1"}}),
        ("generate-content", {"contents": {"parts": {"text": "x"}}}),
        ("generate-content", {"prompt": "x", "tools": {"a": 1}}),
        ("raw", {"inputs": "100.0"}),
        ("raw", {"inputs": 100.0, "input": {"prompt": "x"}}),
        ("raw", {"input": {"prompt": "x"}}),
        ("raw", {"input": '{"prompt": "x"}'}),
        ("speech", {"input": '{"a": 1}', "voice": "y"}),
        ("speech", {"input": "", "voice": ""}),
    ],
)
def test_what_may_be_meant_as_it_is_stays_as_it_is(api: str, arguments: dict[str, Any]) -> None:
    ready, repairs = VALIDATORS[api].validate(arguments)

    assert json.dumps(ready) == json.dumps(arguments)
    assert repairs == []


@pytest.mark.parametrize(
    ("api", "arguments"),
    [
        ("chat-completions", {"prompt": "x", "max_tokens": 1.5}),
        ("chat-completions", {"prompt": "x", "max_tokens": "many"}),
        ("chat-completions", {"prompt": "x", "max_tokens": "1e400"}),
        ("chat-completions", {"prompt": "x", "max_tokens": "1.5"}),
        ("chat-completions", {"prompt": "x", "max_tokens": True}),
        ("chat-completions", {"prompt": "x", "temperature": "NaN"}),
        ("chat-completions", {"messages": "plain"}),
        ("chat-completions", {"messages": "5"}),
        ("rerank", {"query": "x", "documents": ""}),
        ("rerank", {"query": "x", "documents": "y"}),
        ("embeddings", {"input": {"a": 1}, "dimensions": "x"}),
        # 2**53 + 1, which a float cannot tell from 2**53.
        ("embeddings", {"input": "x", "dimensions": "9007199254740993.0"}),
    ],
)
def test_what_fits_in_no_form_is_refused(api: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentsError):
        VALIDATORS[api].validate(arguments)


@pytest.mark.parametrize("api", APIS, ids=[api.name for api in APIS])
def test_an_empty_string_counts_as_left_out_where_it_is_optional(api: ModelAPI) -> None:
    needed = {name: ["x"] if api.fields[name]["type"] == "array" else "x" for name in api.required}
    # Any input may be meant for a model of any kind.
    others = [name for name in api.fields if name not in needed and name != "inputs"]
    for advertised in (api.input_schema(), api.listed_schema()):
        validator = ArgumentValidator(api.accepted_schema(), advertised=advertised, owner=api.name)
        ready, repairs = validator.validate({**dict.fromkeys(others, ""), **needed})

        assert ready == needed
        assert repairs[:10] == [f"{name} was empty and was omitted" for name in others][:10]


OWN = ArgumentValidator(
    {
        "type": "object",
        "properties": {
            "mode": {"type": "string", "enum": ["fast", "slow"]},
            "any": {"type": "string", "enum": ["", "x"]},
            "day": {"type": "string", "format": "date"},
            "name": {"type": "string", "minLength": 1},
            "code": {"type": "string", "pattern": "^[a-z]$"},
            "note": {"type": "string"},
            "on": {"type": "boolean"},
            "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "either": {"type": ["integer", "string"]},
            "options": {"$ref": "#/$defs/options"},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/options"}},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "shape": {
                "anyOf": [
                    {"type": "object", "properties": {"size": {"type": "integer"}, "sides": {"type": "integer"}}},
                    {"type": "object", "properties": {"size": {"type": "string"}}},
                ]
            },
            "anchored": {"$ref": "#here"},
            "anything": {"anyOf": [True, {"type": "integer"}]},
        },
        "$defs": {
            "options": {
                "type": "object",
                "properties": {"size": {"allOf": [{"type": "integer"}]}, "inner": {"$ref": "#/$defs/options"}},
            },
            "here": {"$anchor": "here", "type": "object", "properties": {"maybe": {"type": "string"}}},
        },
    },
    owner="The schema",
)


@pytest.mark.parametrize(
    ("arguments", "meant", "repairs"),
    [
        ({"mode": ""}, {}, ["mode was empty and was omitted"]),
        ({"day": ""}, {}, ["day was empty and was omitted"]),
        ({"name": ""}, {}, ["name was empty and was omitted"]),
        ({"code": ""}, {}, ["code was empty and was omitted"]),
        ({"any": "", "note": ""}, {"any": "", "note": ""}, []),
        ({"on": "true"}, {"on": True}, ['on was "true" and was sent as true']),
        ({"on": "False"}, {"on": False}, ['on was "False" and was sent as false']),
        ({"maybe": "3"}, {"maybe": 3}, ['maybe was "3" and was sent as a number']),
        ({"maybe": None}, {"maybe": None}, []),
        ({"either": "3"}, {"either": "3"}, []),
        ({"options": {"size": 3.0}}, {"options": {"size": 3}}, ["options.size was 3.0 and was sent as 3"]),
        (
            {"options": '{"inner": {"size": "3"}}'},
            {"options": {"inner": {"size": 3}}},
            [
                "options was a JSON string and was parsed as an object",
                'options.inner.size was "3" and was sent as a number',
            ],
        ),
        (
            {"steps": {"size": 2.0}},
            {"steps": [{"size": 2}]},
            ["steps was an object and was sent as a list of one", "steps[0].size was 2.0 and was sent as 2"],
        ),
        ({"counts": {"a": 1.0}}, {"counts": {"a": 1}}, ["counts.a was 1.0 and was sent as 1"]),
        ({"shape": {"size": "3"}}, {"shape": {"size": "3"}}, []),
        ({"shape": {"sides": "3"}}, {"shape": {"sides": 3}}, ['shape.sides was "3" and was sent as a number']),
        ({"anchored": {"maybe": "3"}}, {"anchored": {"maybe": "3"}}, []),
        ({"anything": "3"}, {"anything": "3"}, []),
        ({"counts": {"a": 1e25}}, {"counts": {"a": int(1e25)}}, [f"counts.a was 1e+25 and was sent as {int(1e25)}"]),
    ],
)
def test_the_owners_schema_decides_on_repairs_inside_it_too(
    arguments: dict[str, Any], meant: dict[str, Any], repairs: list[str]
) -> None:
    assert OWN.validate(arguments) == (meant, repairs)
    assert json.dumps(OWN.validate(arguments)[0]) == json.dumps(meant)


@pytest.mark.parametrize(
    "sent",
    [
        {"arguments": {"prompt": "x"}},
        {"arguments": '{"prompt": "x"}'},
        {"arguments": '"{\\"prompt\\": \\"x\\"}"'},
        {"arguments": '```json\n{"prompt": "x"}\n```'},
        {"arguments": '{"arguments": {"prompt": "x"}}'},
        {"input": {"prompt": "x"}},
        {"input": '{"prompt": "x"}'},
        {"params": {"prompt": "x"}},
    ],
)
def test_arguments_in_a_wrapper_are_taken_out_of_it(sent: dict[str, Any]) -> None:
    ready, repairs = VALIDATORS["chat-completions"].validate(sent)

    assert ready == {"prompt": "x"}
    assert len(repairs) == 1
    assert f"in `{next(iter(sent))}`" in repairs[0]


def test_repairs_are_told_up_to_a_limit() -> None:
    ready, repairs = OWN.validate({"counts": {f"{index}": 1.0 for index in range(10_000)}})

    assert len(ready["counts"]) == 10_000
    assert len(repairs) == 11
    assert repairs[-1] == "more values were repaired likewise"


def test_a_repair_does_not_change_what_the_caller_holds() -> None:
    arguments = {"options": {"size": 3.0}, "steps": [{"size": 1.0}]}
    OWN.validate(arguments)

    assert json.dumps(arguments) == '{"options": {"size": 3.0}, "steps": [{"size": 1.0}]}'
