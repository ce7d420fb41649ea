"""Answers and failures as the tool results that clients show to a model.

Clients differ in what they read: some take only the structured content, some only the first
block, and one drops every picture that comes beside structured content. So text and
structured content say the same, media come without structured content, and errors are text.
"""

import base64
from typing import Any

import mcp_types as types

from blaxel_mcp import json_text
from blaxel_mcp.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.exceptions import BlaxelError
from blaxel_mcp.receipt import RECEIPT_KEY, Receipt

ERROR_KEY = "blaxel-mcp/error"

_VECTOR_IMAGE = "image/svg+xml"


def answer_result(answer: Answer, receipt: Receipt) -> types.CallToolResult:
    """The tool result of a call that succeeded."""
    match answer:
        case JSONAnswer(text=text, value=value):
            structured = _as_object(value) if json_text.survives_as_value(text, value) else None
            return _result(_text(text), receipt, structured=structured)
        case TextAnswer(text=text):
            return _result(_text(text), receipt)
        case BinaryAnswer(data=data, media_type=media_type):
            return _result(_block(data, media_type, receipt), receipt)


def value_result(value: dict[str, Any], receipt: Receipt) -> types.CallToolResult:
    """The tool result of something that this server knows by itself."""
    return _result(_text(json_text.dump(value)), receipt, structured=value)


def error_result(error: BlaxelError, receipt: Receipt) -> types.CallToolResult:
    """The tool result of a call that failed, in words for the agent and in fields for a program."""
    details = {
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable,
        "retry_after_seconds": error.retry_after_seconds,
        "billed": error.billed,
        "origin": error.origin,
        "status": error.status,
        "request_id": error.request_id,
        "hint": error.hint,
    }
    return types.CallToolResult(
        content=[_text(str(error))],
        is_error=True,
        _meta={RECEIPT_KEY: receipt.meta(), ERROR_KEY: details},
    )


def _result(
    block: types.ContentBlock, receipt: Receipt, *, structured: dict[str, Any] | None = None
) -> types.CallToolResult:
    return types.CallToolResult(
        content=[block],
        structured_content=structured,
        _meta={RECEIPT_KEY: receipt.meta()},
    )


def _as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"result": value}


def _text(text: str) -> types.TextContent:
    # Half of a surrogate pair cannot be written as UTF-8 and would end the whole connection.
    return types.TextContent(type="text", text=text.encode("utf-8", "replace").decode())


def _block(data: bytes, media_type: str, receipt: Receipt) -> types.ContentBlock:
    encoded = base64.b64encode(data).decode("ascii")
    if media_type.startswith("image/") and media_type != _VECTOR_IMAGE:
        return types.ImageContent(type="image", data=encoded, mime_type=media_type)
    if media_type.startswith("audio/"):
        return types.AudioContent(type="audio", data=encoded, mime_type=media_type)
    uri = f"blaxel://calls/{receipt.call_id}"
    blob = types.BlobResourceContents(uri=uri, blob=encoded, mime_type=media_type)
    return types.EmbeddedResource(type="resource", resource=blob)
