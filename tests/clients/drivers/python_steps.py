"""The steps of a test for a Python client: one JSON object on each line of stdin, and its result on stdout.

It runs in the virtual environment of the client, where nothing of this project is installed;
`driving.py` writes the lines.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Step = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def given() -> tuple[dict[str, Any], str]:
    """Return the server and the era from the command line."""
    server, era = sys.argv[1:]
    return json.loads(server), era


async def take(steps: Mapping[str, Step]) -> None:
    """Take the steps on stdin to their end; a failure is the result of a step."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        try:
            outcome = await steps[asked.pop("step")](asked)
        except Exception as error:  # noqa: BLE001 - the test wants to see any exception of a client
            outcome = {"raised": f"{type(error).__name__}: {error}"}
        print(json.dumps(outcome), flush=True)  # noqa: T201 - the test reads it


class Calls:
    """Calls that were started and are not waited for.

    Args:
        call: Calls a tool by name and arguments.
    """

    def __init__(self, call: Step) -> None:
        self._call = call
        self._running: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Start a call."""
        self._running[asked["name"]] = asyncio.ensure_future(self._call(asked))
        return {}

    async def cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Cancel a call, and return how it ended."""
        task = self._running.pop(asked["name"])
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return {"raised": "CancelledError"}
