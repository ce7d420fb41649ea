"""Prompts and answers as attributes of spans, by OpenTelemetry's conventions, for operators who ask for them.

Texts are bounded, and what looks like a credential is redacted. Pictures, sounds and files are named by their type.
"""

import json
from typing import Any

from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub, shorten
from blaxel_mcp.inference.answers import BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.attributes import finish_reasons
from blaxel_mcp.inference.observers import Outcome
from blaxel_mcp.inference.prepare import PreparedRequest

MAX_CHARS = 16_000
"""Characters of a text that are exported."""

_MAX_SECRET_CHARS = 4000
_MAX_MESSAGES = 50
_CONVERSATIONS = ("messages", "contents", "input")
_SYSTEM = ("system", "instructions", "systemInstruction", "preamble")


def content_attributes(prepared: PreparedRequest, outcome: Outcome) -> dict[str, str]:
    """Return the content of an attempt: the last messages, the system instructions and the answer, if there is one."""
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
