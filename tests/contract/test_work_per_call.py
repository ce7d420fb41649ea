"""The work of one plain call, counted: a change that makes calls slower has to raise a limit here.

`python -m tests.contract.test_work_per_call` prints the figures.
"""

import asyncio
import sys
from collections import Counter
from types import FrameType
from typing import Any

import httpx
import pytest

from blaxel_mcp.core import json_text
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.contract.test_one_call import name_of
from tests.support.connecting import connect

pytestmark = pytest.mark.anyio

MAX_CALLS_OF_OURS = 145
MAX_TURNS = 13
"""At the time of writing 133 and 11, the turns of the client in the same event loop included."""

ANSWER = {
    "id": "chatcmpl-1",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}


class Work:
    """Counts the calls of our functions, hand-overs to threads, tasks that we start, and turns of the event loop."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.threads = self.tasks = self.turns = 0
        self._seen: set[FrameType] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        # A coroutine is called again each time that it goes on.
        if event != "call" or frame in self._seen:
            return
        self._seen.add(frame)
        code = frame.f_code
        if name := name_of(frame):
            self.calls[name] += 1
        elif code.co_name == "run_sync_in_worker_thread":
            self.threads += 1
        elif code.co_name == "_run_once":
            self.turns += 1
        elif frame.f_back and (caller := name_of(frame.f_back)):
            # The hand-over of a timer is no part of the call.
            self.threads += code.co_name == "run_in_executor" and not caller.endswith("._flush")
            self.tasks += code.co_name == "create_task"


def settings(**budget: Any) -> Configuration:
    model = {"name": "m", "api": "chat-completions"}
    return Configuration(
        Settings(workspace="w", api_key="k" * 20, discovery={"enabled": False}, models=[model], budget=budget)
    )


async def work_of_one_call(config: Configuration) -> Work:
    """Count the fifth call of a session: the ones before open connections and fill caches."""
    work = Work()

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=ANSWER)

    async with connect(config, transport=httpx.MockTransport(answer)) as client:
        for _ in range(4):
            await client.call_tool("m", {"prompt": "Hi"})
        sys.setprofile(work)
        try:
            result = await client.call_tool("m", {"prompt": "Hi"})
        finally:
            sys.setprofile(None)
    assert json_text.dump(ANSWER) in str(result.content)
    return work


async def test_a_call_runs_few_functions_one_task_few_turns_and_no_thread() -> None:
    work = await work_of_one_call(settings())

    assert work.calls["inference/inference.py:Inference.run"] > 0
    assert work.calls.total() <= MAX_CALLS_OF_OURS, work.calls.most_common(30)
    assert (work.threads, work.tasks) == (0, 1)
    assert work.turns <= MAX_TURNS


async def test_a_call_under_a_cap_waits_for_one_transaction_in_a_thread() -> None:
    work = await work_of_one_call(settings(calls_per_day=1000))

    assert (work.threads, work.tasks) == (1, 1)


async def main() -> None:
    for config in (settings(), settings(calls_per_day=1000)):
        work = await work_of_one_call(config)
        print(work.calls.total(), "calls,", work.threads, "threads,", work.tasks, "tasks,", work.turns, "turns")  # noqa: T201 - for a person
        print(*(f"{count:4} {name}" for name, count in work.calls.most_common(25)), sep="\n")  # noqa: T201 - the same


if __name__ == "__main__":
    asyncio.run(main())
