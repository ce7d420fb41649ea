"""The emulator's text APIs against what their providers document, over real connections on loopback."""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.apis.completions import tokens_of

pytestmark = pytest.mark.anyio

RESPONSES = "/demo/models/house-chat/v1/responses"
MESSAGES = "/demo/models/house-claude/v1/messages"
GEMINI = "/demo/models/house-gemini/v1beta/models/gemini-2.5-flash:generateContent"
GEMINI_STREAM = GEMINI.replace(":generate", ":streamGenerate")
COHERE = "/demo/models/house-cohere/v2/chat"

PNG = "iVBORw0KGgo="
HELLO = "Hello there"
SAID = 'You said: "Hello there" I read 1 message with 11 characters.'
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

# Built once: every client would otherwise read the certificates again, for connections that use none.
TLS = ssl.create_default_context()


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"X-Blaxel-Authorization": "Bearer demo-key"}
    async with httpx.AsyncClient(base_url=emulator.url, verify=TLS, headers=headers, timeout=30) as client:
        yield client


async def ask(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def events_of(response: httpx.Response) -> list[tuple[str | None, dict[str, Any]]]:
    """The events of a stream, each with its name where it has one."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = []
    for block in response.text.replace("\r\n", "\n").split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((fields.get("event"), json.loads(fields["data"])))
    return events


# What to ask in each API's own words


def responses(text: str = HELLO, /, **fields: Any) -> dict[str, Any]:
    return {"input": text, **fields}


def messages(text: str = HELLO, /, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 100, **fields}


def contents(text: str = HELLO, /, **fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}


def cohere(text: str = HELLO, /, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


def text_of_response(answer: dict[str, Any]) -> str:
    return "".join(part["text"] for item in answer["output"] for part in item["content"])


def text_of_message(answer: dict[str, Any]) -> str:
    return "".join(block["text"] for block in answer["content"] if block["type"] == "text")


def text_of_candidate(answer: dict[str, Any]) -> str:
    return "".join(part["text"] for part in answer["candidates"][0]["content"]["parts"] if not part.get("thought"))


def text_of_cohere(answer: dict[str, Any]) -> str:
    return "".join(block["text"] for block in answer["message"]["content"] if block["type"] == "text")


@dataclass(frozen=True)
class API:
    """One of the text APIs, as a test asks it."""

    path: str
    body: Callable[..., dict[str, Any]]
    text: Callable[[dict[str, Any]], str]


APIS = {
    "responses": API(RESPONSES, responses, text_of_response),
    "messages": API(MESSAGES, messages, text_of_message),
    "gemini": API(GEMINI, contents, text_of_candidate),
    "cohere": API(COHERE, cohere, text_of_cohere),
}


# Whole answers


@pytest.mark.parametrize(
    ("api", "question", "answer"),
    [
        (APIS["responses"], "What is 17 * 23?", "17 * 23 = 391"),
        (APIS["messages"], "Reverse the word: Blaxel", "lexalB"),
        (APIS["gemini"], "How many words are in one two three?", "I count 3 words."),
        (APIS["cohere"], HELLO, SAID),
    ],
    ids=APIS.keys(),
)
async def test_answer_is_computed_from_the_question(
    client: httpx.AsyncClient, api: API, question: str, answer: str
) -> None:
    assert api.text(await ask(client, api.path, api.body(question))) == answer


async def test_response_is_openais(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.now = lambda: 1_000.0
    answer = await ask(client, RESPONSES, responses(instructions="Be kind.", metadata={"a": "b"}, temperature=None))
    assert answer.pop("id").startswith("resp_")
    assert answer["output"][0].pop("id").startswith("msg_")
    said = 'You said: "Hello there" I read 2 messages with 19 characters.'
    assert answer == {
        "object": "response",
        "created_at": 1_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4o-mini",
        "output": [
            {
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": said, "annotations": [], "logprobs": []}],
            }
        ],
        "usage": {
            "input_tokens": 4,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 11,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 15,
        },
        "background": False,
        "instructions": "Be kind.",
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }


async def test_message_is_anthropics(client: httpx.AsyncClient) -> None:
    answer = await ask(client, MESSAGES, messages(model="claude-sonnet-4-5"))
    assert answer.pop("id").startswith("msg_")
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": SAID}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 11,
            "service_tier": "standard",
        },
    }


async def test_content_is_geminis(client: httpx.AsyncClient) -> None:
    answer = await ask(client, GEMINI, contents())
    assert len(answer.pop("responseId")) == 24
    assert answer == {
        "candidates": [
            {"content": {"parts": [{"text": SAID}], "role": "model"}, "finishReason": "STOP", "index": 0},
        ],
        "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 11, "totalTokenCount": 13},
        "modelVersion": "gemini-2.5-flash",
    }


async def test_chat_is_coheres(client: httpx.AsyncClient) -> None:
    answer = await ask(client, COHERE, cohere(model="command-a-03-2025"))
    assert len(answer.pop("id")) == 24
    tokens = {"input_tokens": 2, "output_tokens": 11}
    assert answer == {
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": SAID}]},
        "usage": {"billed_units": tokens, "tokens": tokens},
    }


WITH_IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": (
        RESPONSES,
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Look"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
                        {"type": "input_image", "file_id": "file-1"},
                    ],
                }
            ]
        },
    ),
    "messages": (
        MESSAGES,
        messages()
        | {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.jpg"}},
                        {"type": "text", "text": "Look"},
                    ],
                }
            ]
        },
    ),
    "gemini": (
        GEMINI,
        {
            "contents": [
                {
                    "parts": [
                        {"inline_data": {"mime_type": "image/png", "data": PNG}},
                        {"fileData": {"fileUri": "https://example.com/cat.jpg"}},
                        {"text": "Look"},
                    ]
                }
            ]
        },
    ),
    "cohere": (
        COHERE,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look"},
                        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg", "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                    ],
                }
            ]
        },
    ),
}


@pytest.mark.parametrize(("path", "body"), WITH_IMAGES.values(), ids=WITH_IMAGES.keys())
async def test_images_are_counted(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    text = next(api.text for api in APIS.values() if api.path == path)
    assert text(await ask(client, path, body)) == 'You said: "Look" I read 1 message with 4 characters and 2 images.'


LIMITED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "messages: length": (MESSAGES, messages(max_tokens=3), 'You said: "Hello', "max_tokens"),
    "messages: stop": (MESSAGES, messages(stop_sequences=["read", " there"]), 'You said: "Hello', "stop_sequence"),
    "gemini: stop": (GEMINI, contents(generation_config={"stop_sequences": [" there"]}), 'You said: "Hello', "STOP"),
    "cohere: length": (COHERE, cohere(max_tokens=3), 'You said: "Hello', "MAX_TOKENS"),
}


def ending_of(answer: dict[str, Any]) -> str:
    candidate = answer.get("candidates", [answer])[0]
    reason: str = candidate.get("stop_reason") or candidate.get("finishReason") or candidate.get("finish_reason")
    return reason


@pytest.mark.parametrize(("path", "body", "text", "reason"), LIMITED.values(), ids=LIMITED.keys())
async def test_answer_ends_at_its_limits_and_says_why(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], text: str, reason: str
) -> None:
    answer = await ask(client, path, body)
    read = next(api.text for api in APIS.values() if api.path == path)
    assert (read(answer), ending_of(answer)) == (text, reason)


async def test_the_stop_text_that_ended_a_message_is_named(client: httpx.AsyncClient) -> None:
    answer = await ask(client, MESSAGES, messages(stop_sequences=["read", " there"]))
    assert answer["stop_sequence"] == " there"


async def test_response_that_is_cut_is_incomplete(client: httpx.AsyncClient) -> None:
    answer = await ask(client, RESPONSES, responses("word " * 40, max_output_tokens=16))
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (answer["output"][0]["status"], answer["usage"]["output_tokens"]) == ("incomplete", 16)


JSON_MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": (
        RESPONSES,
        responses(text={"format": {"type": "json_schema", "name": "place", "schema": PARAMETERS}}),
    ),
    "messages": (MESSAGES, messages(output_config={"format": {"type": "json_schema", "schema": PARAMETERS}})),
    "gemini: JSON Schema": (
        GEMINI,
        contents(generationConfig={"responseMimeType": "application/json", "responseJsonSchema": PARAMETERS}),
    ),
    "gemini: its own dialect": (
        GEMINI,
        contents(
            generationConfig={
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
            }
        ),
    ),
    "cohere": (COHERE, cohere(response_format={"type": "json_object", "json_schema": PARAMETERS})),
}


@pytest.mark.parametrize(("path", "body"), JSON_MODES.values(), ids=JSON_MODES.keys())
async def test_json_is_answered_by_its_schema(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    text = next(api.text for api in APIS.values() if api.path == path)
    assert json.loads(text(await ask(client, path, body))) == {"city": SAID}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESPONSES, responses("Any json", text={"format": {"type": "json_object"}})),
        (GEMINI, contents("Any json", generationConfig={"responseMimeType": "application/json"})),
        (COHERE, cohere("Any json", response_format={"type": "json_object"})),
    ],
    ids=["responses", "gemini", "cohere"],
)
async def test_json_without_a_schema_is_an_object(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    text = next(api.text for api in APIS.values() if api.path == path)
    assert list(json.loads(text(await ask(client, path, body)))) == ["answer"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESPONSES, responses("word " * 40, max_output_tokens=16.0)),
        (MESSAGES, messages(max_tokens=3.0)),
        (GEMINI, contents(generationConfig={"maxOutputTokens": 3.0, "candidateCount": 1.0})),
        (COHERE, cohere(max_tokens=3.0)),
    ],
    ids=APIS.keys(),
)
async def test_limit_may_be_written_with_a_decimal_point(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    read = next(api.text for api in APIS.values() if api.path == path)
    assert read(await ask(client, path, body)).startswith('You said: "')


# Tools

RESPONSES_TOOLS = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
MESSAGES_TOOLS = [{"name": "weather", "description": "The weather.", "input_schema": PARAMETERS}]
GEMINI_TOOLS = [
    {
        "functionDeclarations": [
            {"name": "other"},
            {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
        ]
    }
]
COHERE_TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
GEMINI_FORCED = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}

FORCED: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": (RESPONSES, responses(tools=RESPONSES_TOOLS, tool_choice="required")),
    "messages": (MESSAGES, messages(tools=MESSAGES_TOOLS, tool_choice={"type": "tool", "name": "weather"})),
    "gemini": (GEMINI, contents(tools=GEMINI_TOOLS, toolConfig=GEMINI_FORCED)),
    "cohere": (COHERE, cohere(tools=COHERE_TOOLS, tool_choice="REQUIRED")),
}


async def test_forced_function_is_an_output_item_of_a_response(client: httpx.AsyncClient) -> None:
    item = (await ask(client, *FORCED["responses"]))["output"][0]
    assert item.pop("id").startswith("fc_")
    assert item == {
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "weather",
        "arguments": '{"city": "Hello there"}',
    }


async def test_forced_tool_is_used_in_a_message(client: httpx.AsyncClient) -> None:
    answer = await ask(client, *FORCED["messages"])
    block = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": HELLO}}
    assert (answer["content"], answer["stop_reason"]) == ([block], "tool_use")


async def test_forced_function_is_a_part_of_a_candidate(client: httpx.AsyncClient) -> None:
    answer = await ask(client, *FORCED["gemini"])
    parts = [{"functionCall": {"name": "weather", "args": {"city": HELLO}}}]
    assert (answer["candidates"][0]["content"]["parts"], ending_of(answer)) == (parts, "STOP")


async def test_forced_tool_is_called_by_cohere_with_a_plan(client: httpx.AsyncClient) -> None:
    answer = await ask(client, *FORCED["cohere"])
    function = {"name": "weather", "arguments": '{"city": "Hello there"}'}
    assert answer["finish_reason"] == "TOOL_CALL"
    assert answer["message"] == {
        "role": "assistant",
        "tool_plan": "I will call weather.",
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESPONSES, responses(tools=[*RESPONSES_TOOLS, {"type": "web_search"}], tool_choice="auto")),
        (MESSAGES, messages(tools=[*MESSAGES_TOOLS, {"type": "web_search_20250305", "name": "web_search"}])),
        (GEMINI, contents(tools=[*GEMINI_TOOLS, {"google_search": {}}])),
        (COHERE, cohere(tools=COHERE_TOOLS, tool_choice="NONE")),
    ],
    ids=APIS.keys(),
)
async def test_tool_that_is_not_forced_is_not_called(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    text = next(api.text for api in APIS.values() if api.path == path)
    assert text(await ask(client, path, body)) == SAID


TOOL_ROUNDS: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": (
        RESPONSES,
        {
            "input": [
                {"role": "user", "content": "2 + 2"},
                {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "4"},
            ]
        },
    ),
    "messages": (
        MESSAGES,
        {
            "max_tokens": 100,
            "messages": [
                {"role": "user", "content": "Add."},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "add", "input": {}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "2 + 2"}]}
                    ],
                },
            ],
        },
    ),
    "gemini": (
        GEMINI,
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "add", "args": {"some_arg": 1}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "add", "response": {"sum": 4}}}, {"text": "2 + 2"}],
                },
            ]
        },
    ),
    "cohere": (
        COHERE,
        {
            "messages": [
                {"role": "user", "content": "2 + 2"},
                {
                    "role": "assistant",
                    "tool_plan": "Add.",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"data": "4"}}]},
            ]
        },
    ),
}


@pytest.mark.parametrize(("path", "body"), TOOL_ROUNDS.values(), ids=TOOL_ROUNDS.keys())
async def test_calls_and_results_of_tools_are_part_of_a_conversation(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    text = next(api.text for api in APIS.values() if api.path == path)
    assert text(await ask(client, path, body)) == "2 + 2 = 4"


# What only one API has


async def test_response_goes_on_from_an_earlier_one(client: httpx.AsyncClient) -> None:
    first = await ask(client, RESPONSES, responses("2 + 2"))
    second = await ask(client, RESPONSES, responses("3 + 3", previous_response_id=first["id"]))
    third = await ask(client, RESPONSES, responses(previous_response_id=second["id"]))
    # 2 + 2, 2 + 2 = 4, 3 + 3, 3 + 3 = 6 and the last question
    assert text_of_response(third) == 'You said: "Hello there" I read 5 messages with 39 characters.'
    assert third["previous_response_id"] == second["id"]


@pytest.mark.parametrize("stored", [True, False], ids=["unknown", "not stored"])
async def test_response_that_is_not_kept_cannot_be_gone_on_from(client: httpx.AsyncClient, stored: bool) -> None:
    first = await ask(client, RESPONSES, responses(store=stored))
    previous = "resp_other" if stored else first["id"]
    response = await client.post(RESPONSES, json=responses(previous_response_id=previous))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "previous_response_not_found")
    assert error["param"] == "previous_response_id"


async def test_summary_of_the_reasoning_comes_before_the_text_of_a_response(client: httpx.AsyncClient) -> None:
    answer = await ask(client, RESPONSES, responses(reasoning={"effort": "low", "summary": "auto"}))
    reasoning, message = answer["output"]
    summary = [{"type": "summary_text", "text": "The conversation has 2 words. I answer its last message."}]
    assert (reasoning["type"], reasoning["summary"], message["type"]) == ("reasoning", summary, "message")
    assert answer["usage"]["output_tokens"] == 21
    assert answer["usage"]["output_tokens_details"] == {"reasoning_tokens": 10}


async def test_thinking_comes_before_the_text_of_a_message(client: httpx.AsyncClient) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = await ask(client, MESSAGES, messages(thinking=thinking, max_tokens=2000))
    thought, text = answer["content"]
    assert thought["thinking"] == "The conversation has 2 words. I answer its last message."
    assert (thought["type"], len(thought["signature"]), text) == ("thinking", 64, {"type": "text", "text": SAID})
    assert answer["usage"]["output_tokens"] == 21


async def test_thoughts_of_gemini_are_shown_when_asked_for(client: httpx.AsyncClient) -> None:
    answer = await ask(client, GEMINI, contents(generationConfig={"thinkingConfig": {"includeThoughts": True}}))
    thought, text = answer["candidates"][0]["content"]["parts"]
    assert (thought["thought"], text) == (True, {"text": SAID})
    assert answer["usageMetadata"] == {
        "promptTokenCount": 2,
        "candidatesTokenCount": 11,
        "totalTokenCount": 23,
        "thoughtsTokenCount": 10,
    }


async def test_several_candidates_are_given_and_counted(client: httpx.AsyncClient) -> None:
    answer = await ask(client, GEMINI, contents(generationConfig={"candidateCount": 2}))
    assert [candidate["index"] for candidate in answer["candidates"]] == [0, 1]
    assert answer["usageMetadata"]["candidatesTokenCount"] == 22


async def test_documents_are_read_by_cohere(client: httpx.AsyncClient) -> None:
    answer = await ask(client, COHERE, cohere(documents=["one", {"id": "b", "data": {"text": "two"}}]))
    assert text_of_cohere(answer) == 'You said: "Hello there" I read 3 messages with 17 characters.'


# Refusals


def _anthropic(content: Any) -> dict[str, Any]:
    return messages() | {"messages": [{"role": "user", "content": content}]}


def _image(**source: Any) -> dict[str, Any]:
    return _anthropic([{"type": "image", "source": source}])


REFUSED_MESSAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no max_tokens": ({"messages": [{"role": "user", "content": "a"}]}, "max_tokens: Field required"),
    "no message": (messages() | {"messages": []}, "messages: Input should be an array of at least 1"),
    "unknown field": (messages(n=2), "n: Extra inputs are not permitted"),
    "system as a role": (
        {"messages": [{"role": "system", "content": "a"}], "max_tokens": 1},
        "messages.0.role: Input should be one of user, assistant",
    ),
    "null": (messages(temperature=None), "temperature: Input should be number"),
    "too warm": (messages(temperature=1.5), "temperature: Input should be a number of at most 1"),
    "empty text": (
        _anthropic([{"type": "text", "text": ""}]),
        "messages.0.content.0.text: Input should be a text that is not empty",
    ),
    "another provider's image": (
        _anthropic([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]),
        (
            "messages.0.content.0.type: Input should be one of text, image, document, tool_use, tool_result, thinking, "
            "redacted_thinking, search_result, server_tool_use, web_search_tool_result, web_fetch_tool_result"
        ),
    ),
    "data URL in base64": (
        _image(type="base64", media_type="image/png", data="data:image/png;base64,AAAA"),
        "messages.0.content.0.source.data: Input should be a text in the documented form",
    ),
    "image of another type": (
        _image(type="base64", media_type="image/tiff", data=PNG),
        "messages.0.content.0.source.media_type: Input should be one of image/jpeg, image/png, image/gif, image/webp",
    ),
    "result of a tool that was not used": (
        _anthropic([{"type": "tool_result", "tool_use_id": "c", "content": "4"}]),
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: c",
    ),
    "tool in OpenAI's shape": (messages(tools=[*COHERE_TOOLS, {}]), "tools.1.name: Field required"),
    "tool that is not there": (
        messages(tools=MESSAGES_TOOLS, tool_choice={"type": "tool", "name": "f"}),
        "Tool 'f' not found in provided tools",
    ),
    "schema of no object": (
        messages(tools=[{"name": "f", "input_schema": {"type": "string"}}]),
        "tools.0.input_schema.type: Input should be object",
    ),
    "broken schema": (
        messages(tools=[{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "text"}}}}]),
        "tools.0.input_schema.properties.a.type: Input should be a valid JSON Schema",
    ),
    "budget over max_tokens": (
        messages(thinking={"type": "enabled", "budget_tokens": 1024}),
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    "thinking warmly": (
        messages(thinking={"type": "adaptive"}, temperature=0),
        "`temperature` may only be set to 1 when thinking is enabled.",
    ),
    "thinking with a forced tool": (
        messages(thinking={"type": "adaptive"}, tools=MESSAGES_TOOLS, tool_choice={"type": "any"}),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED_MESSAGES.values(), ids=REFUSED_MESSAGES.keys())
async def test_body_that_anthropic_refuses_is_refused_in_its_shape(
    client: httpx.AsyncClient, body: dict[str, Any], message: str
) -> None:
    response = await client.post(MESSAGES, json=body)
    refusal = response.json()
    assert (response.status_code, refusal.pop("request_id")[:4]) == (400, "req_")
    assert refusal == {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


REFUSED_CONTENTS: dict[str, tuple[dict[str, Any], str]] = {
    "no contents": ({}, "* GenerateContentRequest.contents: contents is not specified\n"),
    "no content": ({"contents": []}, "Invalid value at 'contents': expected an array of at least 1."),
    "unknown field": (
        contents(prompt="a"),
        'Invalid JSON payload received. Unknown name "prompt": Cannot find field.',
    ),
    "unknown field within": (
        {"contents": [{"role": "user", "content": "a", "parts": [{"text": "a"}]}]},
        "Invalid JSON payload received. Unknown name \"content\" at 'contents[0]': Cannot find field.",
    ),
    "another provider's role": (
        {"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]},
        "Invalid value at 'contents[0].role': expected one of user, model, function.",
    ),
    "too many tokens to stop at": (
        contents(generationConfig={"stopSequences": list("abcdef")}),
        "Invalid value at 'generationConfig.stopSequences': expected an array of at most 5.",
    ),
    "keyword outside its dialect": (
        contents(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"additionalProperties": {}}}]}]),
        (
            'Invalid JSON payload received. Unknown name "additionalProperties" at '
            "'tools[0].functionDeclarations[0].parameters': Cannot find field."
        ),
    ),
    "image that is no base64": (
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "@"}}]}]},
        "Invalid value at 'contents[0].parts[0].inlineData.data': expected a text in the documented form.",
    ),
    "schema without JSON": (
        contents(generationConfig={"responseSchema": {"type": "STRING"}}),
        "Function calling config or schema is only supported with mime type application/json.",
    ),
    "forced function that is not there": (
        contents(toolConfig={"functionCallingConfig": {"mode": "ANY"}}),
        "Function calling mode ANY needs a function that is declared and allowed.",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED_CONTENTS.values(), ids=REFUSED_CONTENTS.keys())
async def test_body_that_gemini_refuses_is_refused_in_its_shape(
    client: httpx.AsyncClient, body: dict[str, Any], message: str
) -> None:
    response = await client.post(GEMINI, json=body)
    assert (response.status_code, response.json()) == (
        400,
        {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}},
    )


REFUSED_COHERE: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({}, "invalid request: parameter 'messages' is required"),
    "no message": ({"messages": []}, "invalid request: parameter 'messages' must be an array of at least 1"),
    "unknown field": (cohere(top_p=1), "unknown field: parameter 'top_p' is not a valid field"),
    "no content": ({"messages": [{"role": "user"}]}, "invalid request: parameter 'messages[0].content' is required"),
    "another provider's role": (
        {"messages": [{"role": "developer", "content": "a"}]},
        "invalid request: parameter 'messages[0].role' must be one of system, user, assistant, tool",
    ),
    "choice without tools": (
        cohere(tool_choice="REQUIRED"),
        "invalid request: tool_choice can only be set if tools are provided",
    ),
    "JSON from documents": (
        cohere(response_format={"type": "json_object"}, documents=["a"]),
        "invalid request: response_format cannot be used with tools or documents",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED_COHERE.values(), ids=REFUSED_COHERE.keys())
async def test_body_that_cohere_refuses_is_refused_in_its_shape(
    client: httpx.AsyncClient, body: dict[str, Any], message: str
) -> None:
    response = await client.post(COHERE, json=body)
    assert (response.status_code, response.json().keys()) == (400, {"id", "message"})
    assert response.json()["message"] == message


REFUSED_RESPONSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({}, "missing_required_parameter", "input"),
    "unknown field": (responses(max_tokens=5), "unknown_parameter", "max_tokens"),
    "chat's part": (
        {"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        "invalid_value",
        "input[0].content[0].type",
    ),
    "part without text": (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "missing_required_parameter",
        "input[0].content[0].text",
    ),
    "image without a source": (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "missing_required_parameter",
        "input[0].content[0].image_url",
    ),
    "too few tokens": (responses(max_output_tokens=15), "invalid_value", "max_output_tokens"),
    "chat's tool": (responses(tools=COHERE_TOOLS), "missing_required_parameter", "tools[0].name"),
    "tool that is not there": (responses(tool_choice="required"), "invalid_value", "tool_choice"),
    "JSON that nobody mentions": (responses(text={"format": {"type": "json_object"}}), "invalid_value", "input"),
}


@pytest.mark.parametrize(("body", "code", "param"), REFUSED_RESPONSES.values(), ids=REFUSED_RESPONSES.keys())
async def test_body_that_openai_refuses_is_refused_in_its_shape(
    client: httpx.AsyncClient, body: dict[str, Any], code: str, param: str
) -> None:
    response = await client.post(RESPONSES, json=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


@pytest.mark.parametrize("name", ["conversation", "prompt"])
async def test_what_openai_would_have_stored_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post(RESPONSES, json=responses() | {name: {"id": "x_1"}})
    assert (response.status_code, response.json()["error"]["param"]) == (404, name)


@pytest.mark.parametrize("api", [APIS["responses"], APIS["messages"], APIS["cohere"]], ids=lambda api: api.path)
async def test_another_model_is_not_found(client: httpx.AsyncClient, api: API) -> None:
    response = await client.post(api.path, json=api.body(model="other"))
    assert response.status_code == 404
    assert "other" in response.text


async def test_model_that_cannot_chat_is_refused(client: httpx.AsyncClient) -> None:
    embedder = await client.post(RESPONSES.replace("house-chat", "house-embed"), json=responses())
    assert embedder.status_code == 404


async def test_body_that_nests_without_end_is_refused(client: httpx.AsyncClient) -> None:
    schema = '{"properties":{"a":' * 300 + '{"type":"string"}' + "}}" * 300
    body = '{"messages":[{"role":"user","content":"a"}],"max_tokens":5,"tools":[{"name":"f","input_schema":%s}]}'
    content = body % schema.replace("{", '{"type":"object",', 1)
    response = await client.post(MESSAGES, content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


# Streams


def response_of(events: list[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    """The response that the events build, of which only the last holds the whole."""
    assert [event["sequence_number"] for _, event in events] == list(range(len(events)))
    kinds = [name for name, _ in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    output: list[dict[str, Any]] = []
    for _, event in events[:-1]:
        match event:
            case {"type": "response.output_item.added", "item": item}:
                output.append(item)
            case {"type": "response.content_part.added", "part": part, "output_index": index}:
                output[index]["content"].append(part)
            case {"type": "response.output_text.delta", "delta": delta, "output_index": index, "content_index": part}:
                output[index]["content"][part]["text"] += delta
            case {"type": "response.reasoning_summary_part.added", "part": part, "output_index": index}:
                output[index]["summary"].append(part)
            case {"type": "response.reasoning_summary_text.delta", "delta": delta, "output_index": index}:
                output[index]["summary"][event["summary_index"]]["text"] += delta
            case {"type": "response.function_call_arguments.delta", "delta": delta, "output_index": index}:
                output[index]["arguments"] += delta
            case {"type": "response.output_item.done", "item": item, "output_index": index}:
                assert output[index] | {"status": item.get("status")} == {"status": None} | item
                output[index] = item
    last: dict[str, Any] = events[-1][1]["response"]
    assert last["output"] == output
    assert events[0][1]["response"]["status"] == "in_progress"
    return last


def message_of(events: list[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    """The message that the events build."""
    message: dict[str, Any] = events[0][1]["message"]
    fragments = ""
    for _, event in events:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block)
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": piece}}:
                fragments += piece
            case {"type": "content_block_delta", "index": index, "delta": {"type": kind, **pieces}}:
                assert kind == f"{next(iter(pieces))}_delta"
                for name, piece in pieces.items():
                    message["content"][index][name] += piece
            case {"type": "content_block_stop", "index": index} if fragments:
                message["content"][index]["input"] = json.loads(fragments)
            case {"type": "message_delta", "delta": ending, "usage": usage}:
                message |= ending
                message["usage"] |= usage
    return message


def content_of(events: list[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    """The response that the chunks build."""
    candidates: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for _, chunk in events:
        whole |= chunk
        for candidate in chunk["candidates"]:
            parts = candidates.setdefault(candidate["index"], {"content": {"parts": [], "role": "model"}})
            joined = parts["content"]["parts"]
            for part in candidate["content"]["parts"]:
                same = joined and "text" in part and joined[-1].get("thought") == part.get("thought")
                if same:
                    joined[-1]["text"] += part["text"]
                else:
                    joined.append({**part})
            parts |= {name: value for name, value in candidate.items() if name != "content"}
    return whole | {"candidates": list(candidates.values())}


def chat_of(events: list[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    """The answer of Cohere that the events build."""
    message: dict[str, Any] = {"role": "assistant"}
    for _, event in events:
        match event:
            case {"type": "content-start", "delta": {"message": {"content": block}}}:
                message.setdefault("content", []).append(block)
            case {"type": "content-delta", "index": index, "delta": {"message": {"content": pieces}}}:
                for name, piece in pieces.items():
                    message["content"][index][name] += piece
            case {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}:
                message["tool_plan"] = message.get("tool_plan", "") + piece
            case {"type": "tool-call-start", "delta": {"message": {"tool_calls": call}}}:
                message.setdefault("tool_calls", []).append(call)
            case {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": call}}}:
                message["tool_calls"][index]["function"]["arguments"] += call["function"]["arguments"]
    return {"id": events[0][1]["id"], "message": message, **events[-1][1]["delta"]}


THINKING = {"type": "enabled", "budget_tokens": 1024}
STREAMS: dict[str, tuple[str, dict[str, Any], Callable[..., dict[str, Any]]]] = {
    "responses: text": (RESPONSES, responses(), response_of),
    "responses: reasoning": (RESPONSES, responses(reasoning={"effort": "low", "summary": "auto"}), response_of),
    "responses: function": (*FORCED["responses"], response_of),
    "responses: cut": (RESPONSES, responses("word " * 40, max_output_tokens=16), response_of),
    "messages: text": (MESSAGES, messages(), message_of),
    "messages: tool": (*FORCED["messages"], message_of),
    "messages: thinking": (MESSAGES, messages(thinking=THINKING, max_tokens=2000), message_of),
    "messages: cut": (MESSAGES, messages(max_tokens=3), message_of),
    "cohere: text": (COHERE, cohere(), chat_of),
    "cohere: tool": (*FORCED["cohere"], chat_of),
    "cohere: thinking": (COHERE, cohere(thinking={"type": "enabled"}), chat_of),
}


@pytest.mark.parametrize(("path", "body", "build"), STREAMS.values(), ids=STREAMS.keys())
async def test_named_events_add_up_to_the_whole_answer(
    client: httpx.AsyncClient,
    emulator: Emulator,
    path: str,
    body: dict[str, Any],
    build: Callable[..., dict[str, Any]],
) -> None:
    emulator.now = lambda: 1_000.0
    whole = await ask(client, path, body)
    events = events_of(await client.post(path, json=body | {"stream": True}))
    built = build(events)
    assert [name for name, _ in events] == [event["type"] for _, event in events]
    assert _without_ids(built) == _without_ids(whole)


def _without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer less the ids, which stand for the whole body and so for `stream` too."""
    output = [{**item, "id": ""} for item in answer.get("output", ())]
    return {**answer, "id": "", "output": output}


GEMINI_STREAMS: dict[str, dict[str, Any]] = {
    "text": contents(),
    "thoughts": contents(generationConfig={"thinkingConfig": {"includeThoughts": True}}),
    "function": FORCED["gemini"][1],
    "two candidates": contents(generationConfig={"candidateCount": 2}),
    "cut": contents(generationConfig={"maxOutputTokens": 3}),
}


@pytest.mark.parametrize("body", GEMINI_STREAMS.values(), ids=GEMINI_STREAMS.keys())
async def test_pieces_of_gemini_add_up_to_the_whole_answer(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    whole = await ask(client, GEMINI, body)
    events = events_of(await client.post(f"{GEMINI_STREAM}?alt=sse", json=body))
    array = await client.post(GEMINI_STREAM, json=body)
    assert content_of(events) == whole
    assert {name for name, _ in events} == {None}
    assert array.headers["content-type"] == "application/json"
    assert array.json() == [chunk for _, chunk in events]


async def test_message_stream_begins_empty_and_is_kept_alive(client: httpx.AsyncClient) -> None:
    events = events_of(await client.post(MESSAGES, json=messages(stream=True)))
    start = events[0][1]["message"]
    assert (start["content"], start["stop_reason"], start["usage"]["input_tokens"]) == ([], None, 2)
    assert [name for name, _ in events[:3]] == ["message_start", "ping", "content_block_start"]
    assert [name for name, _ in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]


async def test_stream_that_is_cut_ends_in_an_event_of_its_own(client: httpx.AsyncClient) -> None:
    events = events_of(await client.post(RESPONSES, json=responses("word " * 40, max_output_tokens=16, stream=True)))
    assert events[-1][0] == "response.incomplete"


async def test_refusal_of_a_stream_is_no_stream(client: httpx.AsyncClient) -> None:
    response = await client.post(MESSAGES, json={"stream": True})
    assert (response.status_code, response.headers["content-type"]) == (400, "application/json")


def test_white_space_at_the_end_of_a_text_is_looked_at_once() -> None:
    """Each of its characters would be tried up to the end otherwise: minutes for these."""
    assert tokens_of("one two" + " " * 1_000_000) == ["one", " two"]
