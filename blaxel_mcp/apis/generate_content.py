"""The generate content API: Gemini's `POST /v1beta/models/{model}:generateContent`."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.base import FREE_FORM, Fields, FileURL, InputFile, ModelAPI, Schema
from blaxel_mcp.apis.content import (
    IMAGES,
    TOOLS,
    base64_of,
    conversation_in,
    free_form,
    integers,
    joined_texts,
    string,
)
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

_MODEL = "{model}"
_GENERATE, _STREAM = ":generateContent", ":streamGenerateContent"
_PATH = re.compile(rf"/v1(?:alpha|beta)?/models/[^/:]+{_GENERATE}")
_INSTRUCTIONS = ("systemInstruction", "system_instruction")
"""Google accepts both spellings of every field."""


_LIST_OR_ITEM = ["array", "object"]
"""Google takes an object for a list of one, as for any list of protobuf in JSON, so it is sent as it is."""


def _contents(kind: str | list[str]) -> Schema:
    """Return the schema of `contents`, where each list is of this kind."""
    content: JSONObject = {
        "type": "object",
        "properties": {
            "role": string("user or model."),
            "parts": {"type": kind, "items": FREE_FORM, "description": 'Such as [{"text": "Hello"}].'},
        },
        "required": ["parts"],
        "additionalProperties": {},
    }
    description = "The conversation so far; prompt, if given, is appended."
    return {"type": kind, "items": content, "description": description}


class GenerateContent(ModelAPI):
    """Answers a conversation with candidates. The path names the model, by its id at the provider."""

    name = "generate-content"
    path = f"/v1beta/models/{_MODEL}{_GENERATE}"
    summary = "Answers `prompt`, or a conversation in `contents`."
    streams = True
    conversation = "contents"
    takes_model = False
    file_arguments = ("images",)
    fields: ClassVar[Fields] = {
        "prompt": string("The user's message; shorthand for contents."),
        "system": string("Instructions; shorthand for systemInstruction."),
        "images": IMAGES,
        "contents": _contents("array"),
        "generationConfig": free_form(
            "Such as maxOutputTokens, temperature, thinkingConfig; for JSON: responseMimeType "
            '"application/json" and responseSchema.'
        ),
        "tools": {**TOOLS, "description": "functionDeclarations the model may call; calls are returned."},
    }
    accepted_fields: ClassVar[Fields] = {
        "contents": _contents(_LIST_OR_ITEM),
        "generationConfig": {
            **FREE_FORM,
            "properties": {
                **integers("maxOutputTokens", "topK", "candidateCount", "seed", "logprobs"),
                "thinkingConfig": {**FREE_FORM, "properties": integers("thinkingBudget")},
            },
        },
        "tools": {**TOOLS, "type": _LIST_OR_ITEM},
    }
    listed_fields = ("prompt", "system", "images", "contents", "generationConfig")
    listed_hints: ClassVar[Mapping[str, str]] = {"images": "Paths or URLs."}

    def endpoint_path(self, provider_model: str | None) -> str | None:
        """Return the path with the model's id at the provider, or None if that id is not known."""
        return self.path.replace(_MODEL, provider_model) if provider_model else None

    def answers_at(self, path: str) -> bool:
        """Whether this is the path of any model, in any version of the API, for an answer without a stream."""
        return _PATH.fullmatch(path) is not None

    def streamed(self, path: str, body: JSONObject) -> tuple[str, JSONObject]:
        """Return the path for a stream of events, instead of one long array, and the same body."""
        return f"{path.replace(_GENERATE, _STREAM)}{'&' if '?' in path else '?'}alt=sse", body

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `system` as `systemInstruction`, and `prompt` with `images` as the last content."""
        if "system" in arguments and any(name in arguments for name in _INSTRUCTIONS):
            raise InvalidArgumentsError(
                "`system` and `systemInstruction` set the same field.", hint="Use only one of them."
            )
        body = {
            name: value for name, value in arguments.items() if name not in ("prompt", "system", "images", "contents")
        }
        contents: Any = arguments.get("contents", [])
        if "system" in arguments:
            body = {"systemInstruction": {"parts": [{"text": arguments["system"]}]}, **body}
        prompt, images = arguments.get("prompt"), arguments.get("images")
        if "prompt" in arguments or images:
            # Google's documentation advises images before text.
            parts = [_image_part(image) for image in images or ()]
            text = [{"text": prompt}] if prompt or not parts else []
            contents = [*conversation_in(arguments, "contents"), {"role": "user", "parts": [*parts, *text]}]
        return {"contents": contents, **body} if contents else body

    def text(self, answer: Any) -> str | None:
        """Return the text of the first candidate, without thoughts."""
        match answer:
            case {"candidates": [{"content": {"parts": [*parts]}}, *_]}:
                visible = (part for part in parts if isinstance(part, dict) and not part.get("thought"))
                return joined_texts(part.get("text") for part in visible)
        return None


def _image_part(image: InputFile) -> JSONObject:
    if isinstance(image, FileURL):
        return {"fileData": {"fileUri": image.url}}
    return {"inlineData": {"mimeType": image.media_type, "data": base64_of(image)}}
