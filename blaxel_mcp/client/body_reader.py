"""Reads a response body as it arrives, decodes it and enforces a size limit.

httpx decompresses each chunk without a bound (`httpx/_decoders.py`): measured with httpx 0.28, one 64 KiB chunk of gzip
became 64 MiB before a caller could count a byte. The decoder here never produces more than the limit leaves room for.
"""

import io
import math
import re
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress

import anyio.lowlevel

from blaxel_mcp.client.errors.network import too_large, undecodable
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.media_types import media_type_of

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_IDENTITY = ("", "identity")
_REFUSED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "lz4", "snappy", "xz", "bzip2"})
"""Real compressions. Like browsers, the reader ignores any other name if the body can be read without decoding."""

_UNCOMPRESSED = b"{[:de \t\r\n"
"""First bytes of JSON and of events, with which neither gzip nor deflate begins: a proxy that decompresses a body may
leave its header as it was."""

_FEED_BYTES = 8 * 1024
"""Encoded bytes that are decoded in one turn of the event loop; gzip can expand them a thousandfold."""

_PIECE_BYTES = 64 * 1024
"""Bytes that are decoded at once: a bound on the memory used in addition to the body."""

OnBytes = Callable[[bytes], float]
"""Takes decoded bytes as they arrive, and returns for how many seconds the rest is worth waiting: infinity while it is
needed, `END_SECONDS` if nothing of it is."""

END_SECONDS = 0.2
"""How long to wait for the end of a body that is no longer needed, so that its connection can be reused."""


class BodyReader:
    """Decoder of one response body, fed chunk by chunk; the decoded body has at most `limit` bytes.

    Attributes:
        is_plain: Whether the body is not encoded, so that no chunk becomes longer.
        patience: For how many seconds `on_bytes` waits for more.
    """

    def __init__(self, content_encoding: str, *, limit: int, on_bytes: OnBytes | None = None) -> None:
        self._limit = limit
        self._on_bytes = on_bytes
        self.patience = math.inf
        # Unlike a bytearray, it becomes `bytes` without a copy.
        self._decoded = io.BytesIO()
        encodings = [token for token in re.split(r"[,\s]+", content_encoding.lower()) if token not in _IDENTITY]
        known = [encoding for encoding in encodings if encoding in _WINDOW_BITS or encoding in _REFUSED]
        self._is_known = known == encodings
        self._is_refused = len(known) > 1 or not _WINDOW_BITS.keys() >= {*known}
        self._decoder = _ZlibDecoder(_WINDOW_BITS[known[0]]) if known and not self._is_refused else None
        self._has_begun = not known
        self.is_plain = not known

    @property
    def body(self) -> bytes:
        """The bytes decoded so far."""
        return self._decoded.getvalue()

    def feed(self, chunk: bytes) -> None:
        """Decode the next chunk.

        Raises:
            BlaxelError: `response_too_large`, after which `body` is as long as the limit allows,
                or `bad_response` for bytes that are not in the declared encoding, or in one that was not requested.
        """
        if chunk and not self._has_begun:
            self._has_begun = True
            # Other compressions may begin with white space or a letter, and hardly with a bracket.
            if chunk[0] in (_UNCOMPRESSED[:2] if self._is_refused else _UNCOMPRESSED):
                self._decoder, self._is_known = None, False
            elif self._is_refused:
                raise undecodable("is in a compression that was not requested")
        while chunk:
            room = self._limit - self._decoded.tell()
            # One byte more than there is room for shows that there is more.
            if self._decoder is None:
                piece, chunk = chunk[: room + 1], chunk[room + 1 :]
            else:
                piece, chunk = self._decoder.decode(chunk, min(room + 1, _PIECE_BYTES))
            kept = piece if len(piece) <= room else piece[:room]
            self._decoded.write(kept)
            if self._on_bytes and piece:
                self.patience = self._on_bytes(kept)
            if kept is not piece:
                raise too_large(self._limit)

    def finish(self) -> bytes:
        """Return the decoded body; raises BlaxelError (`bad_response`) if it ended in the middle of its encoding."""
        if self._decoder and not self._decoder.complete:
            raise undecodable("ended in the middle of its compressed body")
        body = self._decoded.getvalue()
        if not self._is_known and media_type_of(body) is None:
            # An unknown encoding, such as `UTF-8`, is ignored only if the body can be read without decoding.
            try:
                body.decode()
            except UnicodeDecodeError:
                raise undecodable("is in a compression that was not requested") from None
        return body


class _ZlibDecoder:
    """Decoder of gzip and deflate."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._stream = zlib.decompressobj(window_bits)
        # No bytes at all are an empty body in any encoding.
        self.complete = True

    def decode(self, chunk: bytes, limit: int) -> tuple[bytes, bytes]:
        """Return up to `limit` decoded bytes, and the rest of the chunk to be decoded next."""
        if self._stream.eof:
            # A gzip body (RFC 1952, section 2.2) is any number of members in a row.
            self._stream = zlib.decompressobj(self._window_bits)
        try:
            piece = self._stream.decompress(chunk, limit)
        except zlib.error as error:
            raise undecodable("is not in its declared encoding") from error
        self.complete = self._stream.eof
        return piece, self._stream.unused_data if self.complete else self._stream.unconsumed_tail


async def read_whole(
    chunks: AsyncIterable[bytes], content_encoding: str, *, limit: int, on_bytes: OnBytes | None = None
) -> bytes:
    """Read and decode a complete body; raises BlaxelError (`response_too_large` or `bad_response`)."""
    reader = BodyReader(content_encoding, limit=limit, on_bytes=on_bytes)
    has_ended = await _feed(reader, chunks)
    return reader.finish() if has_ended and reader.patience > END_SECONDS else reader.body


async def read_some(
    chunks: AsyncIterable[bytes],
    content_encoding: str,
    *,
    limit: int,
    seconds: float = math.inf,
    tolerated: tuple[type[Exception], ...] = (),
) -> bytes:
    """Read and decode as much of a body as arrives within the limits, until its end or a `tolerated` exception."""
    reader = BodyReader(content_encoding, limit=limit)
    with suppress(BlaxelError, *tolerated), anyio.move_on_after(seconds):
        await _feed(reader, chunks)
    return reader.body


async def _feed(reader: BodyReader, chunks: AsyncIterable[bytes]) -> bool:
    """Feed the reader with a body, and return whether its end came before the reader had enough of waiting."""
    iterator = aiter(chunks)
    async for chunk in iterator:
        if reader.is_plain:
            reader.feed(chunk)
        else:
            await _feed_in_steps(reader, chunk)
        if reader.patience < math.inf:
            return await _feed_patiently(reader, iterator)
    return True


async def _feed_patiently(reader: BodyReader, chunks: AsyncIterator[bytes]) -> bool:
    """Feed the reader with the rest of a body, and wait no longer for a chunk than the reader does."""
    latest = anyio.current_effective_deadline()

    def wait_until() -> float:
        # Half of what is left, so that an answer without an end marker is not lost to the call's deadline.
        now = anyio.current_time()
        return now + min(reader.patience, (latest - now) / 2)

    with anyio.CancelScope(deadline=wait_until()) as scope:
        async for chunk in chunks:
            if reader.patience > END_SECONDS:
                await _feed_in_steps(reader, chunk)
                scope.deadline = wait_until()
    return not scope.cancelled_caught


async def _feed_in_steps(reader: BodyReader, chunk: bytes) -> None:
    """Feed the reader with a chunk that may become longer, with turns of the event loop in between."""
    for start in range(0, len(chunk), _FEED_BYTES):
        reader.feed(chunk[start : start + _FEED_BYTES])
        await anyio.lowlevel.checkpoint()
