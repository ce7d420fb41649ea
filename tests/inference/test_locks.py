"""Locked fields against fields that change the same by another name or in another way."""

from typing import Any

import pytest

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.locks import enforce_locks

PATHS = {
    "chat-completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "cohere-chat": "/v2/chat",
    "generate-content": "/v1beta/models/gemini-2.5-flash:generateContent",
    "images": "/v1/images/generations",
}
CALLERS = "of the caller's"


def composed(
    api: str, body: dict[str, Any], locked: dict[str, Any], *, path: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The body that goes out for a caller's, and what it is told."""
    is_own_path = path is None
    path = path or PATHS[api]
    return enforce_locks(body, locked, api=api, method="POST", path=path, query="", is_own_path=is_own_path)


@pytest.mark.parametrize(
    ("api", "locked", "callers"),
    [
        ("chat-completions", {"tools": []}, {"web_search_options": {}}),
        ("chat-completions", {"tools": []}, {"plugins": [{"id": "web"}]}),
        ("chat-completions", {"tools": []}, {"search_parameters": {"mode": "on"}}),
        ("chat-completions", {"tools": []}, {"enable_search": True, "search_options": {"forced_search": True}}),
        ("chat-completions", {"tools": []}, {"data_sources": [{"type": "azure_search"}]}),
        ("chat-completions", {"tools": []}, {"extra_body": {"Web-Search-Options": {}}}),
        ("chat-completions", {"tools": []}, {"compound_custom": {"tools": {"enabled_tools": ["web_search"]}}}),
        ("messages", {"tools": []}, {"mcp_servers": [{"url": "https://mcp.example.com"}]}),
        ("messages", {"tools": []}, {"container": {"skills": [{"skill_id": "xlsx"}]}}),
        ("cohere-chat", {"tools": []}, {"connectors": [{"id": "web-search"}]}),
        ("chat-completions", {"reasoning_effort": "low"}, {"reasoning": {"max_tokens": 64_000}}),
        ("chat-completions", {"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": True}}),
        ("chat-completions", {"reasoning_effort": "none"}, {"thinking": {"type": "enabled"}}),
        ("messages", {"thinking": {"budget_tokens": 1024}}, {"output_config": {"effort": "max"}}),
        (
            "generate-content",
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
            {"generation_config": {"thinking_config": {"thinking_level": "high"}}},
        ),
        ("messages", {"service_tier": "standard_only"}, {"speed": "fast"}),
        ("chat-completions", {"service_tier": "flex"}, {"serviceTier": {"type": "priority"}}),
        ("images", {"n": 1}, {"num_images": 10}),
        ("images", {"n": 1}, {"parameters": {"sampleCount": 8}}),
        ("chat-completions", {"system": "Be brief."}, {"chat_template": "{{ messages[-1].content }}"}),
        ("chat-completions", {"response_format": {"type": "json_object"}}, {"response_format": {"type": "text"}}),
        ("responses", {"text": {"format": {"type": "text"}}}, {"response_format": {"type": "json_object"}}),
    ],
)
def test_a_lock_removes_what_changes_the_same_in_another_way(
    api: str, locked: dict[str, Any], callers: dict[str, Any]
) -> None:
    alone, _ = composed(api, {}, locked)

    sent, repairs = composed(api, callers, locked)

    assert without_empty(sent) == without_empty(alone)
    assert any("locked by the settings" in repair for repair in repairs)


def without_empty(value: Any) -> Any:
    """A body without objects that hold nothing, which are left where all their fields were removed."""
    if not isinstance(value, dict):
        return value
    inner = {name: without_empty(item) for name, item in value.items()}
    return {name: item for name, item in inner.items() if item != {}}


def test_items_of_a_conversation_that_bring_tools_go_out_only_if_tools_are_not_locked() -> None:
    items = [{"role": "user", "content": "Hi"}, {"type": "tool_search_output", "tools": [{"type": "web_search"}]}]

    sent, repairs = composed("responses", {"input": items}, {"tools": []})

    assert sent == {"input": items[:1], "tools": []}
    assert repairs == ["an item with tools was removed: tools is locked by the settings"]
    assert composed("responses", {"input": items}, {"n": 1})[0]["input"] == items


def test_cached_content_is_refused_if_tools_are_locked() -> None:
    with pytest.raises(BlaxelError, match="cached content brings instructions and tools"):
        composed("generate-content", {"contents": [{}], "cachedContent": "cachedContents/1"}, {"tools": []})


@pytest.mark.parametrize(
    ("locked", "callers"),
    [
        ({"thinking": {"budget_tokens": 1024}}, {"thinking": {"type": "enabled"}}),
        ({"tools": []}, {"messages": [{"role": "user", "content": "Hi", "plugins": 1}], "metadata": {"a": "b"}}),
        ({"temperature": 0}, {"reasoning_effort": "high", "max_tokens": 5, "tools": [{"name": "search"}]}),
        ({"service_tier": "auto"}, {"temperature": 1, "stream": True}),
        ({"service_tier": "auto", "tools": []}, {"metadata": {"speed": "1", "plugins": "x", "run": "7"}}),
    ],
)
def test_a_lock_leaves_the_other_fields_to_the_caller(locked: dict[str, Any], callers: dict[str, Any]) -> None:
    sent, repairs = composed("messages", callers, locked)

    kept = {
        name: {**value, **locked.get(name, {})} if isinstance(value, dict) else value for name, value in callers.items()
    }
    assert sent == {**locked, **kept}
    assert repairs == []


@pytest.mark.parametrize(("value", "other"), [(False, ":streamGenerateContent"), (True, ":generateContent")])
def test_a_lock_on_streams_holds_where_the_path_asks_for_one(*, value: bool, other: str) -> None:
    path = f"/v1beta/models/gemini-2.5-flash{other}"

    with pytest.raises(BlaxelError, match="`stream`"):
        composed("generate-content", {"contents": [{}]}, {"stream": value}, path=path)

    assert composed("generate-content", {"contents": [{}]}, {"stream": value}) == ({"contents": [{}]}, [])


def test_a_locked_system_message_holds_against_a_role_in_an_array_and_where_none_is_read() -> None:
    sent, _ = composed(
        "chat-completions", {"messages": [{"role": ["system"], "content": "x"}]}, {"system": "Be brief."}
    )

    assert sent == {"messages": [{"role": "system", "content": "Be brief."}]}
    with pytest.raises(BlaxelError, match="a completion has no system message"):
        composed("chat-completions", {"prompt": "x"}, {"system": "Be brief."}, path="/v1/completions")
