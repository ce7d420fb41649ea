"""An upstream that answers with bytes of the test, which no HTTP library would write."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

Written = Callable[[], Iterable[bytes]]
"""Returns the pieces of an answer to a request; the connection stays open after them."""

_MODEL = re.compile(rb"/models/([\w.-]+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LONGEST_HEAD = 64 * 1024


def answer(body: bytes, *, length: int | None = None) -> bytes:
    """Return a valid answer, except for the length that it announces."""
    length = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (length, body)


@asynccontextmanager
async def raw_upstream(answers: Mapping[str, Written]) -> AsyncIterator[str]:
    """Serve on a free port of loopback while the context lasts.

    Args:
        answers: What to write for each model, by its name.

    Yields:
        The base URL.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's `extra`, not Django's
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, partial(_serve, answers))
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()


async def _serve(answers: Mapping[str, Written], connection: SocketStream) -> None:
    """Answer request after request, until the client closes."""
    async with connection:
        requests = BufferedByteReceiveStream(connection)
        try:
            while True:
                head = await requests.receive_until(b"\r\n\r\n", _LONGEST_HEAD)
                length = _LENGTH.search(head)
                await requests.receive_exactly(int(length[1]) if length else 0)
                model = _MODEL.search(head)
                for piece in answers[model[1].decode() if model else ""]():
                    await connection.send(piece)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            # The client closes the connection at most of these answers.
            return
