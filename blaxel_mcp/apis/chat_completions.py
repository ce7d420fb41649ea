"""The chat completions API: OpenAI's, and what most other providers speak.

The body is the one of OpenAI's `POST /v1/chat/completions`.
"""

from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, JSONObject, ModelAPI
from blaxel_mcp.exceptions import InvalidArgumentsError


def _schema(content: JSONObject) -> JSONObject:
    message: JSONObject = {
        "type": "object",
        "properties": {
            "role": {"type": "string", "description": "system, developer, user, assistant or tool."},
            "content": {**content, "description": "The text; an array of content parts is taken too."},
        },
        "required": ["role"],
        "additionalProperties": {},
    }
    properties: JSONObject = {
        "prompt": {"type": "string", "description": "The user's message: a shorthand for messages."},
        "system": {"type": "string", "description": "Instructions for the model, put before the messages."},
        "messages": {
            "type": "array",
            "items": message,
            "description": "The conversation so far; with prompt as well, prompt is its last message.",
        },
        "max_tokens": {"type": "integer", "minimum": 1, "description": "The longest answer, in tokens."},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0 to 2; 0 is steadiest."},
        "response_format": {**FREE_FORM, "description": 'For JSON: {"type": "json_object"} or a json_schema.'},
        "tools": {
            "type": "array",
            "items": FREE_FORM,
            "description": "Functions that the model may call: its calls come back in the answer.",
        },
        "reasoning_effort": {"type": "string", "description": "minimal, low, medium or high, where supported."},
    }
    return {"type": "object", "properties": properties, "additionalProperties": {}}


class ChatCompletions(ModelAPI):
    """Messages in, a message out."""

    name = "chat-completions"
    path = "/v1/chat/completions"
    summary = "Ask this model: give `prompt` (and `system`), or a whole conversation in `messages`."

    def input_schema(self) -> JSONObject:
        """The fields that matter to an agent; every other field of the API passes through."""
        return _schema({"type": "string"})

    def accepted_schema(self) -> JSONObject:
        """The same with `content` left open: content parts are an array, null goes with tool calls."""
        return _schema({})

    def body(self, arguments: JSONObject) -> JSONObject:
        """Spell `system` and `prompt` out as the first and the last of `messages`."""
        body = {name: value for name, value in arguments.items() if name not in ("prompt", "system", "messages")}
        messages: list[Any] = list(arguments.get("messages", []))
        if "system" in arguments:
            messages.insert(0, {"role": "system", "content": arguments["system"]})
        if "prompt" in arguments:
            messages.append({"role": "user", "content": arguments["prompt"]})
        return {"messages": messages, **body} if messages else body

    def check(self, body: JSONObject) -> None:
        """Refuse a request without a message to answer."""
        if not body.get("messages"):
            raise InvalidArgumentsError(
                "There is no message for the model to answer.",
                hint="Give `prompt` with the question, or `messages` with the conversation.",
            )
