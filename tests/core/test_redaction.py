"""Redaction of credentials in text from outside, and quoting in messages."""

import pytest

from blaxel_mcp.core.redaction import for_terminal, literal, quote, scrub, shorten

SCRUBBED = [
    ("Authorization: Bearer abcdef123456", "Authorization: Bearer [redacted]"),
    ("authorization: bearer abcdef", "authorization: bearer [redacted]"),
    ("sent Basic ZGVtbzpzZWNyZXQ= there", "sent Basic [redacted] there"),
    ("Incorrect API key provided: sk-proj-abc123.", "Incorrect API key provided: [redacted]."),
    ("Incorrect API key provided: sk-abcd****wxyz", "Incorrect API key provided: [redacted]"),
    ("key sk-ant-api03-AbC_dEf-1 is bad", "key [redacted] is bad"),
    ("bl_abcdefgh123", "[redacted]"),
    ("hf_AbCdEfGh1jKl", "[redacted]"),
    ("gsk_AbCdEfGh1jKl", "[redacted]"),
    ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
    ("AIzaSyA-1234567890abcdefghijk", "[redacted]"),
    ("jwt eyJhbGciOi.eyJzdWIiOi.c2ln end", "jwt [redacted] end"),
    ("https://h.example/x?key=abc&alt=sse", "https://h.example/x?key=[redacted]&alt=sse"),
    ("https://h.example/x?api_key=a.b-c#d", "https://h.example/x?api_key=[redacted]"),
    ("https://user:pa55@h.example/x", "https://[redacted]@h.example/x"),
    ('{"api_key": "hunter2", "n": 1}', '{"api_key": "[redacted]", "n": 1}'),
    ('{"token":"hunter2"}', '{"token":"[redacted]"}'),
    ("X-Api-Key: hunter2", "X-Api-Key: [redacted]"),
    ("x-blaxel-authorization=hunter2", "x-blaxel-authorization=[redacted]"),
    ("client_secret=hunter2; password: hunter3", "client_secret=[redacted]; password: [redacted]"),
]


@pytest.mark.parametrize(("text", "expected"), SCRUBBED, ids=[text[:30] for text, _ in SCRUBBED])
def test_what_looks_like_a_credential_is_replaced(text: str, expected: str) -> None:
    assert scrub(text) == expected


@pytest.mark.parametrize("clean", [expected for _, expected in SCRUBBED])
def test_scrubbing_twice_changes_nothing_more(clean: str) -> None:
    assert scrub(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication is required",
        "Basic token missing",
        "max_tokens=5 and completion_tokens: 7",
        "invalid token: expected a string",
        "runtime type hf_private_endpoint",
        "the task-management and risk-assessment models",
        "https://run.blaxel.ai/acme/models/gpt-4o-mini/v1/chat/completions?limit=2",
        "write to someone@example.com",
        "monkey=1",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_quoted_text_is_one_visible_line() -> None:
    assert quote("  two\n\tlines\x00\x1b[2J \u202egnol\u200b\ud800 ", 100) == "two lines[2J gnol"


def test_quoted_text_is_bounded_and_the_cut_shows() -> None:
    assert quote("abcdef", 6) == "abcdef"
    assert quote("abcdefg", 6) == "abcde…"


def test_credential_broken_up_by_control_characters_is_found() -> None:
    assert quote("sk-\x00abc\u200bdef123", 100) == "[redacted]"


def test_credential_at_any_distance_from_the_cut_is_not_shown() -> None:
    for before in range(15_960, 16_001):
        shown = quote(" " * before + "x sk-" + "q" * 30, 500)
        assert "q" not in shown


@pytest.mark.parametrize("unit", ["eyJ", "eyJ-", "sk-", "hf-", "key=", "Bearer ", "://", "bl_", "'key':", "password "])
def test_hostile_repetition_costs_no_more_than_its_length(unit: str) -> None:
    assert len(quote(unit * 100_000, 50)) <= 50


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        pytest.param("abc", 3, "abc", id="as long as the limit"),
        pytest.param("abcd", 3, "ab…", id="longer"),
        pytest.param("abcd", 1, "…", id="no room for text"),
        pytest.param("", 1, "", id="empty"),
    ],
)
def test_a_shortened_text_is_within_its_limit_and_shows_that_it_was_cut(text: str, limit: int, shown: str) -> None:
    assert shorten(text, limit) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("m", "'m'", id="a name"),
        pytest.param("it's", '"it\'s"', id="a quotation mark"),
        pytest.param("caf\u00e9 \u2026", "'caf\u00e9 \u2026'", id="letters of any language"),
        pytest.param("a\x1b[2J\n", r"'a\x1b[2J\n'", id="control characters"),
        pytest.param("\u202egnol\ud800", r"'\u202egnol\ud800'", id="bidirectional formatting and half a pair"),
    ],
)
def test_a_literal_is_printable_whatever_a_caller_wrote(text: str, shown: str) -> None:
    assert literal(text) == shown
    assert literal(text).isprintable()


def test_a_literal_is_bounded() -> None:
    assert literal("a" * 81) == f"'{'a' * 79}…'"


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\ufeff", "\u202e", "\x00", "\U000e0041", "\ue000"])
def test_a_known_secret_is_found_after_what_hides_it_is_dropped(hidden: str) -> None:
    def redact(data: bytes) -> bytes:
        return data.replace(b"canary1234", b"[redacted]")

    spelled = hidden.join("canary1234")

    assert quote(f"key {spelled} end", 100, redact) == "key [redacted] end"
    assert quote(f"key {spelled} end", 8, redact) == "key [re…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(
            "two\n\tlines \u00e9 \U0001f469\u200d\U0001f4bb",
            "two\n\tlines \u00e9 \U0001f469\u200d\U0001f4bb",
            id="text",
        ),
        pytest.param("\x1b]0;owned\x07", "\\u001b]0;owned\\u0007", id="a title"),
        pytest.param("\x9b2J\x7f", "\\u009b2J\\u007f", id="C1 and DEL"),
        pytest.param("\u202egnol\u2066", "\\u202egnol\\u2066", id="bidirectional formatting"),
        pytest.param("a\r\nb\rc", "a\nb\\u000dc", id="carriage returns"),
        pytest.param("\ud800", "\\ud800", id="half a pair"),
    ],
)
def test_a_terminal_gets_nothing_that_it_obeys(text: str, shown: str) -> None:
    assert for_terminal(text) == shown
    assert for_terminal(shown) == shown
