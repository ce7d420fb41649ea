"""Choice of decoder and assembler: by the API that was called, or by the shape of the first events."""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence

from blaxel_mcp.apis.reported_errors import reported_in_event
from blaxel_mcp.apis.streams.assembler import DONE, HEARTBEATS, Assembler, json_or_text, kind_of
from blaxel_mcp.apis.streams.chat_completions import ChatCompletionsAssembler
from blaxel_mcp.apis.streams.cohere import CohereChatAssembler, CohereChatV1Assembler
from blaxel_mcp.apis.streams.decoders import (
    Event,
    EventDecoder,
    JSONArrayDecoder,
    NDJSONDecoder,
    ServerSentEventDecoder,
)
from blaxel_mcp.apis.streams.generic import GenericAssembler
from blaxel_mcp.apis.streams.google import GEMINI_STREAM, GenerateContentAssembler, InteractionsAssembler
from blaxel_mcp.apis.streams.media import ImagesAssembler, SpeechAssembler, TranscriptionsAssembler
from blaxel_mcp.apis.streams.messages import MessagesAssembler
from blaxel_mcp.apis.streams.ollama import OllamaAssembler
from blaxel_mcp.apis.streams.responses import ResponsesAssembler

_NDJSON_TYPES = tuple(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonlines", "stream+json"))
"""Media types of newline-delimited JSON; the last is that of Cohere's version 1."""

_EVENTS = re.compile(rb"(?:(?:event|id|retry)?:[^\r\n]*[\r\n]+)*data: ?[\[{]")
"""The beginning of server-sent events with JSON in them."""

_FORMATS: tuple[type[Assembler], ...] = (
    *(ResponsesAssembler, MessagesAssembler, CohereChatAssembler, CohereChatV1Assembler, TranscriptionsAssembler),
    *(SpeechAssembler, ImagesAssembler, InteractionsAssembler, OllamaAssembler, GenerateContentAssembler),
    ChatCompletionsAssembler,
)
"""Every known format, those whose events have a distinctive kind first."""

_MAX_UNDECIDED = 4
"""Objects in no known format after which a stream counts as one of an unknown format."""

_MAX_PENDING = 200
"""Events of any kind, heartbeats included, after which the format is not waited for any longer."""


def event_decoder(content_type: str, path: str = "") -> EventDecoder | None:
    """Return the decoder for a response body, or None if the body is not a stream of events.

    Args:
        content_type: The response's Content-Type.
        path: The sub-endpoint that was called: Gemini streams JSON unless the query has `alt=sse`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json" and path.partition("?")[0].endswith(GEMINI_STREAM):
        return JSONArrayDecoder()
    if media_type == "text/event-stream":
        return ServerSentEventDecoder()
    return NDJSONDecoder() if media_type in _NDJSON_TYPES else None


def decoder_by_content(start: bytes) -> EventDecoder | None:
    """Return the decoder for a body of any declared type; None if its start does not show a stream of events.

    Args:
        start: The first bytes of the body. The start of JSON lines is two lines, the first in a known format.
    """
    text = start.removeprefix(BOM_UTF8).lstrip()
    if _EVENTS.match(text):
        return ServerSentEventDecoder()
    first, newline, rest = text.partition(b"\n")
    if not newline or not first.startswith(b"{") or not rest.lstrip().startswith(b"{"):
        return None
    value = json_or_text(first.decode("utf-8", "replace"))
    is_known = isinstance(value, dict) and any(each.recognizes(kind_of("", value), value) for each in _FORMATS)
    return NDJSONDecoder() if is_known else None


def has_stream_format(path: str) -> bool:
    """Return whether the streams of a sub-endpoint are in a known format."""
    return _format_at(path) is not None


def _format_at(path: str) -> type[Assembler] | None:
    plain_path = path.partition("?")[0]
    return next((assembler for assembler in _FORMATS if plain_path.endswith(assembler.path_ends)), None)


class FormatChooser:
    """Chooses the assembler of one stream by its first events, each of which is parsed once.

    The API that was called decides if one of the events is in its format. Otherwise the events decide: an endpoint may
    answer in another format than its path suggests.

    Args:
        api: The name of the API that was called, or the sub-endpoint; None if neither is known.
    """

    def __init__(self, api: str | None) -> None:
        by_name = (assembler for assembler in _FORMATS if api and assembler.api == api)
        self._expected = next(by_name, None) or _format_at(api or "")
        self._pending: list[Event] = []
        self._undecided = 0

    def choose(self, events: Sequence[Event], *, ended: bool = False) -> Assembler | None:
        """Return the assembler, fed with all events so far; None if more are needed to choose one.

        Raises:
            UpstreamError: `response_too_large`: the events hold more values than one answer may.
        """
        chosen = None
        for event in events:
            chosen = chosen or self._format_of(event)
            self._pending.append(event)
        if self._undecided > _MAX_UNDECIDED or len(self._pending) > _MAX_PENDING or (ended and self._pending):
            chosen = chosen or (self._expected if not self._undecided else None) or GenericAssembler
        if chosen is None:
            return None
        assembler = chosen()
        for event in self._pending:
            assembler.feed(event)
        return assembler

    def _format_of(self, event: Event) -> type[Assembler] | None:
        """Return the format that an event shows; None if it shows none, which is counted if it holds an object."""
        value = json_or_text(event.data) if event.data.lstrip().startswith("{") else None
        data = value if isinstance(value, dict) else {}
        kind = kind_of(event.name, data)
        expected = self._expected
        is_error = data.get("error") or kind == "error" or (expected and reported_in_event(data))
        if expected and (expected.recognizes(kind, data) or is_error or event.data == DONE):
            return expected
        self._undecided += bool(data) and kind not in HEARTBEATS
        return next((assembler for assembler in _FORMATS if assembler.recognizes(kind, data)), None)
