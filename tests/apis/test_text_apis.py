"""The APIs that answer in text: the body that goes out for what an agent fills in, and the text in what comes back."""

import json
from typing import Any

import pytest

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.base import FileData, FileURL, ModelAPI
from blaxel_mcp.apis.conversations import DEFAULT_MAX_TOKENS, ChatCompletions, CohereChat, Messages, Responses
from blaxel_mcp.apis.generate_content import GenerateContent
from blaxel_mcp.core.exceptions import InvalidArgumentsError

CHAT, RESPONSES, MESSAGES, GEMINI, COHERE = (
    ChatCompletions(),
    Responses(),
    Messages(),
    GenerateContent(),
    CohereChat(),
)
TEXT_APIS: tuple[ModelAPI, ...] = (CHAT, RESPONSES, MESSAGES, GEMINI, COHERE)
each_api = pytest.mark.parametrize("api", TEXT_APIS, ids=[api.name for api in TEXT_APIS])

PICTURE = FileData(name="dot.png", media_type="image/png", data=b"\x89PNG")
LINK = FileURL("https://example.com/cat.jpg")

DATA_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
LINK_PART = {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}}
DATA_BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
LINK_BLOCK = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.jpg"}}
GEMINI_DATA = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
GEMINI_LINK = {"fileData": {"fileUri": "https://example.com/cat.jpg"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("api", "arguments", "body"),
    [
        pytest.param(
            CHAT,
            {"prompt": "Which?", "images": [PICTURE, LINK], "system": "Be brief."},
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    user([{"type": "text", "text": "Which?"}, DATA_PART, LINK_PART]),
                ]
            },
            id="chat: images come after the prompt, as parts",
        ),
        pytest.param(CHAT, {"images": [LINK]}, {"messages": [user([LINK_PART])]}, id="chat: images alone"),
        pytest.param(
            CHAT, {"prompt": "Hi", "images": []}, {"messages": [user("Hi")]}, id="chat: no images leave the text a text"
        ),
        pytest.param(
            MESSAGES,
            {"prompt": "Hi", "system": "Be brief.", "max_tokens": 9, "x_extra": [None]},
            {"messages": [user("Hi")], "system": "Be brief.", "max_tokens": 9, "x_extra": [None]},
            id="messages: system is a field and other fields pass through",
        ),
        pytest.param(
            MESSAGES,
            {"prompt": "Which?", "images": [PICTURE, LINK]},
            {"messages": [user([DATA_BLOCK, LINK_BLOCK, {"type": "text", "text": "Which?"}])]},
            id="messages: images come before the prompt",
        ),
        pytest.param(MESSAGES, {"images": [PICTURE]}, {"messages": [user([DATA_BLOCK])]}, id="messages: images alone"),
        pytest.param(
            MESSAGES,
            {"messages": [user("a"), {"role": "assistant", "content": "b"}], "prompt": "c"},
            {"messages": [user("a"), {"role": "assistant", "content": "b"}, user("c")]},
            id="messages: a prompt goes on from the messages",
        ),
        pytest.param(
            GEMINI,
            {"prompt": "Hi", "system": "Be brief.", "generationConfig": {"maxOutputTokens": 9}, "x_extra": 1},
            {
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "generationConfig": {"maxOutputTokens": 9},
                "x_extra": 1,
            },
            id="gemini: system is the instruction and other fields pass through",
        ),
        pytest.param(
            GEMINI,
            {"prompt": "Which?", "images": [PICTURE, LINK]},
            {"contents": [{"role": "user", "parts": [GEMINI_DATA, GEMINI_LINK, {"text": "Which?"}]}]},
            id="gemini: images come before the prompt",
        ),
        pytest.param(
            GEMINI,
            {"images": [LINK]},
            {"contents": [{"role": "user", "parts": [GEMINI_LINK]}]},
            id="gemini: images alone",
        ),
        pytest.param(
            GEMINI,
            {"contents": [{"role": "model", "parts": [{"text": "b"}]}], "prompt": "c"},
            {
                "contents": [
                    {"role": "model", "parts": [{"text": "b"}]},
                    {"role": "user", "parts": [{"text": "c"}]},
                ]
            },
            id="gemini: a prompt goes on from the contents",
        ),
        pytest.param(
            COHERE,
            {"prompt": "c", "system": "Be brief.", "messages": [user("a")], "k": 3},
            {"messages": [{"role": "system", "content": "Be brief."}, user("a"), user("c")], "k": 3},
            id="cohere: system comes first, the prompt last",
        ),
    ],
)
def test_shorthand_becomes_the_body_of_the_api(api: ModelAPI, arguments: dict[str, Any], body: dict[str, Any]) -> None:
    assert api.body(arguments) == body


PASSED_THROUGH: dict[str, tuple[ModelAPI, dict[str, Any]]] = {
    "chat: tool calls and their results": (
        CHAT,
        {
            "messages": [
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "4"}]},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "reasoning_effort": "low",
        },
    ),
    "responses: a text": (RESPONSES, {"input": "[1, 2]", "instructions": "Be brief.", "max_output_tokens": 16}),
    "responses: items": (
        RESPONSES,
        {
            "input": [
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "4"},
                user([{"type": "input_image", "image_url": "https://example.com/a.png"}]),
            ],
            "text": {"format": {"type": "json_object"}},
            "reasoning": {"effort": "low"},
            "store": False,
        },
    ),
    "responses: no input": (RESPONSES, {"previous_response_id": "resp_1"}),
    "messages: blocks": (
        MESSAGES,
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
                user([{"type": "tool_result", "tool_use_id": "1", "content": "4"}]),
            ],
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        },
    ),
    "gemini: calls and their results": (
        GEMINI,
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "eA=="}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"sum": 4}}}]},
            ],
            "tools": [{"googleSearch": {}}],
        },
    ),
    "cohere: calls, results and documents": (
        COHERE,
        {
            "messages": [
                {"role": "assistant", "tool_plan": "Add.", "tool_calls": [{"id": "1", "type": "function"}]},
                {"role": "tool", "tool_call_id": "1", "content": [{"type": "document", "document": {"data": "4"}}]},
            ],
            "documents": ["a", {"id": "b", "data": {"text": "c"}}],
        },
    ),
}


@pytest.mark.parametrize(("api", "arguments"), PASSED_THROUGH.values(), ids=PASSED_THROUGH.keys())
def test_what_the_api_itself_takes_is_accepted_and_goes_out_untouched(api: ModelAPI, arguments: dict[str, Any]) -> None:
    validator = ArgumentValidator(api.accepted_schema(), advertised=api.input_schema(), owner=api.name)
    ready, repairs = validator.validate(arguments)

    assert (api.body(ready), repairs) == (arguments, [])
    api.check(api.body(ready))


@each_api
def test_images_are_the_arguments_that_name_files(api: ModelAPI) -> None:
    assert api.file_arguments == (("images",) if "images" in api.input_schema()["properties"] else ())


def test_a_conversation_that_was_given_is_not_changed() -> None:
    messages = [user("a")]

    CHAT.body({"messages": messages, "prompt": "b"})

    assert messages == [user("a")]


@pytest.mark.parametrize(
    ("api", "arguments"),
    [
        (CHAT, {"max_tokens": 5}),
        (RESPONSES, {"instructions": "Be brief.", "input": ""}),
        (RESPONSES, {"prompt": "Why?"}),
        (MESSAGES, {"system": "Be brief."}),
        (GEMINI, {"system": "Be brief."}),
        (COHERE, {"messages": []}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_request_with_nothing_to_answer_is_refused(api: ModelAPI, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentsError, match=r"^There is no"):
        api.check(api.body(arguments))


@pytest.mark.parametrize(("api", "name"), [(CHAT, "messages"), (MESSAGES, "messages"), (GEMINI, "contents")])
def test_a_conversation_of_any_type_is_no_crash(api: ModelAPI, name: str) -> None:
    """A schema in the settings decides what is let through, and may leave the type open."""
    assert len(api.body({name: {"role": "user"}, "prompt": "b"})[name]) == 2
    assert len(api.body({name: None, "prompt": "b"})[name]) == 1
    for value in ("a", 5, True):
        with pytest.raises(InvalidArgumentsError, match=f"`{name}` has to be an array"):
            api.body({name: value, "prompt": "b"})


def test_a_question_under_a_wrong_name_is_told_by_that_name() -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        CHAT.check(CHAT.body({"promt": "Hi", "messages": []}))

    assert str(refused.value) == (
        "There is no message for the model to answer. "
        "Set `prompt` to the question, or `messages` to the conversation; the request has `promt` instead."
    )


def test_two_instructions_for_gemini_are_refused() -> None:
    with pytest.raises(InvalidArgumentsError, match="Use only one of them"):
        GEMINI.body({"prompt": "a", "system": "b", "systemInstruction": {"parts": [{"text": "c"}]}})


@pytest.mark.parametrize(
    ("body", "max_tokens"),
    [
        pytest.param({}, DEFAULT_MAX_TOKENS, id="absent"),
        pytest.param({"max_tokens": 5}, 5, id="given"),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 9000}}, 9000 + DEFAULT_MAX_TOKENS, id="thinking"
        ),
        pytest.param({"thinking": {"type": "adaptive"}}, DEFAULT_MAX_TOKENS, id="thinking without a budget"),
    ],
)
def test_messages_go_out_with_the_max_tokens_that_the_api_requires(body: dict[str, Any], max_tokens: int) -> None:
    encoded = MESSAGES.encode({"messages": [user("Hi")], **body})

    assert json.loads(encoded.content) == {"messages": [user("Hi")], **body, "max_tokens": max_tokens}
    assert encoded.content_type == "application/json"


def test_messages_name_the_version_of_the_api() -> None:
    assert MESSAGES.headers == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("provider_model", "path"),
    [("gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"), (None, None), ("", None)],
)
def test_the_path_of_gemini_names_the_providers_model(provider_model: str | None, path: str | None) -> None:
    assert GEMINI.endpoint_path(provider_model) == path
    assert not GEMINI.takes_model


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", True),
        ("/v1/models/gemini-2.5-flash:generateContent", True),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", False),
        ("/v1beta/models/gemini-2.5-flash:countTokens", False),
        ("/v1beta/models/a/b:generateContent", False),
        ("/v1beta/models/:generateContent", False),
    ],
)
def test_gemini_answers_at_the_path_of_any_model(path: str, answers: bool) -> None:
    assert GEMINI.answers_at(path) is answers


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES, COHERE], ids=lambda api: api.name)
def test_a_stream_is_asked_for_in_the_body(api: ModelAPI) -> None:
    assert api.streams
    assert api.streamed(api.path, {"a": 1}) == (api.path, {"a": 1, "stream": True})


def test_a_stream_of_gemini_is_asked_for_in_the_path() -> None:
    assert GEMINI.streams
    assert GEMINI.streamed("/v1beta/models/g:generateContent", {"a": 1}) == (
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        {"a": 1},
    )


def chat_answer(content: Any, **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": "stop"}, {"message": {}}]}


def gemini_answer(*parts: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP"}, {}]}


ANSWERS: dict[str, tuple[ModelAPI, Any, str | None]] = {
    "chat": (CHAT, chat_answer("Four.", reasoning_content="2 + 2"), "Four."),
    "chat: empty text": (CHAT, chat_answer(""), ""),
    "chat: blocks with thinking": (
        CHAT,
        chat_answer(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "4"}]
        ),
        "4",
    ),
    "chat: tool calls": (CHAT, chat_answer(None, tool_calls=[{}]), None),
    "chat: no choices": (CHAT, {"choices": []}, None),
    "chat: null reason": (CHAT, {"choices": [{"finish_reason": None}]}, None),
    "responses": (
        RESPONSES,
        {
            "status": "completed",
            "incomplete_details": None,
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {
                    "type": "message",
                    "content": [{"type": "output_text", "text": "Fo"}, {"type": "refusal", "refusal": "No"}],
                },
                {"type": "function_call", "name": "f"},
                {"type": "message", "content": [{"type": "output_text", "text": "ur."}]},
            ],
        },
        "Four.",
    ),
    "responses: incomplete": (
        RESPONSES,
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
        None,
    ),
    "messages": (
        MESSAGES,
        {
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "Fo"},
                {"type": "text", "text": "ur."},
                {"type": "tool_use", "name": "f", "input": {}},
            ],
            "stop_reason": "tool_use",
        },
        "Four.",
    ),
    "messages: no text": (MESSAGES, {"content": [], "stop_reason": None}, None),
    "gemini": (
        GEMINI,
        gemini_answer({"text": "Hm.", "thought": True}, {"text": "Fo"}, {"functionCall": {}}, {"text": "ur."}),
        "Four.",
    ),
    "gemini: blocked": (GEMINI, {"promptFeedback": {"blockReason": "SAFETY"}}, None),
    "gemini: cut before any part": (GEMINI, {"candidates": [{"finishReason": "MAX_TOKENS"}]}, None),
    "cohere": (
        COHERE,
        {
            "message": {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Four."}]},
            "finish_reason": "COMPLETE",
        },
        "Four.",
    ),
    "cohere: tool calls": (COHERE, {"message": {"tool_calls": []}, "finish_reason": "TOOL_CALL"}, None),
}


@pytest.mark.parametrize(("api", "answer", "text"), ANSWERS.values(), ids=ANSWERS.keys())
def test_text_is_found_in_an_answer(api: ModelAPI, answer: Any, text: str | None) -> None:
    assert api.text(answer) == text


ODD_ANSWERS: list[Any] = [
    None,
    1,
    "text",
    [],
    {},
    {"choices": "text", "output": "text", "content": "", "candidates": {}, "message": "text"},
    {"choices": [None], "output": [None], "content": [None, 1], "candidates": [None], "message": None},
    {"choices": [{"message": {"content": [None, {"type": "text", "text": 1}]}, "finish_reason": 1}]},
    {"output": [{"type": "message", "content": "text"}], "status": 1, "incomplete_details": []},
    {"content": [{"type": "text"}], "stop_reason": {}, "message": {"content": 1}, "finish_reason": []},
    {"candidates": [{"content": {"parts": [None, {"text": 1}]}, "finishReason": 1}], "promptFeedback": 1},
]


@each_api
def test_an_answer_in_no_known_shape_has_no_text(api: ModelAPI) -> None:
    assert [(answer, api.text(answer)) for answer in ODD_ANSWERS] == [(answer, None) for answer in ODD_ANSWERS]


@each_api
def test_schema_is_small_enough_for_ten_models_in_one_list(api: ModelAPI) -> None:
    compact = json.dumps(api.input_schema(), ensure_ascii=False, separators=(",", ":"))

    assert len(compact.encode()) < 1800
