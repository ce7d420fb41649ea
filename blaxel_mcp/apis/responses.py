"""The responses API: OpenAI's `POST /v1/responses`."""

from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, ModelAPI, Schema
from blaxel_mcp.apis.content import TEXT_CONTENT, TOOLS, content_text, joined_texts, object_schema, whole_numbers
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

_SOURCES = ("input", "prompt", "previous_response_id", "conversation")
"""Fields that can hold the question; `prompt` is a stored template here, not a text."""


def _schema(text: Schema, *required: str) -> JSONObject:
    return object_schema(
        {
            "input": {**text, "description": "The question or task; an array of input items also works."},
            "instructions": {"type": "string", "description": "System instructions."},
            "max_output_tokens": {
                "type": "integer",
                "minimum": 1,
                "description": "Maximum tokens, including reasoning; OpenAI requires 16 or more.",
            },
            "reasoning": {**FREE_FORM, "description": 'Such as {"effort": "low"}: minimal, low, medium or high.'},
            "text": {**FREE_FORM, "description": 'Output format, such as {"format": {"type": "json_object"}}.'},
            "tools": TOOLS,
            "previous_response_id": {"type": "string", "description": "The id of a response to continue from."},
        },
        *required,
    )


class Responses(ModelAPI):
    """Answers input items with output items."""

    name = "responses"
    path = "/v1/responses"
    summary = "Answers `input`, a question or a task."
    listed_fields = MappingProxyType(
        {"input": "", "instructions": "", "max_output_tokens": "", "previous_response_id": ""}
    )
    streams = True

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return _schema(TEXT_CONTENT, "input")

    def accepted_schema(self) -> JSONObject:
        """Return the same with `input` as a text or items, and optional: other fields can hold the question."""
        return whole_numbers(_schema({"type": ["string", "array"]}), "max_tool_calls", "top_logprobs")

    def check(self, body: JSONObject) -> None:
        """Reject a request without a question."""
        if not any(body.get(name) for name in _SOURCES):
            raise InvalidArgumentsError(
                "There is nothing for the model to answer.",
                hint="Set `input` to the question, or to an array of input items.",
            )

    def text(self, answer: Any) -> str | None:
        """Return the text of the output messages, without reasoning."""
        match answer:
            case {"output": [*items]}:
                messages = (item for item in items if isinstance(item, dict) and item.get("type") == "message")
                contents = (message.get("content") for message in messages)
                return joined_texts(
                    content_text(blocks, "output_text") for blocks in contents if isinstance(blocks, list)
                )
        return None
