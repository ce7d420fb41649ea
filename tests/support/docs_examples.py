"""The tool calls in docs/: each is made against the emulator and returned as its page shows it."""

import base64
import email
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.emulator.apis.speech import as_wav, speak
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.contract.test_error_codes import MET, running
from tests.support.connecting import connect, inference_requests, leading_to
from tests.support.docs_pages import code, table
from tests.support.docs_steady import pretty, steady
from tests.support.docs_words import MEANINGS

_SHOWN_BASE64 = 12


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a tool, and the settings that it needs in addition to the demo's."""

    tool: str
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


QUESTION = "What is 17 * 23?"
_RECORDINGS = {"files": {"allowed_dirs": ["~/recordings"]}}
_PICTURES = {"files": {"allowed_dirs": ["~/Pictures"]}}


def _model(name: str, api: str) -> dict[str, Any]:
    return {"models": [{"name": name, "api": api}]}


API_EXAMPLES: Mapping[str, Example] = {
    "chat-completions": Example("house-chat", {"system": "Answer in one line.", "prompt": QUESTION, "max_tokens": 50}),
    "responses": Example("house-chat", {"input": QUESTION}, _model("house-chat", "responses")),
    "messages": Example("house-claude", {"prompt": QUESTION}, _model("house-claude", "messages")),
    "generate-content": Example(
        "house-gemini",
        {"system": "Answer in one line.", "prompt": QUESTION},
        _model("house-gemini", "generate-content"),
    ),
    "cohere-chat": Example("house-cohere", {"prompt": QUESTION}, _model("house-cohere", "cohere-chat")),
    "embeddings": Example("house-embed", {"input": ["The cat sat on the mat."]}, _model("house-embed", "embeddings")),
    "images": Example("house-painter", {"prompt": "a red house"}, _model("house-painter", "images")),
    "speech": Example(
        "house-voice",
        {"input": "one two three", "voice": "alloy", "response_format": "wav"},
        _model("house-voice", "speech"),
    ),
    "transcriptions": Example(
        "house-ears",
        {"file": "~/recordings/note.wav", "language": "en"},
        {**_model("house-ears", "transcriptions"), **_RECORDINGS},
    ),
    "rerank": Example(
        "house-rerank",
        {"query": "the cat on the mat", "documents": ["Rates rose in March.", "A cat sat on a mat."], "top_n": 1},
        _model("house-rerank", "rerank"),
    ),
    "raw": Example(
        "house-classifier", {"inputs": "What a lovely, kind thing to say."}, _model("house-classifier", "raw")
    ),
}

CALL_EXAMPLES: Mapping[str, Example] = {
    "any model": Example(
        "run_model",
        {
            "model": "edge-chat",
            "path": "/v1/embeddings",
            "data": {"input": "The cat sat on the mat.", "dimensions": 4},
        },
    ),
    "a picture in": Example("house-chat", {"prompt": "What is this?", "images": ["~/Pictures/house.png"]}, _PICTURES),
    "a listing": Example("list_models", {"query": "embed"}),
    "a failure": Example("run_model", {"model": "fault-429-long", "data": {"messages": []}}),
}


async def called(emulator: Emulator, example: Example, home: Path) -> str:
    """Return a call as a page shows it: the arguments, the HTTP request and the result."""
    await _furnish(emulator, home)
    emulator.requests.clear()
    result = await result_of(emulator, example)
    parts = [f"\nThe agent calls `{example.tool}` with\n", code(pretty(example.arguments), "json")]
    for request in inference_requests(emulator.requests):
        parts += [f"`{request.method} {request.raw_path.decode()}` goes out with\n", *_body(request)]
    parts.append("and the agent reads\n")
    parts += map(_block, result.content)
    return steady("".join(parts), home)


async def result_of(emulator: Emulator, example: Example) -> types.CallToolResult:
    """Return the result of a call."""
    async with connect(leading_to(emulator, **example.settings)) as client:
        return await client.call_tool(example.tool, dict(example.arguments))


async def meta_of(emulator: Emulator, example: Example, key: str, home: Path) -> str:
    """Return one entry of the result's `_meta` as a block of JSON."""
    result = await result_of(emulator, example)
    return steady(code(pretty((result.meta or {})[key]), "json"), home)


async def a_vector_in_short(emulator: Emulator) -> str:
    """Return what replaces a long vector in a result."""
    result = await result_of(emulator, API_EXAMPLES["embeddings"])
    return steady(_block(result.content[0]))


async def read_on(emulator: Emulator) -> str:
    """Return a part of a vector from `read_result`, with its position."""
    example = API_EXAMPLES["embeddings"]
    async with connect(leading_to(emulator, **example.settings)) as client:
        first = await client.call_tool(example.tool, dict(example.arguments))
        call_id = (first.meta or {})[RECEIPT_KEY]["call_id"]
        part = {"call_id": call_id, "pointer": "/data/0/embedding", "offset": 100, "length": 8}
        result = await client.call_tool("read_result", part)
    texts = "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))
    return steady("".join((code(pretty(part), "json"), "gives two blocks of text:\n", code(texts))))


async def a_handle(emulator: Emulator) -> str:
    """Return the handle of a slow call."""
    async with connect(leading_to(emulator, limits={"detach_after_seconds": 0.1})) as client:
        result = await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {}})
        call_id = (result.structured_content or {})["call_id"]
        await client.call_tool("cancel_call", {"call_id": call_id})
    return steady(_block(result.content[0]))


async def _stopped_in_flight(emulator: Emulator) -> types.CallToolResult:
    """Return the result of a call that was stopped after it had reached the model."""
    async with connect(leading_to(emulator, limits={"detach_after_seconds": 0.1})) as client:
        handed_back = await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {}})
        call = {"call_id": (handed_back.structured_content or {})["call_id"]}
        await emulator.wait_for(lambda request: "fault-slow" in request.path and request.method == "POST")
        await client.call_tool("cancel_call", call)
        return await client.call_tool("read_result", call)


_SURE = {
    "cancelled": _stopped_in_flight,
    # Long enough for the request to have gone out, on any machine.
    "timeout": running("fault-slow-30s", limits={"timeout_seconds": 2}),
}
"""Errors whose `billed` would differ if they came before the request reached the model."""


async def errors_table(emulator: Emulator) -> str:
    """Return the table of error codes, and below it an error of this run for each."""
    rows, examples = [], []
    for code_, meaning in MEANINGS.items():
        emulator.requests.clear()
        with anyio.fail_after(20):
            result = await {**MET, **_SURE}[code_](emulator)
        error = (result.meta or {})[ERROR_KEY]
        facts = [error["origin"], "yes" if error["retryable"] else "no", error["billed"]]
        rows.append([f"`{code_}`", meaning, *facts])
        examples.append(f"- `{code_}`: {error['message']} *{error['hint']}*\n")
    head = ("code", "means", "origin", "retryable", "billed")
    return steady(f"{table(head, rows)}The messages of these examples, *and what to do*:\n\n{''.join(examples)}\n")


async def _furnish(emulator: Emulator, home: Path) -> None:
    """Put a recording and a picture of the emulator where the examples read them."""
    (home / "recordings").mkdir(exist_ok=True)
    (home / "recordings" / "note.wav").write_bytes(as_wav(speak("one two three")))
    (home / "Pictures").mkdir(exist_ok=True)
    result = await result_of(emulator, API_EXAMPLES["images"])
    (picture,) = (block for block in result.content if isinstance(block, types.ImageContent))
    (home / "Pictures" / "house.png").write_bytes(base64.b64decode(picture.data))


def _body(request: RecordedRequest) -> list[str]:
    (content_type,) = request.header_values("content-type")
    if content_type.startswith("multipart/"):
        return [code("\n".join(_fields(content_type, request.body)))]
    return [code(pretty(_without_base64(json.loads(request.body))), "json")]


def _fields(content_type: str, body: bytes) -> list[str]:
    """Return the fields of a form."""
    form = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    lines = []
    for part in form.walk():
        name, payload = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if name and isinstance(payload, bytes):
            file = part.get_filename()
            shown = f"{file}, {part.get_content_type()}, {len(payload)} bytes" if file else payload.decode()
            lines.append(f"{name}: {shown}")
    return lines


def _without_base64(value: Any) -> Any:
    """Return a body with its base64 truncated."""
    if isinstance(value, dict):
        return {name: _without_base64(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_base64(item) for item in value]
    if isinstance(value, str) and value.startswith("data:"):
        head, _, data = value.partition("base64,")
        return f"{head}base64,{data[:_SHOWN_BASE64]}..."
    return value


def _block(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent(text=text):
            try:
                return code(pretty(json.loads(text)), "json")
            except ValueError:
                return code(text)
        case types.ImageContent() | types.AudioContent():
            kind = "an image" if isinstance(block, types.ImageContent) else "an audio"
            return code(f"{kind} block: {block.mime_type}, {len(base64.b64decode(block.data))} bytes")
    raise AssertionError(f"no page shows a block of the type {block.type}")
