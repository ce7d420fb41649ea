"""Work that can be counted, so that a slower change fails on any machine: requests, function calls and copies.

The upstream is that of the benchmarks, in a process of its own, so that its work is not counted.
"""

import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import FrameType

import pytest

from benchmarks import upstream
from benchmarks.models import EVENT_COUNT, EVENTS, LARGE, ORDINARY, PROMPT
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.support.connecting import connect, leading_to
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

LARGE_BYTES = 1_000_000

# Each limit is the present figure and a margin for how the bytes happen to arrive. Lower it with the figure.
CALLS_OF_A_SHORT_ANSWER = 1_900
CALLS_OF_A_LARGE_ANSWER = 2_900
CALLS_OF_AN_EVENT = 45
COPIES_OF_A_LARGE_ANSWER = 14


@dataclass
class Counter:
    """Counts calls of Python functions, of this project and of others."""

    calls: int = 0

    def __call__(self, _frame: FrameType, event: str, _: object) -> None:
        self.calls += event == "call"


@contextmanager
def counted() -> Iterator[Counter]:
    counter = Counter()
    sys.setprofile(counter)
    try:
        yield counter
    finally:
        sys.setprofile(None)


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    with upstream.running() as url:
        yield url


@asynccontextmanager
async def warm_client(url: str) -> AsyncIterator[Client]:
    """Connect a client to a server that has made a call of each kind: the first one fills caches."""
    models = [{"name": name, "api": "chat-completions"} for name in (ORDINARY, LARGE)]
    models.append({"name": EVENTS, "api": "chat-completions", "stream": "always"})
    places = {"run_url": url, "api_url": url, "budget": {"ledger": ":memory:"}}
    settings = {"workspace": "demo", "api_key": "demo-key", "models": models, **places}
    async with connect(Configuration(Settings.model_validate(settings))) as client:
        for model in (ORDINARY, LARGE, EVENTS):
            await call(client, model)
        yield client


async def call(client: Client, model: str) -> None:
    result = await client.call_tool(model, {"prompt": PROMPT})
    assert not result.is_error


async def test_one_call_is_one_request_upstream(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        await client.call_tool("house-chat", {"prompt": PROMPT})
        before = len(emulator.requests)
        for _ in range(5):
            await client.call_tool("house-chat", {"prompt": PROMPT})

    assert len(emulator.requests) - before == 5


async def test_a_short_answer_takes_few_function_calls(upstream_url: str) -> None:
    async with warm_client(upstream_url) as client:
        with counted() as counter:
            await call(client, ORDINARY)

    assert counter.calls <= CALLS_OF_A_SHORT_ANSWER


async def test_an_answer_of_a_megabyte_takes_few_function_calls(upstream_url: str) -> None:
    async with warm_client(upstream_url) as client:
        with counted() as counter:
            await call(client, LARGE)

    assert counter.calls <= CALLS_OF_A_LARGE_ANSWER


async def test_an_event_of_a_stream_takes_few_function_calls(upstream_url: str) -> None:
    async with warm_client(upstream_url) as client:
        with counted() as short:
            await call(client, ORDINARY)
        with counted() as streamed:
            await call(client, EVENTS)

    assert (streamed.calls - short.calls) / EVENT_COUNT <= CALLS_OF_AN_EVENT


async def test_the_memory_for_an_answer_of_a_megabyte_is_that_of_a_few_copies(upstream_url: str) -> None:
    async with warm_client(upstream_url) as client:
        tracemalloc.start()
        try:
            await call(client, LARGE)
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            await call(client, LARGE)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert (peak - before) / LARGE_BYTES <= COPIES_OF_A_LARGE_ANSWER
