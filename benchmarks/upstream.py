"""The upstream of every measured server: a loopback HTTP server with prepared answers.

`python -m benchmarks.upstream` prints its port and serves until the end of its input. It parses no JSON: a model
name anywhere in the request selects the answer, so that every server can be used whichever path and body it sends.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from benchmarks.driver import ROOT
from benchmarks.models import EVENT_COUNT, EVENTS, LARGE, SLOW, SLOW_SECONDS, VERY_LARGE

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BACKLOG = 1024


def completion(**fields: Any) -> dict[str, Any]:
    """Return a short chat completion with these fields added."""
    message = {"role": "assistant", "content": "Hello there, how can I help?"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
        **fields,
    }


def records(size: int) -> dict[str, Any]:
    """Return a completion with as many records of text and numbers as fit into this many bytes of JSON."""
    record = {"id": "item-0001", "title": "A record of the answer", "score": 0.8316, "page": 12, "tags": ["a", "b"]}
    return completion(records=[record] * (size // (len(json.dumps(record)) + 2)))


def response(body: bytes, content_type: bytes = b"application/json") -> bytes:
    """Return a whole HTTP response."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (content_type, len(body)) + body


def event_stream(count: int) -> bytes:
    """Return a response with a chat completion in this many events, each in an HTTP chunk of its own."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": f"word{number} "}}]} for number in range(count - 1)]
    events = [
        *(json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", **each}) for each in deltas),
        "[DONE]",
    ]
    lines = [f"data: {event}\n\n".encode() for event in events]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"


SHORT_ANSWER = response(json.dumps(completion()).encode())


@cache
def answers() -> Mapping[bytes, bytes]:
    """Return the answers by the name of their model. The largest one takes a while to write."""
    return {
        LARGE.encode(): response(json.dumps(records(1_000_000)).encode()),
        VERY_LARGE.encode(): response(json.dumps(records(20_000_000)).encode()),
        EVENTS.encode(): event_stream(EVENT_COUNT),
    }


class Connection(asyncio.Protocol):
    """A connection that answers each complete request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are complete with this data."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n") + 4) > 3:  # noqa: PLR2004 - -1 + 4, no end of a head
            length = _LENGTH.search(self._received[: end - 2])
            end += int(length[1]) if length else 0
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if SLOW.encode() in request:
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._transport.write, SHORT_ANSWER)
        else:
            answer = next((answer for model, answer in answers().items() if model in request), SHORT_ANSWER)
            self._transport.write(answer)


async def serve(connection: type[Connection] = Connection) -> None:
    """Serve until the end of input, which is also the end of the process that started this one."""
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, backlog=_BACKLOG)
    answers()
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@contextmanager
def running() -> Iterator[str]:
    """Run the upstream in a process of its own, and yield its URL."""
    command = [sys.executable, "-m", "benchmarks.upstream"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve())
