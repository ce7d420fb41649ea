"""The responses API: OpenAI's `POST /v1/responses`."""

from typing import Any, ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import TOOLS, content_text, count, free_form, integers, joined_texts, string
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

_SOURCES = ("input", "prompt", "previous_response_id", "conversation")
"""Fields that can hold the question; `prompt` is a stored template here, not a text."""


class Responses(ModelAPI):
    """Answers input items with output items."""

    name = "responses"
    path = "/v1/responses"
    summary = "Answers `input`, a question or a task."
    streams = True
    fields: ClassVar[Fields] = {
        "input": string("The question or task; an array of input items also works."),
        "instructions": string("System instructions."),
        "max_output_tokens": count("Maximum tokens, including reasoning; OpenAI requires 16 or more."),
        "reasoning": free_form('Such as {"effort": "low"}: minimal, low, medium or high.'),
        "text": free_form('Output format, such as {"format": {"type": "json_object"}}.'),
        "tools": TOOLS,
        "previous_response_id": string("The id of a response to continue from."),
    }
    accepted_fields: ClassVar[Fields] = {
        "input": {"type": ["string", "array"]},
        **integers("max_tool_calls", "top_logprobs"),
    }
    required = ("input",)
    listed_fields = ("input", "instructions", "max_output_tokens", "previous_response_id")

    def accepted_schema(self) -> JSONObject:
        """Return the wider schema without required fields, since several fields can hold the question."""
        return {**super().accepted_schema(), "required": []}

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
