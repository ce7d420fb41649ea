"""What the emulated chat models say: worked out from the conversation, the same every time."""

import json
import re

from blaxel_mcp.emulator.apis.arithmetic import answer_sum
from blaxel_mcp.emulator.apis.chat_request import ChatRequest
from blaxel_mcp.emulator.apis.schema_values import value_for

_REVERSE = re.compile(r"reverse(?: the (?:word|text|string|sentence))?:?\s+(.+?)", re.IGNORECASE | re.DOTALL)
_COUNT = re.compile(
    r"(?:how many words(?: are)?(?: there)? in|count the words (?:in|of))[:\s]+(.+?)\??", re.IGNORECASE | re.DOTALL
)
_RESTATED_CHARACTERS = 400


def answer_text(request: ChatRequest) -> str:
    """Return the whole answer to a conversation, before any limit on its length."""
    text = _reply(request)
    if request.json_schema is None:
        return text
    return json.dumps(value_for(request.json_schema, text), ensure_ascii=False)


def tokens_of(text: str) -> list[str]:
    """Split a text into the emulator's tokens: words, each with the space before it."""
    return re.findall(r"\s*\S+", text)


def prompt_tokens(request: ChatRequest) -> int:
    """Count the tokens of a conversation."""
    return sum(len(tokens_of(message.text)) for message in request.messages)


def _reply(request: ChatRequest) -> str:
    text = request.last_user_text.strip()
    total = answer_sum(text)
    if total is not None:
        return total
    reverse = _REVERSE.fullmatch(text)
    if reverse is not None:
        return _unquoted(reverse[1])[::-1]
    count = _COUNT.fullmatch(text)
    if count is not None:
        return f"I count {_many(len(_unquoted(count[1]).split()), 'word')}."
    return _restate(request, text)


def _restate(request: ChatRequest, text: str) -> str:
    said = text if len(text) <= _RESTATED_CHARACTERS else f"{text[:_RESTATED_CHARACTERS]}..."
    messages = _many(len(request.messages), "message")
    characters = _many(sum(len(message.text) for message in request.messages), "character")
    images = sum(message.images for message in request.messages)
    shown = f" and {_many(images, 'image')}" if images else ""
    return f'You said: "{said}" I read {messages} with {characters}{shown}.'


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")
