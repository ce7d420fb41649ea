"""Answers of the emulator that wait for the test: calls stay in flight exactly as long as it needs them to."""

import json

import anyio

from blaxel_mcp.emulator import Emulator, Upstream


class HeldAnswers(Upstream):
    """The upstream of an emulator: every chat completion and embedding waits until `release`."""

    def __init__(self, emulator: Emulator) -> None:
        self._released = anyio.Event()
        emulator.upstream = self

    def release(self) -> None:
        """Answer the requests that wait, and each later one at once."""
        self._released.set()

    async def post(self, _path: str, _body: bytes) -> tuple[int, str, bytes]:
        await self._released.wait()
        message = {"role": "assistant", "content": "At last."}
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return 200, "application/json", json.dumps(answer).encode()
