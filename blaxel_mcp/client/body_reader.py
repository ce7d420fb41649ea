"""Reads a response body while it arrives, decodes it and holds it to a limit.

A kilobyte of gzip can stand for megabytes. The decoder here is never asked for more than the
limit leaves room for, so what a response costs in memory is bounded whoever sent it.
"""

import io
import math
import zlib
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import Protocol

import anyio.lowlevel

from blaxel_mcp.core.exceptions import BlaxelError, UpstreamError

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS

# Decoded between two turns of the event loop: as gzip it can stand for a thousand times as much.
_FEED_BYTES = 8 * 1024

_PIECE_BYTES = 64 * 1024
"""Decoded at a time, so that little is held beside the body itself."""


OnBytes = Callable[[bytes], None]


class BodyReader:
    """Takes a body's chunks as they come off the wire; `finish` gives the decoded whole.

    Args:
        content_encoding: The response's Content-Encoding; empty for none.
        limit: The most decoded bytes that are kept.
        on_bytes: Is handed the decoded bytes as they come.

    Raises:
        UpstreamError: `bad_response`: the encoding is not one that was asked for.
    """

    def __init__(self, content_encoding: str, *, limit: int, on_bytes: OnBytes | None = None) -> None:
        self._limit = limit
        self._on_bytes = on_bytes
        # Unlike a bytearray's, its content becomes `bytes` without a copy.
        self._kept = io.BytesIO()
        self._decoder = _decoder(content_encoding.strip().lower())

    @property
    def body(self) -> bytes:
        """What has been decoded so far."""
        return self._kept.getvalue()

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises:
            BlaxelError: `response_too_large`, after which `body` holds as much as the limit allows,
                or `bad_response` for bytes that are not in the declared encoding.
        """
        while chunk:
            room = self._limit - self._kept.tell()
            # One byte more than there is room for shows that there is more.
            piece, chunk = self._decoder.decode(chunk, min(room + 1, _PIECE_BYTES))
            self._kept.write(piece[:room])
            if self._on_bytes and piece:
                self._on_bytes(piece[:room])
            if len(piece) > room:
                raise _too_large(self._limit)

    def finish(self) -> bytes:
        """Return the decoded body.

        Raises:
            UpstreamError: `bad_response`: the body ended in the middle of its encoding.
        """
        if not self._decoder.complete:
            raise _corrupt("ended before its compressed body did")
        return self.body


class _Decoder(Protocol):
    complete: bool

    def decode(self, chunk: bytes, most: int) -> tuple[bytes, bytes]:
        """Return up to `most` decoded bytes, and what of the chunk is left for the next time."""


class _Plain:
    """Bytes as they are."""

    complete = True

    def decode(self, chunk: bytes, most: int) -> tuple[bytes, bytes]:
        return chunk[:most], chunk[most:]


class _Inflater:
    """Decodes gzip and deflate."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._stream = zlib.decompressobj(window_bits)
        # No bytes at all are an empty body, whatever its encoding.
        self.complete = True

    def decode(self, chunk: bytes, most: int) -> tuple[bytes, bytes]:
        if self._stream.eof:
            # gzip (RFC 1952, section 2.2) is any number of members, one after another.
            self._stream = zlib.decompressobj(self._window_bits)
        try:
            piece = self._stream.decompress(chunk, most)
        except zlib.error as error:
            raise _corrupt("has a body that is not in its declared encoding") from error
        self.complete = self._stream.eof
        return piece, self._stream.unused_data if self.complete else self._stream.unconsumed_tail


def _decoder(content_encoding: str) -> _Decoder:
    match content_encoding:
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Inflater(_GZIP)
        case "deflate":
            return _Inflater(_ZLIB)
    raise _corrupt("is in a compression that was not asked for")


def _corrupt(what: str) -> UpstreamError:
    return UpstreamError(
        f"The response {what}.",
        code="bad_response",
        origin="network",
        hint="The model has probably run and been paid for. Something between here and Blaxel may change responses.",
        billed="maybe",
    )


def _too_large(limit: int) -> BlaxelError:
    return UpstreamError(
        f"The response is larger than {limit} bytes, the setting limits.max_response_bytes; the rest was not read.",
        code="response_too_large",
        origin="local",
        hint="Ask the model for less, or raise the setting. The call was paid for, so sending it again costs again.",
        billed="yes",
    )


async def read_whole(
    chunks: AsyncIterable[bytes], content_encoding: str, *, limit: int, on_bytes: OnBytes | None = None
) -> bytes:
    """Read a body to its end.

    Args:
        chunks: The body as it comes off the wire.
        content_encoding: The response's Content-Encoding; empty for none.
        limit: The most decoded bytes that are taken.
        on_bytes: Is handed the decoded bytes as they come.

    Raises:
        BlaxelError: As `BodyReader` says.
    """
    reader = BodyReader(content_encoding, limit=limit, on_bytes=on_bytes)
    await _feed(reader, chunks)
    return reader.finish()


async def read_some(
    chunks: AsyncIterable[bytes],
    content_encoding: str,
    *,
    limit: int,
    seconds: float = math.inf,
    breaks: tuple[type[Exception], ...] = (),
) -> bytes:
    """Read as much of a body as can be had, and do without the rest.

    Args:
        chunks: The body as it comes off the wire.
        content_encoding: The response's Content-Encoding; empty for none.
        limit: The most decoded bytes that are taken.
        seconds: How long the reading may take.
        breaks: What `chunks` raises where it ends early.
    """
    with suppress(BlaxelError):
        reader = BodyReader(content_encoding, limit=limit)
        with suppress(BlaxelError, *breaks), anyio.move_on_after(seconds):
            await _feed(reader, chunks)
        return reader.body
    return b""


async def _feed(reader: BodyReader, chunks: AsyncIterable[bytes]) -> None:
    async for chunk in chunks:
        for start in range(0, len(chunk), _FEED_BYTES):
            reader.feed(chunk[start : start + _FEED_BYTES])
            await anyio.lowlevel.checkpoint()
