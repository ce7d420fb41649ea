"""Spending that must count: usage that is missing or false, answers that break off, attempts that were billed."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from blaxel_mcp.core import json_text
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.answers import JSONAnswer, written_characters
from tests.support.connecting import connect, error_of, inference_requests, leading_to, receipt_of
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

LONG = "word " * 20_000
CHAT = {"name": "house-chat", "api": "chat-completions", "price": {"input": 10, "output": 100}}
DATA = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
Answer = Callable[[httpx.Request], httpx.Response]


def answering(answer: Answer) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if "/v0/" in request.url.path else answer(request)

    return httpx.MockTransport(handle)


async def used(client: Client, data: dict[str, Any] | None = None) -> tuple[Any, int, float]:
    """Call the model; return the result, and the tokens and dollars that the budget has counted for it."""
    result = await client.call_tool("run_model", {"model": "house-chat", "data": data or DATA})
    budget = receipt_of(result)["budget"]["all"]
    return result, budget["tokens"]["used"], budget["usd"]["used"]


def settings(emulator: Emulator, **more: Any) -> Any:
    return leading_to(emulator, **{"models": [CHAT], "budget": {"usd_per_day": 1000}, **more})


def whole(usage: Any) -> Answer:
    message = {"choices": [{"message": {"content": LONG}, "finish_reason": "stop"}]}
    return lambda _: httpx.Response(200, json=message if usage is None else {**message, "usage": usage})


def streamed(usage: Any, *, ends: bool = True) -> Answer:
    piece = {"choices": [{"index": 0, "delta": {"content": LONG[:1000]}}]}
    lines = [json_text.dump(piece)] * (len(LONG) // 1000)
    if usage is not None:
        lines.append(json_text.dump({"choices": [], "usage": usage}))
    lines += ["[DONE]"] if ends else []
    text = "".join(f"data: {line}\n\n" for line in lines)
    return lambda _: httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


async def test_an_answer_of_a_million_texts_is_measured_while_others_are_served(emulator: Emulator) -> None:
    texts = ["ab"] * 1_000_000
    content = json_text.dump(texts)
    began = time.thread_time()
    written_characters(JSONAnswer(content, texts), None)
    seconds, longest = time.thread_time() - began, 0.0

    async def turns() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await anyio.lowlevel.checkpoint()
            longest = max(longest, time.thread_time() - began)

    transport = answering(lambda _: httpx.Response(200, text=content, headers={"content-type": "application/json"}))
    config = leading_to(emulator, discovery={"enabled": False})
    async with connect(config, transport=transport) as client, anyio.create_task_group() as group:
        group.start_soon(turns)
        result = await client.call_tool("run_model", {"model": "anything", "data": {"inputs": "x"}})
        group.cancel_scope.cancel()

    assert receipt_of(result)["usage"]["estimated"]
    assert longest < seconds / 2


USAGES = [
    None,
    {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    {"total_tokens": 1},
    {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
]


@pytest.mark.parametrize("usage", USAGES, ids=["none", "zero", "one", "few"])
@pytest.mark.parametrize("answer", [whole, streamed])
async def test_usage_that_is_missing_or_too_small_is_replaced_by_an_estimate_that_says_so(
    emulator: Emulator, answer: Callable[[Any], Answer], usage: Any
) -> None:
    async with connect(settings(emulator), transport=answering(answer(usage))) as client:
        result, tokens, usd = await used(client, {**DATA, "stream": True} if answer is streamed else DATA)

    assert receipt_of(result)["usage"]["estimated"] is True
    assert receipt_of(result)["usage"]["output_tokens"] >= len(LONG) // 4
    assert tokens >= len(LONG) // 4
    assert usd >= 100 * len(LONG) / 4 / 1e6


async def test_usage_that_fits_the_answer_is_taken_as_it_is(emulator: Emulator) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 18_000, "total_tokens": 18_005}
    async with connect(settings(emulator), transport=answering(whole(usage))) as client:
        result, tokens, _ = await used(client)

    told = receipt_of(result)["usage"]
    assert "estimated" not in told
    assert told["total_tokens"] == 18_005
    assert tokens == 18_005


async def test_a_total_below_its_parts_is_their_sum(emulator: Emulator) -> None:
    usage = {"prompt_tokens": 500_000, "completion_tokens": 500_000, "total_tokens": 0}
    async with connect(settings(emulator), transport=answering(whole(usage))) as client:
        _, tokens, _ = await used(client)

    assert tokens == 1_000_000


@pytest.mark.parametrize("streams", [True, False])
async def test_an_answer_that_breaks_off_counts_as_much_as_had_come(emulator: Emulator, *, streams: bool) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield streamed(None)(httpx.Request("GET", "http://x")).content[:-20] if streams else LONG.encode()
        raise httpx.ReadError("torn")

    kind = "text/event-stream" if streams else "text/plain"
    answer = answering(lambda _: httpx.Response(200, content=torn(), headers={"content-type": kind}))
    async with connect(settings(emulator), transport=answer) as client:
        result, tokens, usd = await used(client)

    had_come = len(LONG) - 1000
    assert result.is_error
    assert tokens >= had_come // 4
    assert usd >= 100 * had_come / 4 / 1e6


async def test_a_stream_that_ends_early_or_is_cancelled_counts_as_much_as_had_come(emulator: Emulator) -> None:
    arrived = anyio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield streamed(None, ends=False)(httpx.Request("GET", "http://x")).content
        arrived.set()
        await anyio.sleep_forever()

    responses = [
        streamed(None, ends=False),
        lambda _: httpx.Response(200, content=endless(), headers={"content-type": "text/event-stream"}),
        whole({"total_tokens": 30_000}),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        return responses.pop(0)(request)

    async with connect(settings(emulator), transport=answering(answer)) as client:
        result, early, _ = await used(client)
        assert error_of(result)["code"] == "bad_response"
        async with anyio.create_task_group() as group:
            group.start_soon(used, client)
            await arrived.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(30):
            while (await days(client))[0]["unsettled"]:
                await anyio.lowlevel.checkpoint()
        _, both, _ = await used(client)

    assert early >= len(LONG) // 4
    assert both >= 2 * len(LONG) // 4 + 30_000


@pytest.mark.parametrize(("cap", "sent"), [(10, 3), (2, 2), (1, 1)])
async def test_each_attempt_that_may_have_been_billed_counts(emulator: Emulator, cap: int, sent: int) -> None:
    model = {"name": "fault-drop", "api": "chat-completions", "idempotent": True, "price": CHAT["price"]}
    config = leading_to(emulator, models=[model], budget={"calls_per_day": cap})
    async with connect(config) as client:
        result = await client.call_tool("fault-drop", {"prompt": "Hi", "max_tokens": 50})
        (told,) = [model for day in await days(client) for model in day["models"]]

    assert len(inference_requests(emulator.requests)) == sent
    assert (told["calls"], told["failed_maybe_billed"], told["unsettled"]) == (sent, sent, 0)
    assert receipt_of(result)["budget"]["all"]["tokens"]["used"] >= 50 * sent
    assert error_of(result)["code"] == "network_error"


async def days(client: Client) -> list[dict[str, Any]]:
    contents: Any = (await client.read_resource("blaxel://usage")).contents[0]
    report: dict[str, Any] = json_text.parse(contents.text)
    found: list[dict[str, Any]] = report["days"]
    return found


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}),
        ("/v1/%62atches", {"input_file_id": "file-1"}),
        ("/v1/messages/batches", {"requests": [{"params": {"max_tokens": 5000}}] * 40}),
        ("/v1/fine_tuning/jobs", {"training_file": "file-1"}),
        ("/v1/responses", {"input": "Hi", "background": True}),
        ("/v1/evals", {"name": "nightly"}),
        ("/v1beta/cachedContents", {"ttl": "999999s"}),
        ("/async/chat/completions", {"messages": []}),
        ("/v1/audio/speech", {"input": "Hi", "voice": "a"}),
    ],
)
async def test_an_endpoint_that_reports_no_tokens_has_no_price(
    emulator: Emulator, path: str, data: dict[str, Any]
) -> None:
    transport = answering(lambda _: httpx.Response(200, json={"id": "1"}))
    arguments = {"model": "house-chat", "path": path, "data": data}
    async with connect(settings(emulator), transport=transport) as client:
        refused = await client.call_tool("run_model", arguments)
    allowed = settings(emulator, budget={"usd_per_day": 1000, "unpriced": "allow"})
    async with connect(allowed, transport=transport) as client:
        result = await client.call_tool("run_model", arguments)

    assert error_of(refused)["code"] == "budget_exceeded"
    assert "reports no tokens that could be priced" in error_of(refused)["message"]
    assert 'budget.unpriced to "allow"' in error_of(refused)["hint"]
    assert receipt_of(result)["budget"]["all"]["tokens"]["used"] >= (1 if "speech" in path else 100_000)
