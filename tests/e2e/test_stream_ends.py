"""The end of a stream: an answer that is complete is an answer at once, whatever the connection does afterwards."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, connect, error_of, leading_to

pytestmark = pytest.mark.anyio

PATIENCE = 20
"""Seconds; a call that waited for the end of the connection would take its whole time limit of a minute or more."""


def events(*payloads: dict[str, Any] | str) -> bytes:
    lines = (payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads)
    return "".join(f"data: {line}\n\n" for line in lines).encode()


CHUNK = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
LAST = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
LINES = b"".join(
    json.dumps({"model": "m", "message": {"role": "assistant", "content": text}, "done": not text}).encode() + b"\n"
    for text in ("Hi", " there", "")
)
RESPONSE = {"id": "r", "object": "response", "status": "completed", "output": []}
STREAMS = {
    "chat-completions": ("v1/chat/completions", events(CHUNK, LAST, "[DONE]")),
    "messages": (
        "v1/messages",
        events(
            {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": []}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ),
    ),
    "responses": ("v1/responses", events({"type": "response.completed", "response": RESPONSE})),
    "cohere-chat": (
        "v2/chat",
        events(
            {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant", "content": []}}},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
        ),
    ),
}


async def _reset() -> None:
    raise httpx.ReadError("Connection reset by peer")


class Stream(httpx.AsyncByteStream):
    """Sends its bytes and then does something else than to end."""

    def __init__(self, body: bytes, then: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._then = then

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        await self._then()


async def called(
    path: str,
    body: bytes,
    then: Callable[[], Awaitable[None]],
    content_type: str = "text/event-stream",
    **model: Any,
) -> types.CallToolResult:
    """The result of a call whose stream sends these bytes and then neither more nor its end."""

    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": content_type}, stream=Stream(body, then))

    config = leading_to(Emulator(), models=[{"name": "m", **model}], discovery={"enabled": False})
    arguments = {"model": "m", "path": path, "data": {"stream": True}}
    async with connect(config, transport=httpx.MockTransport(answer)) as client:
        with anyio.fail_after(PATIENCE):
            return await client.call_tool("run_model", arguments)


@pytest.mark.parametrize("then", [pytest.param(anyio.sleep_forever, id="open"), pytest.param(_reset, id="reset")])
@pytest.mark.parametrize("api", STREAMS)
async def test_an_answer_that_has_ended_is_returned_whether_the_connection_stays_open_or_breaks(
    api: str, then: Callable[[], Awaitable[None]]
) -> None:
    path, body = STREAMS[api]

    answer = answer_of(await called(path, body, then))

    assert answer


@pytest.mark.parametrize("path", ["v1/chat/completions", "v1/messages"])
async def test_a_connection_that_breaks_before_the_end_of_the_answer_is_an_error(path: str) -> None:
    begun = events(CHUNK) if "chat" in path else events({"type": "message_start", "message": {"id": "m"}})

    error = error_of(await called(path, begun, _reset))

    assert error["origin"] == "network"
    assert error["billed"] == "maybe"


async def test_a_gemini_stream_that_breaks_after_its_finish_reason_is_an_answer() -> None:
    candidate = {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}

    result = await called("v1beta/models/m:streamGenerateContent?alt=sse", events({"candidates": [candidate]}), _reset)

    assert answer_of(result)["candidates"] == [{**candidate, "content": {"parts": [{"text": "Hi"}]}}]


CANDIDATE = {"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP"}
PICTURE = {"type": "image_generation.completed", "b64_json": "AAAA"}


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        pytest.param("v1/chat/completions", events(CHUNK, LAST), "text/event-stream", id="chat"),
        pytest.param(
            "v1beta/models/m:streamGenerateContent?alt=sse",
            events({"candidates": [CANDIDATE]}),
            "text/event-stream",
            id="Gemini",
        ),
        pytest.param(
            "v1beta/models/m:streamGenerateContent",
            json.dumps([{"candidates": [CANDIDATE]}]).encode()[:-1],
            "application/json",
            id="Gemini's array",
        ),
        pytest.param("v1/images/generations", events(PICTURE), "text/event-stream", id="pictures"),
    ],
)
async def test_a_complete_answer_without_an_end_marker_is_not_lost_to_the_deadline_of_an_open_connection(
    path: str, body: bytes, content_type: str
) -> None:
    result = await called(path, body, anyio.sleep_forever, content_type, timeout_seconds=2)

    assert not result.is_error


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("before", "last"),
    [([CHUNK], LAST), ([CHUNK], "[DONE]"), ([CHUNK, LAST], "[DONE]")],
    ids=["a chunk", "an end marker", "both"],
)
async def test_the_last_event_needs_no_empty_line_after_it(
    before: list[dict[str, Any]], last: dict[str, Any] | str, end: bytes
) -> None:
    body = events(*before) + events(last).rstrip() + end

    result = await called("v1/chat/completions", body, anyio.lowlevel.checkpoint)

    assert "Hi" in json.dumps(answer_of(result))


async def test_a_last_event_that_is_cut_off_is_no_event() -> None:
    body = events(CHUNK) + events(LAST).rstrip()[:-1]

    assert error_of(await called("v1/chat/completions", body, anyio.lowlevel.checkpoint))["code"] == "bad_response"


async def test_what_follows_a_finish_reason_belongs_to_the_answer() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    body = events(CHUNK, LAST, {"id": "c", "choices": [], "usage": usage})

    result = await called("v1/chat/completions", body, anyio.sleep_forever, timeout_seconds=2)

    assert answer_of(result)["usage"] == usage


async def test_a_stream_that_ends_with_an_error_does_not_wait_for_the_end_of_the_connection() -> None:
    result = await called("v1/chat/completions", events(CHUNK, NO_CREDIT), anyio.sleep_forever, timeout_seconds=2)

    assert error_of(result)["code"] == "quota_exceeded"


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/x-ndjson", "text/html", ""])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("v1/chat/completions", events(CHUNK, LAST, "[DONE]"), id="events"),
        pytest.param("v1/chat/completions", b": soon\n\nretry: 9\n\n" + events(CHUNK, LAST, "[DONE]"), id="comment"),
        pytest.param("api/chat", LINES, id="lines"),
    ],
)
async def test_a_stream_of_any_declared_type_ends_with_its_end_marker(
    path: str, body: bytes, content_type: str
) -> None:
    result = await called(path, body, anyio.sleep_forever, content_type)

    assert "Hi" in json.dumps(answer_of(result))


@pytest.mark.parametrize("indent", [None, 2])
async def test_plain_json_that_is_called_a_stream_is_the_answer(indent: int | None) -> None:
    message = {"role": "assistant", "content": "Hi"}
    completion = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    result = await called(
        "v1/chat/completions", json.dumps(completion, indent=indent).encode(), anyio.lowlevel.checkpoint
    )

    assert answer_of(result) == completion


LIMIT = {"error": {"message": "Rate limit reached, try again in 300s", "code": 429}}
ANTHROPIC_LIMIT = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
OPENAI_LIMIT = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None}
NO_CREDIT = {"error": {"message": "Insufficient credits", "code": 402}}
BAD_KEY = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([LIMIT], ("rate_limited", True, 300.0, "no"), id="a limit first"),
        pytest.param([CHUNK, LIMIT], ("rate_limited", True, 300.0, "maybe"), id="a limit midway"),
        pytest.param([NO_CREDIT], ("quota_exceeded", False, None, "no"), id="no credit"),
        pytest.param([CHUNK, NO_CREDIT], ("quota_exceeded", False, None, "maybe"), id="no credit midway"),
        pytest.param([ANTHROPIC_LIMIT], ("rate_limited", True, None, "no"), id="a limit by its name"),
        pytest.param([OPENAI_LIMIT], ("rate_limited", True, None, "no"), id="a limit without an object"),
        pytest.param([BAD_KEY], ("authentication_failed", False, None, "maybe"), id="a bad key"),
        pytest.param([{"x_groq": {"error": "over capacity"}}], ("provider_error", False, None, "maybe"), id="Groq's"),
    ],
)
async def test_an_error_that_an_event_reports_is_classified_like_one_that_comes_alone(
    sent: list[dict[str, Any]], expected: tuple[Any, ...]
) -> None:
    error = error_of(await called("v1/chat/completions", events(*sent), anyio.lowlevel.checkpoint))

    assert (error["code"], error["retryable"], error["retry_after_seconds"], error["billed"]) == expected
    assert error["hint"].startswith("The partial answer follows. ") == (CHUNK in sent)
