"""Locked fields: whatever spelling a caller chooses, the locked value goes out once and nothing else that means it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.field_names import fold
from blaxel_mcp.inference.locks import enforce_locks
from tests.properties.examples import tried

PATHS = {
    "chat-completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "cohere-chat": "/v2/chat",
    "generate-content": "/v1beta/models/gemini-2.5-flash:generateContent",
    "raw": "",
}
LOCKED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "temperature": (0, ("temperature",)),
    "max_tokens": (
        1000,
        ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "max_new_tokens", "numPredict"),
    ),
    "top_p": (0.5, ("top_p", "topP", "p")),
    "stop": (["x"], ("stop", "stop_sequences", "stopSequences")),
    "seed": (7, ("seed", "random_seed")),
    "system": ("Be brief.", ("system", "systemInstruction", "system_instruction", "instructions", "preamble")),
    "reasoning_effort": ("low", ("reasoning_effort", "reasoningEffort")),
    "user": ("agent", ("user", "safety_identifier")),
}
CALLERS = "of the caller's"


@st.composite
def spellings(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    """Draw one of the names in any case, with Go's two letters that fold to ASCII, or as a repeated form field."""
    name = draw(st.sampled_from(names))
    name = "".join(draw(st.sampled_from([letter, letter.upper(), letter.lower()])) for letter in name)
    if draw(st.booleans()):
        name = name.replace("s", "\u017f").replace("k", "\u212a")
    return f"{name}[]" if draw(st.booleans()) else name


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Draw an API, locked fields, and a body that has them in many places."""
    api = draw(st.sampled_from(sorted(PATHS)))
    chosen = draw(st.lists(st.sampled_from(sorted(LOCKED)), min_size=1, max_size=3, unique=True))
    question = "contents" if api == "generate-content" else "input" if api == "responses" else "messages"
    body: dict[str, Any] = {question: [{"role": "user", "content": "Hi"}]}
    for name in chosen:
        for _ in range(draw(st.integers(1, 3))):
            target = body
            for wrapper in draw(
                st.sampled_from(
                    [(), ("extra_body",), ("generationConfig",), ("generation_config",), ("options",), ("a", "b")]
                )
            ):
                target = target.setdefault(wrapper, {})
            target[draw(spellings(LOCKED[name][1]))] = CALLERS
    if draw(st.booleans()):
        role = draw(st.sampled_from(["system", "System", "developer", "DEVELOPER"]))
        body[question].insert(draw(st.integers(0, 1)), {draw(st.sampled_from(["role", "Role"])): role, "content": "x"})
    return api, {name: LOCKED[name][0] for name in chosen}, body


def occurrences(value: Any, names: frozenset[str]) -> list[Any]:
    """All values of fields with these folded names, and the contents of system messages if they are looked for."""
    if isinstance(value, list):
        return [found for item in value for found in occurrences(item, names)]
    if not isinstance(value, dict):
        return []
    roles = [fold(str(item)) for name, item in value.items() if fold(name) == "role"]
    if "system" in names and {"system", "developer"} & set(roles):
        return [value["content"]]
    found = []
    for name, item in value.items():
        found += [item] if fold(name) in names else occurrences(item, names)
    return found


@tried(400)
@given(request=requests())
def test_the_locked_value_goes_out_once_and_nothing_else_that_means_it(
    request: tuple[str, dict[str, Any], dict[str, Any]],
) -> None:
    api, locked, body = request

    sent, repairs = enforce_locks(body, locked, api=api, method="POST", path=PATHS[api], query="", is_own_path=True)

    assert CALLERS not in str(sent)
    assert repairs
    for name, value in locked.items():
        names = frozenset(map(fold, LOCKED[name][1])) | ({"effort"} if name == "reasoning_effort" else frozenset())
        (only,) = occurrences(sent, names)
        assert only in (value, {"parts": [{"text": value}]})


@pytest.mark.parametrize("name", ["\u0442emperature", "temperat\u00fcre", "temperature_x"])
def test_a_look_alike_is_no_spelling(name: str) -> None:
    sent, repairs = enforce_locks(
        {name: 2}, {"temperature": 0}, api="raw", method="POST", path="", query="", is_own_path=True
    )

    assert (sent, repairs) == ({name: 2, "temperature": 0}, [])


CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"body": [CHAT]}, id="an array"),
        pytest.param({"body": "text"}, id="a text"),
        pytest.param({"body": None, "method": "GET"}, id="GET"),
        pytest.param({"body": None, "method": "GET", "path": "", "query": "temperature=2"}, id="GET with a query"),
        pytest.param({"body": None, "method": "PUT"}, id="PUT without a body"),
        pytest.param({"query": "temperature=2"}, id="a query"),
        pytest.param({"query": "Temperature=2"}, id="a query in another case"),
        pytest.param({"query": "a=1;%2574emperature=2"}, id="a query encoded twice"),
        pytest.param({"query": "generationConfig.temperature=2"}, id="a query with a path"),
        pytest.param({"query": "options[temperature]=2"}, id="a query with an index"),
        pytest.param({"path": "/v1/batches", "body": {"input_file_id": "file-1"}}, id="a batch"),
        pytest.param({"path": "/v1/messages/batches", "body": {"requests": []}}, id="an inline batch"),
        pytest.param({"path": "/v1beta/models/m:batchGenerateContent"}, id="a batch of Gemini's"),
        pytest.param({"body": {**CHAT, "requests": [{"params": {}}]}}, id="requests in the body"),
        pytest.param({"path": "/api/chat"}, id="a format that is not known"),
        pytest.param({"path": "/v1/responses", "body": {"prompt": {"id": "pmpt_1"}}}, id="a stored prompt"),
    ],
)
def test_what_cannot_be_held_is_refused_by_an_error_that_names_the_field(request_: dict[str, Any]) -> None:
    whole = {"body": CHAT, "method": "POST", "path": "/v1/chat/completions", "query": "", **request_}

    with pytest.raises(BlaxelError, match="`temperature`") as refused:
        enforce_locks(locked={"temperature": 0}, api="chat-completions", is_own_path=False, **whole)

    assert (refused.value.code, refused.value.origin) == ("permission_denied", "local")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "Hi"},
        {"messages": {"0": {"role": "system"}}},
        {"messages": [], "Messages": [{"role": "system"}]},
    ],
)
def test_a_conversation_that_has_no_place_for_a_locked_system_message_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BlaxelError, match="`system`"):
        enforce_locks(
            body,
            {"system": "Be brief."},
            api="chat-completions",
            method="POST",
            path="/v1/chat/completions",
            query="",
            is_own_path=True,
        )


def test_a_question_about_the_models_is_no_call_of_one() -> None:
    locked = {"temperature": 0}

    assert enforce_locks(None, locked, api=None, method="GET", path="/v1/models", query="", is_own_path=False) == (
        None,
        [],
    )
