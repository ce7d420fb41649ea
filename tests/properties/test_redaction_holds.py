"""Secrets in text from upstream: redacted however the text is truncated, wrapped or encoded."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from blaxel_mcp.client.auth import Authenticator, TokenReply
from blaxel_mcp.client.errors.classify import classify
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import quote, scrub
from blaxel_mcp.inference.answer_stream import AnswerStream
from blaxel_mcp.inference.progress import Progress
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.properties.examples import any_text, json_values, tried

SECRET = "sk-proj-CANARYcanary0123456789CANARYcanary"
FORMS = (
    SECRET,
    f"Bearer {SECRET}",
    f"https://user:{SECRET}@h.example/x",
    f'{{"api_key": "{SECRET}"}}',
    f"api_key={SECRET}&x=1",
    f"X-Api-Key: {SECRET}",
)
PIECE = 12
"""Number of consecutive characters of a secret that count as a leak."""


def shows_secret(text: str) -> bool:
    return any(SECRET[at : at + PIECE] in text for at in range(len(SECRET) - PIECE + 1))


@tried(300)
@given(before=st.text(max_size=30), form=st.sampled_from(FORMS), after=st.text(max_size=30), limit=st.integers(1, 200))
@example(before="", form=SECRET, after="", limit=20)
def test_what_looks_like_a_credential_is_gone_wherever_the_text_is_cut(
    before: str, form: str, after: str, limit: int
) -> None:
    # No format joins a credential with the word before it.
    text = f"{before} {form} {after}"

    assert not shows_secret(scrub(text))
    assert not shows_secret(quote(text, limit))
    assert len(quote(text, limit)) <= limit


@tried(60)
@given(at=st.integers(15_900, 16_100), form=st.sampled_from(FORMS))
def test_a_credential_across_the_end_of_the_searched_text_is_left_out(at: int, form: str) -> None:
    assert not shows_secret(quote(f"{'word ' * 4000}"[: at - 1] + f" {form}", 100_000))


@tried(200)
@given(text=any_text, limit=st.integers(1, 60))
def test_a_quotation_is_one_writable_line_and_redaction_is_idempotent(text: str, limit: int) -> None:
    quoted = quote(text, limit)

    assert len(quoted) <= limit
    assert len(quoted.splitlines()) <= 1
    assert quoted.encode().decode() == quoted
    assert scrub(scrub(text)) == scrub(text)


KEY = 'demo/key "CANARY" 0123456789'


async def no_exchange(url: str, _headers: object, _form: object) -> TokenReply:
    raise AssertionError(url)


def authenticator() -> Authenticator:
    found = Authenticator(Configuration(Settings(workspace="demo", api_key=SecretStr(KEY))), no_exchange)
    found.for_workspace("demo")
    return found


AUTH = authenticator()
SPELLINGS = st.sampled_from([KEY, json.dumps(KEY)[1:-1], json.dumps(KEY).replace("/", "\\/")[1:-1]])


@tried(200)
@given(before=st.binary(max_size=30), spelling=SPELLINGS, after=st.binary(max_size=30), status=st.integers(300, 599))
def test_a_known_key_that_upstream_echoes_is_in_no_error(
    before: bytes, spelling: str, after: bytes, status: int
) -> None:
    body = before + spelling.encode() + after
    headers = {"x-cf-request-id": KEY, "content-type": f"text/plain; x={KEY}", "retry-after": KEY}
    for text in (body, json.dumps({"error": {"message": spelling, "code": spelling, "action": spelling}}).encode()):
        error = classify(status, headers, text, redact=AUTH.redact, now=0.0)

        assert "CANARY" not in f"{error} {error.request_id}"


@tried(100)
@given(pieces=st.lists(SPELLINGS.map(str.encode) | st.binary(max_size=9), max_size=9).map(b"".join))
def test_redaction_removes_secrets_and_nothing_else(pieces: bytes) -> None:
    clean = AUTH.redact(pieces)

    assert b"CANARY" not in clean
    assert AUTH.redact(clean) == clean
    if b"CANARY" not in pieces:
        assert clean == pieces


@tried(60)
@given(before=st.integers(0, 600), spelling=SPELLINGS, in_text=st.booleans())
def test_a_known_key_in_a_stream_is_in_neither_the_error_nor_the_partial_answer(
    before: int, spelling: str, in_text: bool
) -> None:
    message = "x" * before + " " + spelling
    first = {"choices": [{"index": 0, "delta": {"content": message if in_text else "Hi"}}]}
    stream = AnswerStream("chat-completions", "/v1/chat/completions", Progress(), AUTH.redact)
    take = stream.listen({"content-type": "text/event-stream"})
    assert take is not None
    for event in (first, {"error": {"message": message}}):
        take(b"data: " + json.dumps(event).encode() + b"\n\n")

    with pytest.raises(BlaxelError) as raised:
        stream.answer(200)

    assert "CANARY" not in f"{raised.value} {raised.value.partial}"


INVISIBLE = st.sampled_from(["\u200b", "\u00ad", "\ufeff", "\u2060", "\u202e", "\x00", "\x7f", "\U000e0041"])


@tried(200)
@given(
    gaps=st.lists(st.integers(0, len(KEY)), min_size=1, max_size=6),
    hidden=INVISIBLE,
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    limit=st.integers(1, 200),
)
def test_a_key_of_ours_with_invisible_characters_in_it_is_not_quoted(
    gaps: list[int], hidden: str, before: str, after: str, limit: int
) -> None:
    spelled = KEY
    for gap in sorted(gaps, reverse=True):
        spelled = spelled[:gap] + hidden + spelled[gap:]
    text = f"{before} {spelled} {after}"

    assert "CANARY" not in quote(text, limit, AUTH.redact)
    error = classify(
        400, {"cf-ray": text, "content-type": text}, text.encode(errors="replace"), redact=AUTH.redact, now=0
    )
    assert "CANARY" not in f"{error} {error.request_id}"


def knowing(key: str) -> Authenticator:
    found = Authenticator(Configuration(Settings(workspace="demo", api_key=SecretStr(key))), no_exchange)
    found.for_workspace("demo")
    return found


NUMERIC, SHORT = knowing("12345678"), knowing("n123")


@tried(300)
@given(
    value=json_values,
    part=st.sampled_from([12345678, 123456789, -12345678, "12345678", "x12345678y", "n123", "\nn123"]),
)
def test_what_parsed_before_redaction_parses_after_it(value: Any, part: Any) -> None:
    text = json.dumps({"value": value, "part": [part, {str(part): part}]})
    for authenticator, key in ((NUMERIC, "12345678"), (SHORT, "n123")):
        redacted = json.loads(authenticator.redact(text.encode()))

        assert len(redacted["part"]) == 2
        if isinstance(part, str):
            words = redacted["part"][0].replace("[redacted]", "").split()
            assert not any(key == word or (len(key) > 7 and key in word) for word in words)
        else:
            assert redacted["part"][0] == part
