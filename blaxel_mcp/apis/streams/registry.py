"""Choice of decoder and assembler: by the API that was called, otherwise by the shape of the first event."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from blaxel_mcp.apis.streams.assembler import Assembler, json_or_text, text_in
from blaxel_mcp.apis.streams.chat_completions import ChatCompletionsAssembler
from blaxel_mcp.apis.streams.cohere_chat import CohereChatAssembler
from blaxel_mcp.apis.streams.events import Event, EventDecoder
from blaxel_mcp.apis.streams.generate_content import GenerateContentAssembler
from blaxel_mcp.apis.streams.generic import GenericAssembler
from blaxel_mcp.apis.streams.json_array import JSONArrayDecoder
from blaxel_mcp.apis.streams.line_decoders import NDJSONDecoder, ServerSentEventDecoder
from blaxel_mcp.apis.streams.messages import MessagesAssembler
from blaxel_mcp.apis.streams.responses import ResponsesAssembler

_DECODERS: Mapping[str, Callable[[], EventDecoder]] = MappingProxyType(
    {
        "text/event-stream": ServerSentEventDecoder,
        "application/x-ndjson": NDJSONDecoder,
        "application/ndjson": NDJSONDecoder,
        "application/jsonl": NDJSONDecoder,
        "application/x-jsonlines": NDJSONDecoder,
    }
)

_GEMINI_STREAM = ":streamGenerateContent"

_BY_API: Mapping[str, type[Assembler]] = MappingProxyType(
    {
        "chat-completions": ChatCompletionsAssembler,
        "responses": ResponsesAssembler,
        "messages": MessagesAssembler,
        "generate-content": GenerateContentAssembler,
        "cohere-chat": CohereChatAssembler,
    }
)

_BY_PATH_SUFFIX: tuple[tuple[str, type[Assembler]], ...] = (
    ("/completions", ChatCompletionsAssembler),
    ("/responses", ResponsesAssembler),
    ("/messages", MessagesAssembler),
    (_GEMINI_STREAM, GenerateContentAssembler),
    ("/v2/chat", CohereChatAssembler),
)

_BY_KIND: Mapping[str, type[Assembler]] = MappingProxyType(
    {"message_start": MessagesAssembler, "message-start": CohereChatAssembler}
)
"""The kind of the first event, in formats whose events have one; those of the responses API share a prefix."""

_BY_FIELD: tuple[tuple[str, type[Assembler]], ...] = (
    ("choices", ChatCompletionsAssembler),
    ("candidates", GenerateContentAssembler),
    ("promptFeedback", GenerateContentAssembler),
)
"""A field of the first event, in formats whose events have no kind."""


def event_decoder(content_type: str, path: str = "") -> EventDecoder | None:
    """Return the decoder for a response body, or None if the body is not a stream of events.

    Args:
        content_type: The response's Content-Type.
        path: The sub-endpoint that was called: Gemini streams JSON unless the query has `alt=sse`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json" and path.partition("?")[0].endswith(_GEMINI_STREAM):
        return JSONArrayDecoder()
    decoder = _DECODERS.get(media_type)
    return decoder() if decoder else None


def assembler_for(api: str | None, first: Event) -> Assembler:
    """Return a new assembler for a stream; feed it every event, including the first.

    Args:
        api: The name of the API that was called, or the sub-endpoint; None if neither is known.
        first: The first event, whose shape decides if `api` does not.
    """
    path = (api or "").partition("?")[0]
    by_path = (assembler for suffix, assembler in _BY_PATH_SUFFIX if path.endswith(suffix))
    known = _BY_API.get(api or "") or next(by_path, None)
    return known() if known else _format_of(first)()


def _format_of(event: Event) -> type[Assembler]:
    """Return the assembler for the format that an event is in."""
    value = json_or_text(event.data)
    data = value if isinstance(value, dict) else {}
    kind = text_in(data, "type") or event.name
    if kind.startswith("response."):
        return ResponsesAssembler
    by_field = (assembler for name, assembler in _BY_FIELD if name in data)
    return _BY_KIND.get(kind) or next(by_field, GenericAssembler)
