"""Attributes of spans and metrics, by OpenTelemetry's conventions for generative AI."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub, shorten
from blaxel_mcp.inference.answers import FREE_APIS, BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.observers import Outcome, billed, name_or_none
from blaxel_mcp.inference.prepare import PreparedRequest

OTHER = "_OTHER"
"""OpenTelemetry's value for an unknown one, so that no caller can make a metric grow with invented names."""

_OPERATIONS: Mapping[str, str] = {
    "chat-completions": "chat",
    "responses": "chat",
    "messages": "chat",
    "cohere-chat": "chat",
    "generate-content": "generate_content",
}
"""The operations of APIs that OpenTelemetry has names for; the others have the API's own name."""

_PROVIDERS: Mapping[str, str] = {
    "azure-openai-service": "azure.ai.openai",
    "azure-ai-inference": "azure.ai.inference",
    "azure-marketplace": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""OpenTelemetry's names of providers, by Blaxel's types; the others are the same."""

_WORD = re.compile(r"[A-Za-z_-]{1,40}")

_MAX_REASONS = 16


def request_attributes(prepared: PreparedRequest, context: CallContext) -> dict[str, str | int | bool]:
    """Return the attributes of an attempt that is about to be sent."""
    url = urlsplit(prepared.request.url)
    return {
        "gen_ai.operation.name": _operation(prepared),
        "gen_ai.provider.name": _provider(context),
        "gen_ai.request.model": _request_model(prepared, context),
        "gen_ai.request.stream": isinstance(prepared.body, dict) and prepared.body.get("stream") is True,
        "server.address": url.hostname or OTHER,
        "server.port": url.port or (443 if url.scheme == "https" else 80),
        "blaxel.model": name_or_none(context.model) or OTHER,
        "blaxel.workspace": context.workspace or OTHER,
        "blaxel.call_id": context.call_id,
    }


def outcome_attributes(context: CallContext, outcome: Outcome) -> dict[str, Any]:
    """Return the attributes of an attempt that has ended; with an answer, also its model, end, usage and cost."""
    error, status = error_type(outcome), context.trace.status
    attributes: dict[str, Any] = {
        "error.type": error,
        "http.response.status_code": status,
        "blaxel.request_id": name_or_none(context.trace.request_id),
        "blaxel.attempts": context.trace.attempts,
        "blaxel.billed": billed(context, outcome),
    }
    if not isinstance(outcome, BaseException):
        value = outcome.value if isinstance(outcome, JSONAnswer) else None
        api = context.prepared.route.api.name if context.prepared and context.prepared.route.api else None
        named = value if isinstance(value, dict) and api not in FREE_APIS else {}
        attributes |= {
            "gen_ai.response.model": name_or_none(named.get("model") or named.get("modelVersion")),
            "gen_ai.response.finish_reasons": finish_reasons(value, api) or None,
            "blaxel.cost": context.cost_usd,
        }
        if usage := context.usage:
            attributes |= {
                "gen_ai.usage.input_tokens": usage.input_tokens,
                "gen_ai.usage.output_tokens": usage.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
                "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
                "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
                "blaxel.usage.estimated": usage.estimated,
            }
    return {name: value for name, value in attributes.items() if value is not None}


def finish_reasons(value: Any, api: str | None) -> list[str]:
    """Return the finish reasons in an answer, one word for each choice.

    The answers of an unknown API may use these fields for results.
    """
    if not isinstance(value, dict) or api in FREE_APIS:
        return []
    listed = [
        each.get(name)
        for place, name in (("choices", "finish_reason"), ("candidates", "finishReason"))
        for each in (value[place] if isinstance(value.get(place), list) else ())
        if isinstance(each, dict)
    ]
    single = ("status",) if api == "responses" else ("stop_reason", "finish_reason")
    reasons = listed or [value.get(name) for name in single]
    return [reason for reason in reasons if isinstance(reason, str) and _WORD.fullmatch(reason)][:_MAX_REASONS]


def error_type(outcome: Outcome) -> str | None:
    """Return the code of a failure; None for an answer."""
    if not isinstance(outcome, BaseException):
        return None
    if isinstance(outcome, BlaxelError):
        return outcome.code
    return "cancelled" if not isinstance(outcome, Exception) else OTHER


def _operation(prepared: PreparedRequest) -> str:
    api = prepared.route.api
    name = api.name if api else "raw"
    return _OPERATIONS.get(name, name)


def _provider(context: CallContext) -> str:
    kind = (context.record and context.record.runtime_type) or "blaxel"
    return name_or_none(_PROVIDERS.get(kind, kind)) or OTHER


def _request_model(prepared: PreparedRequest, context: CallContext) -> str:
    """Return the provider's name of the model if it is known, else the name in the request."""
    own = (context.record and context.record.provider_model) or context.model
    return name_or_none(own if prepared.model == context.model else prepared.model) or OTHER


def metric_attributes(prepared: PreparedRequest, context: CallContext) -> dict[str, str | int | bool]:
    """Return the attributes of a metric: of models, only the names of those that exist or are configured."""
    is_known = prepared.settings is not None or (context.record is not None and prepared.model == context.model)
    return {
        "gen_ai.operation.name": _operation(prepared),
        "gen_ai.provider.name": _provider(context),
        "gen_ai.request.model": _request_model(prepared, context) if is_known else OTHER,
        "blaxel.model": (context.model or OTHER) if is_known else OTHER,
        "blaxel.workspace": context.workspace or OTHER,
    }


MAX_CHARS = 16_000
"""Characters of a text that are exported."""

_MAX_SECRET_CHARS = 4000
_MAX_MESSAGES = 50
_CONVERSATIONS = ("messages", "contents", "input")
_SYSTEM = ("system", "instructions", "systemInstruction", "preamble")


def content_attributes(prepared: PreparedRequest, outcome: Outcome) -> dict[str, str]:
    """Return the content of an attempt: the last messages, the system instructions and the answer, if there is one.

    Texts are bounded, and what looks like a credential is redacted. Pictures, sounds and files are named by their type.
    """
    body, api = prepared.body if isinstance(prepared.body, dict) else {}, prepared.route.api
    asked = next((body[name] for name in _CONVERSATIONS if name in body), json.dumps(prepared.body, default=str))
    is_conversation = isinstance(asked, list) and any(isinstance(each, dict) for each in asked)
    attributes: dict[str, Any] = {
        "gen_ai.input.messages": [_message(each) for each in (asked[-_MAX_MESSAGES:] if is_conversation else [asked])]
    }
    if name := next((name for name in _SYSTEM if name in body), None):
        attributes["gen_ai.system_instructions"] = _parts(body[name])
    if not isinstance(outcome, BaseException):
        value = outcome.value if isinstance(outcome, JSONAnswer) else None
        text = api.text(value) if api and isinstance(outcome, JSONAnswer) else None
        part = {"type": outcome.media_type} if isinstance(outcome, BinaryAnswer) else _text(text or outcome.text)
        reason = next(iter(finish_reasons(value, api.name if api else None)), "")
        attributes["gen_ai.output.messages"] = [{"role": "assistant", "parts": [part], "finish_reason": reason}]
    return {name: json.dumps(value) for name, value in attributes.items()}


def _message(value: Any) -> JSONObject:
    fields = value if isinstance(value, dict) else {"content": value}
    role = fields.get("role", "user")
    return {"role": role if isinstance(role, str) else "user", "parts": _parts(fields.get("content", fields))}


def _parts(content: Any) -> list[JSONObject]:
    if isinstance(content, dict):
        content = content.get("parts", content)
    return [_part(each) for each in (content if isinstance(content, list) else [content])[:_MAX_MESSAGES]]


def _part(value: Any) -> JSONObject:
    fields = value if isinstance(value, dict) else {"text": value if isinstance(value, str) else json.dumps(value)}
    text, kind = fields.get("text"), fields.get("type")
    return _text(text) if isinstance(text, str) else {"type": kind if isinstance(kind, str) else "other"}


def _text(text: str) -> JSONObject:
    # A credential across the limit has to be seen whole.
    return {"type": "text", "content": shorten(scrub(text[: MAX_CHARS + _MAX_SECRET_CHARS]), MAX_CHARS)}
