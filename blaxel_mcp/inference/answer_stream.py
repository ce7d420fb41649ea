"""An answer that comes as a stream of events: followed while it comes, whole or in part at the end."""

from collections.abc import Callable, Mapping
from typing import Any

from blaxel_mcp.apis.streams import Assembler, Event, EventDecoder, assembler_for, event_decoder, incomplete_reason
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, UpstreamError
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.inference.receipt import Progress

_COMPARED = 32
"""Characters by which a text that has grown is told from another one."""

_FRACTION_TOLD = 200
"""By which part a text has to have grown to be told again: with each event, a long one would take its square."""

_NO_ANSWER = "The stream ended before any of the answer had come."


class AnswerStream:
    """Follows one answer. One that is no stream passes it by.

    Args:
        api: The name of the API that was called; None where it is not known.
        path: The sub-endpoint that was called.
        live: Is kept up to date with what has come.
        redact: Takes our secrets out of what upstream sent.
        begun_in: Says how many bytes at the end of what has come may be the beginning of one.
    """

    def __init__(
        self,
        api: str | None,
        path: str,
        live: Progress,
        redact: Callable[[bytes], bytes],
        begun_in: Callable[[bytes], int] = lambda _: 0,
    ) -> None:
        self._api = api
        self._path = path
        self._live = live
        self._redact = redact
        self._shown = _ShownText(redact, begun_in)
        self._decoder: EventDecoder | None = None
        self._assembler: Assembler | None = None
        self._told_characters = 0

    def listen(self, headers: Mapping[str, str]) -> Callable[[bytes], None] | None:
        """What takes the body of a response with these headers as it comes; None if it is no stream."""
        self._decoder = event_decoder(headers.get("content-type", ""), self._path)
        return self._take if self._decoder else None

    @property
    def found(self) -> bool:
        """Whether the response is a stream."""
        return self._decoder is not None

    def answer(self, status: int) -> JSONAnswer:
        """The answer, in the shape that the provider gives without a stream.

        Raises:
            UpstreamError: the stream ended before the answer did; `partial` holds what had come.
        """
        assert self._decoder is not None
        self._add(self._decoder.finish())
        if self._assembler is None:
            raise _broken(_NO_ANSWER, status)
        reason = incomplete_reason(self._assembler, unfinished=self._decoder.unfinished, clean=self._clean)
        if reason:
            error = _broken(reason, status, by_provider=self._assembler.error is not None)
            error.partial = self._so_far()
            raise error
        self._live.tell(self._shown.follow(self._assembler.text, ended=True))
        return self._json(self._assembler.value())

    def keep_part(self, error: BlaxelError) -> None:
        """Have an error that ended the reading hold what had come until then."""
        if self._assembler is not None:
            error.partial = self._so_far()

    def _take(self, chunk: bytes) -> None:
        assert self._decoder is not None
        self._add(self._decoder.feed(chunk))

    def _add(self, events: list[Event]) -> None:
        for event in events:
            if self._assembler is None:
                self._assembler = assembler_for(self._api or self._path, event)
            self._assembler.feed(event)
        if events and self._assembler is not None:
            self._tell(self._assembler)

    def _tell(self, assembler: Assembler) -> None:
        if assembler.characters > self._told_characters + self._told_characters // _FRACTION_TOLD:
            self._told_characters = assembler.characters
            self._live.tell(self._shown.follow(assembler.text))

    def _so_far(self) -> str:
        assert self._assembler is not None
        return self._shown.follow(self._assembler.text) or self._clean(json_text.dump(self._assembler.value()))

    def _json(self, value: Any) -> JSONAnswer:
        text = self._clean(json_text.dump(value))
        return JSONAnswer(text, json_text.parse(text))

    def _clean(self, text: str) -> str:
        return self._redact(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


class _ShownText:
    """A growing text without our secrets. Only what is new of it is looked through, for it may grow very long.

    Args:
        redact: Takes our secrets out.
        begun_in: Says how much at the end may be the beginning of one, which is kept back until more has come.
    """

    def __init__(self, redact: Callable[[bytes], bytes], begun_in: Callable[[bytes], int]) -> None:
        self._redact = redact
        self._begun_in = begun_in
        self._shown = ""
        self._taken = 0
        self._last = ""

    def follow(self, text: str, *, ended: bool = False) -> str:
        """Return what may be shown of the text as far as it has come; all of it once it has ended."""
        if text[max(0, self._taken - _COMPARED) : self._taken] != self._last:
            # Another part of the answer has come to stand before what was the text until now.
            self._shown, self._taken = "", 0
        new = text[self._taken :].encode("utf-8", "surrogatepass")
        kept_back = 0 if ended else self._begun_in(new)
        taken = new[: len(new) - kept_back]
        self._shown += self._redact(taken).decode("utf-8", "replace")
        self._taken += len(taken.decode("utf-8", "surrogatepass"))
        self._last = text[max(0, self._taken - _COMPARED) : self._taken]
        return self._shown


def _broken(reason: str, status: int, *, by_provider: bool = False) -> UpstreamError:
    return UpstreamError(
        reason,
        code="provider_error" if by_provider else "bad_response",
        origin="provider" if by_provider else "network",
        hint="What had come until then follows, if anything had. It was probably paid for.",
        billed="maybe",
        status=status,
    )
