"""Which format a stream is in: known from the API that was called, else seen in its first event."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.streams.assembler import Assembler, bounded_json, text_in
from blaxel_mcp.apis.streams.chat_completions import OpenAIChat
from blaxel_mcp.apis.streams.cohere_chat import CohereChat
from blaxel_mcp.apis.streams.events import Event, EventDecoder
from blaxel_mcp.apis.streams.generate_content import GeminiContent
from blaxel_mcp.apis.streams.generic import GenericEvents
from blaxel_mcp.apis.streams.json_array import JSONArrayDecoder
from blaxel_mcp.apis.streams.line_decoders import NDJSONDecoder, ServerSentEventDecoder
from blaxel_mcp.apis.streams.messages import AnthropicMessages
from blaxel_mcp.apis.streams.responses import OpenAIResponses

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

_ASSEMBLERS: Mapping[str, Callable[[], Assembler]] = MappingProxyType(
    {
        "chat-completions": OpenAIChat,
        "responses": OpenAIResponses,
        "messages": AnthropicMessages,
        "generate-content": GeminiContent,
        "cohere-chat": CohereChat,
    }
)

_BY_PATH: tuple[tuple[str, Callable[[], Assembler]], ...] = (
    ("/completions", OpenAIChat),
    ("/responses", OpenAIResponses),
    ("/messages", AnthropicMessages),
    (_GEMINI_STREAM, GeminiContent),
    ("/v2/chat", CohereChat),
)
"""How a sub-endpoint ends that streams in a format."""

_BY_KIND: Mapping[str, Callable[[], Assembler]] = MappingProxyType(
    {"message_start": AnthropicMessages, "message-start": CohereChat}
)
"""What the first event is called where events have names; those of OpenAI's responses share a prefix."""

_BY_FIELD: tuple[tuple[str, Callable[[], Assembler]], ...] = (
    ("choices", OpenAIChat),
    ("candidates", GeminiContent),
    ("promptFeedback", GeminiContent),
)
"""A field that the first event has where events have no names."""


def event_decoder(content_type: str, path: str = "") -> EventDecoder | None:
    """Return the decoder for a body of this type, or None where it is not a stream of events.

    Args:
        content_type: The response's Content-Type.
        path: The sub-endpoint that was called: Gemini's streams are JSON when no `alt=sse` asks for events.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json" and _without_query(path).endswith(_GEMINI_STREAM):
        return JSONArrayDecoder()
    decoder = _DECODERS.get(media_type)
    return decoder() if decoder else None


def assembler_for(api: str | None, first: Event) -> Assembler:
    """Return the assembler for a stream, which is then fed all events, the first among them.

    Args:
        api: The name of the API that was called, or the sub-endpoint; None where neither is known.
        first: The first event, whose shape tells where `api` does not.
    """
    known = _ASSEMBLERS.get(api or "") or _by_path(_without_query(api or ""))
    return (known or _by_shape(first))()


def _by_path(path: str) -> Callable[[], Assembler] | None:
    return next((assembler for end, assembler in _BY_PATH if path.endswith(end)), None)


def _by_shape(first: Event) -> Callable[[], Assembler]:
    data = _object_of(first)
    kind = text_in(data, "type") or first.name
    if kind.startswith("response."):
        return OpenAIResponses
    by_field = (assembler for name, assembler in _BY_FIELD if name in data)
    return _BY_KIND.get(kind) or next(by_field, GenericEvents)


def _object_of(event: Event) -> Mapping[str, Any]:
    try:
        data = bounded_json(event.data)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _without_query(path: str) -> str:
    return path.partition("?")[0]
