"""An answer that arrives as a stream of events: shown as it arrives, assembled at the end."""

import math
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any, Literal

from blaxel_mcp.apis.streams import (
    Assembler,
    Event,
    EventDecoder,
    FormatChooser,
    decoder_by_content,
    event_decoder,
)
from blaxel_mcp.budget.usage import Usage, plausible_usage, read_usage
from blaxel_mcp.client.body_reader import END_SECONDS
from blaxel_mcp.client.errors.classify import error_in_success
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import ErrorCode, UpstreamError
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.inference.progress import Progress

_COMPARED_CHARS = 32
"""Characters before the end of the shown text that must be unchanged for a longer text to continue it."""

_MIN_GROWTH = 200
"""Progress is reported when the text has grown by 1/200: reporting every event would be quadratic."""

_BILLED = "It was probably billed."

_MAX_START = 16 * 1024
"""Bytes of a body within which a stream of events shows that it is one."""

_JSON_STARTS = (b"{", b"[")


class AnswerStream:
    """Follows one response; a response that is not a stream is not read.

    Args:
        api: The name of the API that was called; None if it is not known.
        path: The sub-endpoint that was called.
        progress: Updated with the text received so far.
        redact: Removes our secrets from upstream's bytes.
        partial_secret_length: Returns how many bytes at the end may be the beginning of a secret.
        writes: Whether the answer is text that the model writes.
        expected: Whether a body of another declared type is a stream if it begins like one.

    Attributes:
        is_stream: Whether the response is a stream of events.
        first_chunk_at: When the first part of the body arrived, by `time.perf_counter`.
    """

    def __init__(
        self,
        api: str | None,
        path: str,
        progress: Progress,
        redact: Callable[[bytes], bytes],
        partial_secret_length: Callable[[bytes], int] = lambda _: 0,
        *,
        writes: bool = True,
        expected: bool = False,
    ) -> None:
        self.is_stream = False
        self.first_chunk_at: float | None = None
        self._writes = writes
        self._expected = expected
        self._start: bytearray | None = None
        self._path = path
        self._progress = progress
        self._redact = redact
        self._partial_secret_length = partial_secret_length
        self._shown: _RedactedText | None = None
        self._decoder: EventDecoder | None = None
        self._assembler: Assembler | None = None
        self._chooser = FormatChooser(api or path)
        self._reported_chars = 0
        self._received_bytes = 0

    def listen(self, headers: Mapping[str, str]) -> Callable[[bytes], float] | None:
        """Return the consumer of a body with these response headers; None if it is neither a stream nor written text.

        The consumer returns for how many seconds the rest of the body is worth waiting. A body that is no stream is
        only measured, so that an interrupted one counts by its length.
        """
        decoder = event_decoder(headers.get("content-type", ""), self._path)
        if decoder:
            self._follow(decoder)
        # What is declared may be wrong either way: a provider that cannot stream answers with plain JSON.
        self._start = bytearray() if decoder or self._expected else None
        return self._consume if decoder or self._expected or self._writes else None

    def _follow(self, decoder: EventDecoder | None) -> None:
        self._decoder = decoder
        self.is_stream = decoder is not None
        if decoder:
            self._progress.source = self._text_so_far
            self._shown = _RedactedText(self._redact, self._partial_secret_length)

    def finish(self) -> None:
        """Decide whether a body that has ended is a stream, if it was too short to show that before."""
        if self._start is not None and (rest := self._recognize(ended=True)) and self._decoder:
            self._add(self._decoder.feed(rest))

    def answer(self, status: int) -> JSONAnswer:
        """Return the complete answer, in the shape that the provider gives without a stream.

        Raises:
            UpstreamError: The stream ended before the answer did; `partial` returns what arrived.
        """
        assert self._decoder is not None
        assert self._shown is not None
        self._add(self._decoder.finish(), ended=True)
        if self._assembler is None:
            raise _incomplete("The stream ended before any of the answer arrived.", status)
        reason = self._assembler.incomplete_reason(unfinished=self._decoder.unfinished, clean=self._clean)
        if reason:
            error = self._assembler.error
            failure = _incomplete(reason, status) if error is None else self._reported(error, reason, status)
            generated = error.get("failed_generation") if isinstance(error, dict) else None
            # Groq's name for the model's output, which is in no earlier event.
            failure.partial = self._clean(generated) if isinstance(generated, str) else ""
            raise failure
        shown = self._shown.advance(self._assembler.text, ended=True)
        self._progress.source = lambda: shown
        if self._progress.listener:
            self._progress.listener(shown)
        text = self._clean(json_text.dump(self._assembler.value()))
        return JSONAnswer(text, json_text.parse(text))

    def _reported(self, error: Any, reason: str, status: int) -> UpstreamError:
        """Return the error that an event reported, classified like the body of an error response."""
        read = error_in_success({"error": error}, status, None, redact=self._redact)
        if read.code == "provider_error":
            return _incomplete(reason, status, origin="provider")
        has_begun = self.has_begun
        hints = (_BILLED if has_begun else "", "" if has_begun and read.retryable else read.hint)
        return UpstreamError(
            reason,
            code=read.code,
            origin="provider",
            hint=" ".join(filter(None, hints)),
            retryable=read.retryable,
            retry_after_seconds=read.retry_after_seconds,
            billed="maybe" if has_begun else read.billed,
            unprocessed=read.unprocessed and not has_begun,
            status=status,
        )

    @property
    def has_begun(self) -> bool:
        """Whether some of the text has arrived."""
        return bool(self._assembler and self._assembler.characters)

    @property
    def characters(self) -> int:
        """The length of the text received so far; the whole body counts if it cannot be read before its end."""
        if self._assembler is None:
            return self._received_bytes
        return self._assembler.characters or len(self.partial())

    def usage_so_far(self) -> Usage | None:
        """Return the usage so far: as reported, or an estimate if the text is longer than that."""
        if not self._writes:
            return None
        reported = read_usage(self._assembler.value()) if self._assembler else None
        return plausible_usage(reported, self.characters, input_tokens=0)

    def partial(self) -> str:
        """Return the answer so far: its text, or its JSON if it has no text; empty for nothing."""
        if self._assembler is None:
            return ""
        return self._text_so_far() or self._clean(json_text.dump(self._assembler.value()))

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete, however the connection ends."""
        return self._assembler is not None and self._assembler.error is None and self._assembler.complete

    def _consume(self, chunk: bytes) -> float:
        if self.first_chunk_at is None:
            self.first_chunk_at = time.perf_counter()
        self._received_bytes += len(chunk)
        if self._start is not None:
            self._start += chunk
            # JSON in one line, as most answers are, is no stream.
            is_plain = not self._decoder and self._start.startswith(_JSON_STARTS) and b"\n" not in self._start
            if is_plain and len(self._start) > _MAX_START:
                self._start = None
            chunk = b"" if is_plain else self._recognize()
        if self._decoder and chunk:
            self._add(self._decoder.feed(chunk))
        if self._assembler is None:
            return math.inf
        if self._assembler.ended:
            return END_SECONDS
        is_done = self._assembler.error is not None or self._assembler.complete
        return self._assembler.linger_seconds if is_done else math.inf

    def _recognize(self, *, ended: bool = False) -> bytes:
        """Choose the decoder by the first bytes, and return those to decode; none if more are needed to choose one."""
        start = bytes(self._start or b"")
        first = start.removeprefix(BOM_UTF8).lstrip()[:1]
        if not (self._decoder and first and self._decoder.begins_with(first)):
            decoder = decoder_by_content(start)
            if decoder is None and not ended and len(start) <= _MAX_START:
                return b""
            if decoder or first in _JSON_STARTS:
                self._follow(decoder)
        self._start = None
        return start

    def _add(self, events: list[Event], *, ended: bool = False) -> None:
        if self._assembler is None:
            self._assembler = self._chooser.choose(events, ended=ended)
        else:
            for event in events:
                self._assembler.feed(event)
        if self._assembler is not None:
            characters, listener = self._assembler.characters, self._progress.listener
            if listener and characters > self._reported_chars + self._reported_chars // _MIN_GROWTH:
                self._reported_chars = characters
                listener(self._text_so_far())

    def _text_so_far(self) -> str:
        return self._shown.advance(self._assembler.text) if self._assembler and self._shown else ""

    def _clean(self, text: str) -> str:
        return self._redact(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


class _RedactedText:
    """A growing text without our secrets. Only the new part is searched, since the text may grow very long.

    Bytes at the end that may be the beginning of a secret are withheld until more arrives.
    """

    def __init__(self, redact: Callable[[bytes], bytes], partial_secret_length: Callable[[bytes], int]) -> None:
        self._redact = redact
        self._partial_secret_length = partial_secret_length
        self._shown = ""
        self._length = 0
        self._end = ""

    def advance(self, text: str, *, ended: bool = False) -> str:
        """Return the part of the text that may be shown; all of it once it has ended."""
        if text[max(0, self._length - _COMPARED_CHARS) : self._length] != self._end:
            # Another part of the answer now stands before the text shown so far.
            self._shown, self._length = "", 0
        new = text[self._length :].encode("utf-8", "surrogatepass")
        safe = new[: len(new) - (0 if ended else self._partial_secret_length(new))]
        self._shown += self._redact(safe).decode("utf-8", "replace")
        self._length += len(safe.decode("utf-8", "surrogatepass"))
        self._end = text[max(0, self._length - _COMPARED_CHARS) : self._length]
        return self._shown


def _incomplete(reason: str, status: int, *, origin: Literal["network", "provider"] = "network") -> UpstreamError:
    code: ErrorCode = "bad_response" if origin == "network" else "provider_error"
    return UpstreamError(reason, code=code, origin=origin, hint=_BILLED, billed="maybe", status=status)
