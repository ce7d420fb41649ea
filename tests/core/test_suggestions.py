"""Suggestions for misspelled names."""

import tracemalloc

import pytest

from blaxel_mcp.core.suggestions import closest, closest_names

KEYS = ["timeout_seconds", "connect_seconds", "max_queue", "title", "tool"]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("tmeout", "timeout_seconds"), ("titel", "title"), ("max_queues", "max_queue"), ("qqq", None), ("", None)],
)
def test_the_most_similar_name_is_suggested_if_any_is_similar(name: str, suggestion: str | None) -> None:
    assert closest(name, KEYS) == suggestion


@pytest.mark.parametrize("name", ["chat", "chatt", "caht-completion"])
def test_a_name_that_is_the_first_word_of_another_is_not_taken_for_its_last(name: str) -> None:
    assert closest(name, ["cohere-chat", "responses", "chat-completions"]) == "chat-completions"


def test_names_about_as_similar_are_suggested_too_best_first() -> None:
    models = ["gpt-4o", "gpt-4o-mini", "claude"]

    assert closest_names("gpt-4o-min", models) == ["gpt-4o-mini"]
    assert closest_names("model-c", ["model-a", "model-b", "other"]) == ["model-b", "model-a"]
    assert closest_names("model-c", ["model-a", "model-b", "other"], limit=1) == ["model-b"]
    assert closest_names("x", []) == []


def test_a_name_of_megabytes_is_not_compared() -> None:
    name = "tool" * 1_000_000
    tracemalloc.start()
    try:
        assert closest(name, KEYS) is None
        # A comparison first notes the place of each character.
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_name_three_times_as_long_as_a_known_one_is_still_compared() -> None:
    assert closest("tooltooltool", ["tool"]) == "tool"
    assert closest("tooltooltoolt", ["tool"]) is None
