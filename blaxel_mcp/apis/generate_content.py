"""The generate content API: Gemini's `POST /v1beta/models/{model}:generateContent`."""

import re
from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, ModelAPI
from blaxel_mcp.apis.content import IMAGES, TOOLS, base64_of, joined_texts, object_schema, whole_numbers
from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

_MODEL = "{model}"
_GENERATE, _STREAM = ":generateContent", ":streamGenerateContent"
_PATH = re.compile(rf"/v1(?:alpha|beta)?/models/[^/:]+{_GENERATE}")
_INSTRUCTIONS = ("systemInstruction", "system_instruction")
"""Google accepts both spellings of every field."""


class GenerateContent(ModelAPI):
    """Answers a conversation with candidates. The path names the model, by its id at the provider."""

    name = "generate-content"
    path = f"/v1beta/models/{_MODEL}{_GENERATE}"
    summary = "Answers `prompt`, or a conversation in `contents`."
    listed_fields = MappingProxyType(
        {"prompt": "", "system": "", "images": "Paths or URLs.", "contents": "", "generationConfig": ""}
    )
    streams = True
    conversation = "contents"
    takes_model = False
    file_arguments = ("images",)

    def endpoint_path(self, provider_model: str | None) -> str | None:
        """Return the path with the model's id at the provider, or None if that id is not known."""
        return self.path.replace(_MODEL, provider_model) if provider_model else None

    def answers_at(self, path: str) -> bool:
        """Whether this is the path of any model, in any version of the API, for an answer without a stream."""
        return _PATH.fullmatch(path) is not None

    def streamed(self, path: str, body: JSONObject) -> tuple[str, JSONObject]:
        """Return the path for a stream of events, instead of one long array, and the same body."""
        return f"{path.replace(_GENERATE, _STREAM)}{'&' if '?' in path else '?'}alt=sse", body

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        content: JSONObject = {
            "type": "object",
            "properties": {
                "role": {"type": "string", "description": "user or model."},
                "parts": {"type": "array", "items": FREE_FORM, "description": 'Such as [{"text": "Hello"}].'},
            },
            "required": ["parts"],
            "additionalProperties": {},
        }
        return object_schema(
            {
                "prompt": {"type": "string", "description": "The user's message; shorthand for contents."},
                "system": {"type": "string", "description": "Instructions; shorthand for systemInstruction."},
                "images": IMAGES,
                "contents": {
                    "type": "array",
                    "items": content,
                    "description": "The conversation so far; prompt, if given, is appended.",
                },
                "generationConfig": {
                    **FREE_FORM,
                    "description": "Such as maxOutputTokens, temperature, thinkingConfig; for JSON: responseMimeType "
                    '"application/json" and responseSchema.',
                },
                "tools": {**TOOLS, "description": "functionDeclarations the model may call; calls are returned."},
            }
        )

    def accepted_schema(self) -> JSONObject:
        """Return the same with the integers of `generationConfig`, and one object for each list of one.

        Google takes such objects, as any list of protobuf in JSON, so they are sent as they are.
        """
        schema = self.input_schema()
        contents, tools = schema["properties"]["contents"], schema["properties"]["tools"]
        for listed in (contents, tools, contents["items"]["properties"]["parts"]):
            listed["type"] = ["array", "object"]
        config = whole_numbers(FREE_FORM, "maxOutputTokens", "topK", "candidateCount", "seed", "logprobs")
        config["properties"]["thinkingConfig"] = whole_numbers(FREE_FORM, "thinkingBudget")
        schema["properties"]["generationConfig"] = config
        return schema

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
            earlier = [contents] if isinstance(contents, dict) else contents
            contents = [*earlier, {"role": "user", "parts": [*parts, *text]}]
        return {"contents": contents, **body} if contents else body

    def text(self, answer: Any) -> str | None:
        """Return the text of the first candidate, without thoughts."""
        match answer:
            case {"candidates": [{"content": {"parts": [*parts]}}, *_]}:
                visible = (part for part in parts if isinstance(part, dict) and not part.get("thought"))
                return joined_texts(part.get("text") for part in visible)
        return None


def _image_part(image: InputFile) -> JSONObject:
    match image:
        case FileData(media_type=media_type):
            return {"inlineData": {"mimeType": media_type, "data": base64_of(image)}}
        case FileURL(url=url):
            return {"fileData": {"fileUri": url}}
