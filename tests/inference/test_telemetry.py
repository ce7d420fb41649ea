"""Spans of model calls: what they say, when there are any, and what is in none of them."""

import json
import sys
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import blaxel_mcp
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.attributes import OTHER, finish_reasons
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.inference.telemetry import Telemetry
from blaxel_mcp.server.server import build_server
from tests.support.connecting import ERAS, Era, answer_of, error_of, inference_requests, leading_to, no_wait, receipt_of
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

PROMPT = "the prompt that nobody exports"


class Spans:
    """A tracer whose spans can be read."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = Telemetry(provider.get_tracer("test"))

    def client(self, emulator: Emulator, era: Era = "2026-07-28", **settings: Any) -> Client:
        environment = Environment(clock=RetryClock(sleep=no_wait), telemetry=self.telemetry)
        return Client(build_server(leading_to(emulator, **settings), environment=environment), mode=era)

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_is_a_client_span_with_the_names_of_the_conventions(
    emulator: Emulator, spans: Spans, era: Era
) -> None:
    async with spans.client(emulator, era) as client:
        result = await client.call_tool("house-chat", {"prompt": PROMPT})

    receipt, answer = receipt_of(result), answer_of(result)
    (span,) = spans.finished
    found = attributes_of(span)
    assert (span.name, span.kind) == (f"chat {found['gen_ai.request.model']}", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert (
        found
        | {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.response.model": answer["model"],
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": receipt["usage"]["input_tokens"],
            "gen_ai.usage.output_tokens": receipt["usage"]["output_tokens"],
            "gen_ai.usage.cache_read.input_tokens": receipt["usage"]["cached_input_tokens"],
            "gen_ai.usage.reasoning.output_tokens": receipt["usage"]["reasoning_tokens"],
            "http.response.status_code": 200,
            "blaxel.model": "house-chat",
            "blaxel.workspace": receipt["workspace"],
            "blaxel.call_id": receipt["call_id"],
            "blaxel.request_id": receipt["request_id"],
            "blaxel.attempts": 1,
            "blaxel.billed": "yes",
            "blaxel.cost": receipt["cost_usd"],
        }
        == found
    )
    assert "error.type" not in found


async def test_upstream_gets_the_traceparent_of_the_attempt(emulator: Emulator, spans: Spans) -> None:
    async with spans.client(emulator) as client:
        await client.call_tool("house-chat", {"prompt": PROMPT})

    (span,) = spans.finished
    (request,) = inference_requests(emulator.requests)
    _, trace_id, span_id, _ = dict(request.headers)["traceparent"].split("-")
    assert span.context is not None
    assert (int(trace_id, 16), int(span_id, 16)) == (span.context.trace_id, span.context.span_id)


async def test_a_stream_has_the_time_to_its_first_chunk(emulator: Emulator, spans: Spans) -> None:
    async with spans.client(emulator, tools={"stream": "always"}) as client:
        await client.call_tool("house-chat", {"prompt": PROMPT})

    (span,) = spans.finished
    found = attributes_of(span)
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] > 0


async def test_each_attempt_has_a_span_of_its_own(emulator: Emulator, spans: Spans) -> None:
    arguments = {"model": "fault-first-1-not-dispatched", "data": {"inputs": PROMPT}}
    async with spans.client(emulator) as client:
        result = await client.call_tool("run_model", arguments)

    assert receipt_of(result)["attempts"] == 2
    failed, answered = spans.finished
    found = attributes_of(failed)
    assert (found["error.type"], found["blaxel.attempts"], found["blaxel.billed"]) == ("model_unavailable", 1, "no")
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, None)
    assert failed.events == ()
    found = attributes_of(answered)
    assert (found["blaxel.attempts"], found["blaxel.billed"]) == (2, "yes")
    assert "error.type" not in found


async def test_a_call_that_is_never_sent_has_no_span(emulator: Emulator, spans: Spans) -> None:
    async with spans.client(emulator, access={"models": ["house-*"]}) as client:
        result = await client.call_tool("run_model", {"model": "other", "data": {"inputs": PROMPT}})

    assert error_of(result)["billed"] == "no"
    assert spans.finished == ()


@pytest.mark.parametrize("model", ["house-chat", "fault-html-504", "fault-drop", "fault-400"])
async def test_no_span_holds_a_prompt_or_an_answer(emulator: Emulator, spans: Spans, model: str) -> None:
    data = {"messages": [{"role": "user", "content": PROMPT}], "inputs": PROMPT}
    async with spans.client(emulator) as client:
        result = await client.call_tool("run_model", {"model": model, "data": data})

    shown = " ".join(span.to_json() for span in spans.finished)
    assert spans.finished
    assert PROMPT not in shown
    if not result.is_error:
        assert answer_of(result)["choices"][0]["message"]["content"] not in shown


async def test_a_key_in_the_place_of_a_model_is_in_no_span(emulator: Emulator, spans: Spans) -> None:
    key = f"sk-proj-{'aB3x' * 10}"
    data = {"model": key, "messages": [{"role": "user", "content": PROMPT}]}
    async with spans.client(emulator) as client:
        await client.call_tool("run_model", {"model": "house-chat", "data": data, "path": "/v1/chat/completions"})

    (span,) = spans.finished
    assert key not in span.to_json()
    assert attributes_of(span)["gen_ai.request.model"] == OTHER


async def test_without_telemetry_a_call_makes_no_span(emulator: Emulator) -> None:
    """Counted: what our code calls of OpenTelemetry in one call."""
    package, calls = blaxel_mcp.__path__[0], list[str]()

    def count(frame: FrameType, event: str, _: object) -> None:
        caller = frame.f_back
        is_telemetry = "opentelemetry" in frame.f_code.co_filename
        if event == "call" and is_telemetry and caller and caller.f_code.co_filename.startswith(package):
            calls.append(frame.f_code.co_qualname)

    async with Client(build_server(leading_to(emulator))) as client:
        await client.call_tool("house-chat", {"prompt": PROMPT})
        sys.setprofile(count)
        try:
            await client.call_tool("house-chat", {"prompt": PROMPT})
        finally:
            sys.setprofile(None)

    assert calls == []
    assert all("traceparent" not in dict(request.headers) for request in emulator.requests)


@pytest.mark.parametrize(
    ("api", "answer", "reasons"),
    [
        pytest.param(
            "chat-completions",
            {"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]},
            ["stop", "length"],
            id="OpenAI",
        ),
        pytest.param("messages", {"stop_reason": "end_turn"}, ["end_turn"], id="Anthropic"),
        pytest.param("generate-content", {"candidates": [{"finishReason": "MAX_TOKENS"}]}, ["MAX_TOKENS"], id="Gemini"),
        pytest.param("cohere-chat", {"finish_reason": "COMPLETE"}, ["COMPLETE"], id="Cohere"),
        pytest.param("responses", {"status": "completed"}, ["completed"], id="Responses"),
        pytest.param(
            "chat-completions", {"choices": [{"finish_reason": "a sentence of the model"}]}, [], id="a sentence"
        ),
        pytest.param("chat-completions", {"choices": "x", "candidates": [1]}, [], id="another shape"),
        pytest.param("chat-completions", [1], [], id="no object"),
        pytest.param("raw", {"status": "negative", "finish_reason": "x"}, [], id="what a classifier found"),
        pytest.param("chat-completions", {"status": "negative"}, [], id="a status of another API"),
    ],
)
def test_the_reasons_why_a_model_stopped_are_words(api: str, answer: Any, reasons: list[str]) -> None:
    assert finish_reasons(answer, api) == reasons


@pytest.mark.parametrize(
    ("model", "data", "asked"),
    [
        ("house-chat", {"messages": [{"role": "user", "content": PROMPT}]}, "user"),
        (
            "house-chat",
            {"messages": [{"role": "developer", "content": [{"type": "text", "text": PROMPT}]}]},
            "developer",
        ),
        ("house-embed", {"input": [PROMPT]}, "user"),
        ("house-classifier", {"inputs": PROMPT}, "user"),
    ],
)
async def test_prompts_and_answers_are_in_spans_if_the_operator_asks_for_them(
    emulator: Emulator, spans: Spans, model: str, data: dict[str, Any], asked: str
) -> None:
    spans.telemetry.has_content = True
    async with spans.client(emulator) as client:
        answer = answer_of(await client.call_tool("run_model", {"model": model, "data": data}))

    (span,) = spans.finished
    found = attributes_of(span)
    (message,) = json.loads(found["gen_ai.input.messages"])
    assert message["role"] == asked
    assert PROMPT in message["parts"][0]["content"]
    (written,) = json.loads(found["gen_ai.output.messages"])
    assert written["role"] == "assistant"
    if "choices" in answer:
        assert written["parts"] == [{"type": "text", "content": answer["choices"][0]["message"]["content"]}]
        assert written["finish_reason"] == "stop"


async def test_content_in_spans_has_no_credential_and_no_picture(emulator: Emulator, spans: Spans) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo"}}
    text = {"type": "text", "text": "my key is sk-1234567890abcdef"}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [text, picture]}]
    spans.telemetry.has_content = True
    async with spans.client(emulator) as client:
        await client.call_tool("run_model", {"model": "house-chat", "data": {"messages": messages}})

    (span,) = spans.finished
    exported = attributes_of(span)["gen_ai.input.messages"]
    assert json.loads(exported)[1]["parts"] == [
        {"type": "text", "content": "my key is [redacted]"},
        {"type": "image_url"},
    ]
    assert "base64" not in exported


async def test_a_failed_call_has_its_prompt_and_no_answer(emulator: Emulator, spans: Spans) -> None:
    spans.telemetry.has_content = True
    async with spans.client(emulator) as client:
        await client.call_tool("run_model", {"model": "fault-truncated", "data": {"inputs": PROMPT}})

    (span,) = spans.finished
    found = attributes_of(span)
    assert PROMPT in found["gen_ai.input.messages"]
    assert "gen_ai.output.messages" not in found
