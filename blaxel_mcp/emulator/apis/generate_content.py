"""Content: `:generateContent` and `:streamGenerateContent` (Gemini API reference, Generating content)."""

import re
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, json_array, plain_events
from blaxel_mcp.emulator.apis.body_schema import (
    ANYTHING,
    BASE64,
    COUNT,
    FLAG,
    JSON_SCHEMA,
    NUMBER,
    OBJECT,
    TEXT,
    WORDS,
    BodySchema,
    array,
    closed,
    first_flaw,
    number,
    one_of,
    without_nulls,
)
from blaxel_mcp.emulator.apis.completions import (
    ANSWER_SCHEMA,
    ChatMessage,
    ChatRequest,
    FunctionTool,
    StopReason,
    body_id,
    complete,
    prompt_tokens,
    thought_about,
    tokens_of,
)
from blaxel_mcp.emulator.apis.refusals import gemini_error, gemini_refusal

JSON_TYPE = "application/json"

_PART = closed(
    text=TEXT,
    inlineData=closed("mimeType", "data", mimeType=TEXT, data=BASE64, displayName=TEXT),
    fileData=closed("fileUri", fileUri={"type": "string", "minLength": 1}, mimeType=TEXT, displayName=TEXT),
    functionCall=closed("name", id=TEXT, name=TEXT, args=OBJECT),
    functionResponse=closed("name", "response", id=TEXT, name=TEXT, response=OBJECT),
    executableCode=OBJECT,
    codeExecutionResult=OBJECT,
    thought=FLAG,
    thoughtSignature=TEXT,
    videoMetadata=OBJECT,
    mediaResolution=OBJECT,
)
_INTEGER: BodySchema = {"type": ["integer", "string"], "pattern": "^[0-9]+$"}
"""Google's JSON writes a 64-bit integer as a string."""

_SCHEMA_REFERENCE: BodySchema = {"$ref": "#/$defs/schema"}
_SCHEMA = closed(
    type=one_of(
        *(
            name
            for kind in ("string", "number", "integer", "boolean", "array", "object", "null")
            for name in (kind, kind.upper())
        )
    ),
    format=TEXT,
    title=TEXT,
    description=TEXT,
    nullable=FLAG,
    enum=WORDS,
    items=_SCHEMA_REFERENCE,
    minItems=_INTEGER,
    maxItems=_INTEGER,
    properties={"type": "object", "additionalProperties": _SCHEMA_REFERENCE},
    required=WORDS,
    propertyOrdering=WORDS,
    minProperties=_INTEGER,
    maxProperties=_INTEGER,
    minLength=_INTEGER,
    maxLength=_INTEGER,
    pattern=TEXT,
    minimum=NUMBER,
    maximum=NUMBER,
    anyOf=array(_SCHEMA_REFERENCE),
    example=ANYTHING,
    default=ANYTHING,
)
"""Google's dialect of JSON Schema; every other keyword is an unknown field."""

_CONFIG = closed(
    stopSequences={**WORDS, "maxItems": 5},
    responseMimeType=one_of("text/plain", JSON_TYPE, "text/x.enum"),
    responseSchema=_SCHEMA_REFERENCE,
    responseJsonSchema=JSON_SCHEMA,
    responseModalities=WORDS,
    candidateCount={**COUNT, "maximum": 8},
    maxOutputTokens=COUNT,
    temperature=number(0, 2),
    topP=number(0, 1),
    topK={"type": "integer", "minimum": 0},
    seed={"type": "integer"},
    presencePenalty=number(-2, 2),
    frequencyPenalty=number(-2, 2),
    responseLogprobs=FLAG,
    logprobs={"type": "integer"},
    enableEnhancedCivicAnswers=FLAG,
    speechConfig=OBJECT,
    imageConfig=OBJECT,
    mediaResolution=TEXT,
    thinkingConfig=closed(includeThoughts=FLAG, thinkingBudget={"type": "integer"}, thinkingLevel=TEXT),
)
_FUNCTION = closed(
    "name",
    name={"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$"},
    description=TEXT,
    behavior=TEXT,
    parameters=_SCHEMA_REFERENCE,
    parametersJsonSchema=JSON_SCHEMA,
    response=_SCHEMA_REFERENCE,
    responseJsonSchema=JSON_SCHEMA,
)
_TOOL = closed(
    functionDeclarations=array(_FUNCTION),
    googleSearch=OBJECT,
    googleSearchRetrieval=OBJECT,
    googleMaps=OBJECT,
    codeExecution=OBJECT,
    computerUse=OBJECT,
    fileSearch=OBJECT,
    urlContext=OBJECT,
)
_CALLING = closed(mode=one_of("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"), allowedFunctionNames=WORDS)
_BODY: BodySchema = {
    **closed(
        "contents",
        model=TEXT,
        contents=array(
            closed("parts", role=one_of("user", "model", "function"), parts=array(_PART, at_least=1)), at_least=1
        ),
        systemInstruction=closed("parts", role=TEXT, parts=array(closed("text", text=TEXT), at_least=1)),
        generationConfig=_CONFIG,
        tools=array(_TOOL),
        toolConfig=closed(functionCallingConfig=_CALLING, retrievalConfig=OBJECT),
        safetySettings=array(closed("category", "threshold", category=TEXT, threshold=TEXT, method=TEXT)),
        cachedContent=TEXT,
    ),
    "$defs": {"schema": _SCHEMA},
}

_SNAKE = re.compile(r"_([a-z])")
_OPAQUE_FIELDS = frozenset({"args", "response", "properties", "parametersJsonSchema", "responseJsonSchema", "data"})
"""Fields whose content is named by the caller and keeps its spelling."""

_LISTS = frozenset({"contents", "parts", "tools", "functionDeclarations", "safetySettings"})
"""Lists in whose place Google also takes one object: the JSON of protobuf."""


def parse_content_request(body: dict[str, Any], *, stream: bool) -> ChatRequest:
    """Return the request that a body describes."""
    body = without_nulls(_canonical(body))
    if flaw := first_flaw(_BODY, body):
        raise gemini_refusal(flaw)
    config = body.get("generationConfig", {})
    instruction = body.get("systemInstruction")
    system = [_message("system", instruction["parts"])] if instruction else []
    return ChatRequest(
        messages=(*system, *(_message(content.get("role", "user"), content["parts"]) for content in body["contents"])),
        choices=int(config.get("candidateCount", 1)),
        max_tokens=int(config["maxOutputTokens"]) if "maxOutputTokens" in config else None,
        stops=tuple(stop for stop in config.get("stopSequences", ()) if stop),
        json_schema=_json_schema(config),
        forced_tool=_forced_tool(body),
        stream=stream,
        thinking=config.get("thinkingConfig", {}).get("includeThoughts", False),
    )


def _canonical(value: Any) -> Any:
    """Return a value in the reference's form: Google also accepts `snake_case`, and an object for a list of one."""
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {_SNAKE.sub(lambda match: match[1].upper(), name): item for name, item in value.items()}
    listed = {name: [item] if name in _LISTS and isinstance(item, dict) else item for name, item in named.items()}
    return {name: item if name in _OPAQUE_FIELDS else _canonical(item) for name, item in listed.items()}


def _message(role: str, parts: list[dict[str, Any]]) -> ChatMessage:
    texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
    files = [part.get("inlineData") or part["fileData"] for part in parts if "inlineData" in part or "fileData" in part]
    images = sum(file.get("mimeType", "image/").startswith("image/") for file in files)
    return ChatMessage({"system": "system", "model": "assistant"}.get(role, "user"), " ".join(texts), images)


def _json_schema(config: dict[str, Any]) -> dict[str, Any] | None:
    schema = config.get("responseJsonSchema")
    if "responseSchema" in config:
        schema = _plain_schema(config["responseSchema"])
    if config.get("responseMimeType") == JSON_TYPE:
        return schema or ANSWER_SCHEMA
    if schema is not None:
        raise gemini_error(400, f"Function calling config or schema is only supported with mime type {JSON_TYPE}.")
    return None


def _plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of Google's dialect as JSON Schema, whose types are in lower case."""
    plain: dict[str, Any] = {**schema}
    if "type" in schema:
        plain["type"] = schema["type"].lower()
    if "items" in schema:
        plain["items"] = _plain_schema(schema["items"])
    if "properties" in schema:
        plain["properties"] = {name: _plain_schema(inner) for name, inner in schema["properties"].items()}
    return plain


def _forced_tool(body: dict[str, Any]) -> FunctionTool | None:
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling.get("mode") != "ANY":
        return None
    allowed = calling.get("allowedFunctionNames")
    for tool in body.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            if not allowed or function["name"] in allowed:
                schema = function.get("parametersJsonSchema") or _plain_schema(function.get("parameters", {}))
                return FunctionTool(function["name"], schema)
    raise gemini_error(400, "Function calling mode ANY needs a function that is declared and allowed.")


_FINISH_REASONS: dict[StopReason, str] = {"stop": "STOP", "length": "MAX_TOKENS", "stop_text": "STOP", "tool": "STOP"}


async def handle(call: ProviderCall) -> Response:
    """Answer a request for content: whole or in pieces, depending on the path."""
    is_stream = call.path.endswith(":streamGenerateContent")
    request = parse_content_request(call.body, stream=is_stream)
    completion = complete(request)
    parts: list[dict[str, Any]] = [{"text": completion.text}]
    if completion.tool_call is not None:
        parts = [{"functionCall": {"name": completion.tool_call.name, "args": completion.tool_call.arguments}}]
    sent, received = prompt_tokens(request), completion.output_tokens * request.choices
    usage = {"promptTokenCount": sent, "candidatesTokenCount": received, "totalTokenCount": sent + received}
    if request.thinking:
        thought = thought_about(request)
        parts.insert(0, {"text": thought, "thought": True})
        usage["thoughtsTokenCount"] = len(tokens_of(thought))
        usage["totalTokenCount"] += usage["thoughtsTokenCount"]
    finish_reason = _FINISH_REASONS[completion.stop_reason]
    candidates = [_candidate(index, parts, finish_reason) for index in range(request.choices)]
    ids = {"modelVersion": call.model_id, "responseId": body_id("", call.body)}
    answer = {"candidates": candidates, "usageMetadata": usage, **ids}
    if not is_stream:
        return JSONResponse(answer)
    return (plain_events if "alt=sse" in call.query.split("&") else json_array)(_content_chunks(answer))


def _candidate(index: int, parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {**candidate, "index": index}


def _content_chunks(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an answer in chunks of one token or function call each.

    The last chunk of each candidate has its finish reason and the complete usage.
    """
    sent = answer["usageMetadata"]["promptTokenCount"]
    for candidate in answer["candidates"]:
        *first, last = [
            {**part, "text": token} if "text" in part else part
            for part in candidate["content"]["parts"]
            for token in (tokens_of(part["text"]) if "text" in part else [""])
        ] or [{"text": ""}]
        usage = {"promptTokenCount": sent, "totalTokenCount": sent}
        for part in first:
            yield {**answer, "candidates": [_candidate(candidate["index"], [part])], "usageMetadata": usage}
        yield {**answer, "candidates": [_candidate(candidate["index"], [last], candidate["finishReason"])]}
