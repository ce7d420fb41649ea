"""One plain call, counted: how many functions of ours it runs, and how deep they are above the HTTP library.

`python -m tests.contract.test_one_call` lists the functions and the frames.
"""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import blaxel_mcp
from blaxel_mcp.client.direct_transport import DirectTransport
from blaxel_mcp.emulator import Emulator, run_emulator
from tests.support.connecting import connect, leading_to

pytestmark = pytest.mark.anyio

MAX_FUNCTIONS = 120
MAX_FRAMES = 10

PACKAGE = Path(blaxel_mcp.__file__).parent
SEND = DirectTransport.handle_async_request.__code__
TRANSPORT = ("client/connecting.py", "client/direct_transport.py", "client/socket_stream.py")
"""What stands in the place of the HTTP library's pool counts as the library."""


@dataclass
class Trace:
    """What one call runs: our functions, and our frames below the HTTP library when it is asked to send.

    Comprehensions, generator expressions and lambdas are no functions of their own here.
    """

    functions: set[str] = field(default_factory=set)
    frames: list[str] = field(default_factory=list)

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or is_timer(frame.f_back):
            return
        if name := name_of(frame):
            self.functions.add(name)
        if frame.f_code is SEND and not self.frames:
            self.frames = [*stack_of(frame), *(name for task in waiting_tasks() for name in task)]


def is_timer(frame: FrameType | None) -> bool:
    """Whether a frame is that of the event loop running a timer, which only a slow machine does during the call."""
    return frame is not None and isinstance(frame.f_locals.get("self"), asyncio.TimerHandle)


def name_of(frame: FrameType) -> str | None:
    """The function of ours that a frame runs, such as `inference/inference.py:Inference.run`; None for others."""
    file, name = Path(frame.f_code.co_filename), frame.f_code.co_qualname
    if PACKAGE not in file.parents or "emulator" in file.parts or name.endswith(">"):
        return None
    module = file.relative_to(PACKAGE).as_posix()
    return None if module in TRANSPORT else f"{module}:{name}"


def stack_of(frame: FrameType | None) -> Iterator[str]:
    while frame:
        if name := name_of(frame):
            yield name
        frame = frame.f_back


def waiting_tasks() -> Iterator[list[str]]:
    """The frames of the task that waits for the call: that of the request."""
    for task in asyncio.all_tasks():
        coroutine: Any = task.get_coro()
        names: list[str] = []
        while frame := getattr(coroutine, "cr_frame", None):
            names += filter(None, [name_of(frame)])
            coroutine = coroutine.cr_await
        if any("ToolRegistry.call" in name for name in names):
            yield names


async def traced(emulator: Emulator) -> Trace:
    """Trace the second call of a session: the first one also opens connections and fills caches."""
    trace = Trace()
    async with connect(leading_to(emulator)) as client:
        await client.call_tool("house-chat", {"prompt": "Hi"})
        sys.setprofile(trace)
        try:
            await client.call_tool("house-chat", {"prompt": "Hi"})
        finally:
            sys.setprofile(None)
    return trace


async def test_one_call_is_short_enough_to_follow(emulator: Emulator) -> None:
    trace = await traced(emulator)

    assert "inference/inference.py:Inference.run" in trace.functions
    assert len(trace.functions) <= MAX_FUNCTIONS, sorted(trace.functions)
    assert 0 < len(trace.frames) <= MAX_FRAMES, trace.frames


async def main() -> None:
    async with run_emulator() as emulator:
        trace = await traced(emulator)
    print("\n".join(sorted(trace.functions)))  # noqa: T201 - a list for a person
    print(f"\n{len(trace.functions)} functions; the frames, innermost first:\n")  # noqa: T201 - the same
    print("\n".join(trace.frames))  # noqa: T201 - the same


if __name__ == "__main__":
    asyncio.run(main())
