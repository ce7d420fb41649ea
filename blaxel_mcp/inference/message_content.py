"""Prompts and answers as attributes of spans, by OpenTelemetry's conventions, for operators who ask for them.

Texts are bounded, and what looks like a credential is redacted. Pictures, sounds and files are named by their type.
"""

import json
from typing import Any

from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub, shorten
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.attributes import finish_reasons
from blaxel_mcp.inference.observers import Outcome
from blaxel_mcp.inference.prepare import PreparedRequest

MAX_CHARS = 16_000
"""Characters of a text that are exported."""

_MAX_MESSAGES = 50
_CONVERSATIONS = ("messages", "contents", "input")
_SYSTEM = ("system", "instructions", "systemInstruction", "preamble")


def content_attributes(prepared: PreparedRequest, outcome: Outcome) -> dict[str, str]:
    """Return the content of an attempt: the last messages, the system instructions and the answer, if there is one."""
    found = _request_content(prepared)
    return found if isinstance(outcome, BaseException) else {**found, **_answer_content(prepared, outcome)}


def _request_content(prepared: PreparedRequest) -> dict[str, str]:
    body = prepared.body if isinstance(prepared.body, dict) else {}
    conversation = next((body[name] for name in _CONVERSATIONS if name in body), None)
    if isinstance(conversation, list) and any(isinstance(each, dict) for each in conversation):
        messages = [_message(each) for each in conversation[-_MAX_MESSAGES:]]
    else:
        messages = [_message(conversation if conversation is not None else json.dumps(prepared.body, default=str))]
    system = next((body[name] for name in _SYSTEM if name in body), None)
    found = {"gen_ai.input.messages": json.dumps(messages)}
    return found if system is None else {**found, "gen_ai.system_instructions": json.dumps(_parts(system))}


def _answer_content(prepared: PreparedRequest, answer: Answer) -> dict[str, str]:
    api = prepared.route.api
    reasons = finish_reasons(answer.value if isinstance(answer, JSONAnswer) else None, api.name if api else None)
    text = api.text(answer.value) if api and isinstance(answer, JSONAnswer) else None
    part = {"type": answer.media_type} if isinstance(answer, BinaryAnswer) else _text(text or answer.text)
    message = {"role": "assistant", "parts": [part], "finish_reason": reasons[0] if reasons else ""}
    return {"gen_ai.output.messages": json.dumps([message])}


def _message(value: Any) -> JSONObject:
    if not isinstance(value, dict):
        return {"role": "user", "parts": _parts(value)}
    role = value.get("role")
    content = next((value[name] for name in ("content", "parts") if name in value), value)
    return {"role": role if isinstance(role, str) else "user", "parts": _parts(content)}


def _parts(content: Any) -> list[JSONObject]:
    if isinstance(content, dict) and "parts" in content:
        content = content["parts"]
    return [_part(each) for each in (content if isinstance(content, list) else [content])[:_MAX_MESSAGES]]


def _part(value: Any) -> JSONObject:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        text, kind = value.get("text"), value.get("type")
        return _text(text) if isinstance(text, str) else {"type": kind if isinstance(kind, str) else "other"}
    return _text(json.dumps(value, default=str))


def _text(text: str) -> JSONObject:
    return {"type": "text", "content": scrub(shorten(text, MAX_CHARS))}
