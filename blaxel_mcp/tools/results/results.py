"""Answers and failures as the tool results that clients show to a model.

Clients differ in what they read: some take only the structured content, some only the first
block, and one drops every picture that comes beside structured content. So text and
structured content say the same, media come without structured content, and errors are text.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
import mcp_types as types

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.receipt import RECEIPT_KEY, Receipt
from blaxel_mcp.settings.types import ResultKind
from blaxel_mcp.tools.results.content_blocks import call_uri, media_block, text_block
from blaxel_mcp.tools.results.media import Media
from blaxel_mcp.tools.results.media_files import hand_over
from blaxel_mcp.tools.results.presentation import Presentation, present
from blaxel_mcp.tools.results.truncation_notes import Whole
from blaxel_mcp.tools.store.store import CallStore

ERROR_KEY = "blaxel-mcp/error"

_SHORT = 100_000
"""Characters of an answer up to which shaping it is not worth a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPolicy:
    """How answers become results.

    Attributes:
        store: Keeps the whole answers.
        max_chars: The most text in a result, in characters.
        max_media_bytes: The most media in a result, in bytes before base64.
        output_dir: The folder for media over that; None for the store's own.
        kind: `json` for the answer as it came, `text` for the model's text alone.
        api: Finds that text.
        reader: The name of the tool that reads the rest.
    """

    store: CallStore
    max_chars: int = 40_000
    max_media_bytes: int = 700_000
    output_dir: str | None = None
    kind: ResultKind = "json"
    api: ModelAPI | None = None
    reader: str = "read_result"


async def shape(answer: Answer, receipt: Receipt, policy: ResultPolicy) -> types.CallToolResult:
    """The tool result of a call that succeeded: no larger than the policy allows, with the rest kept.

    Notes in the receipt whether anything was left out. Nothing that goes wrong with the
    keeping or the writing of files makes it fail: the call is paid for.
    """
    await policy.store.put(receipt.call_id, answer)
    shown = await _presented(answer, receipt, policy)
    media, sentences = await _media(shown.media, receipt, policy)
    receipt.truncated = shown.cut or bool(sentences)
    texts = [text_block(sentence) for sentence in sentences]
    if shown.text is None:
        # The first block is all that some clients show: for a file it has to be the words.
        return _result([*texts, *_sounds(shown.media, media, receipt), *media], receipt)
    return _result([text_block(shown.text), *media, *texts], receipt, structured=shown.structured)


def value_result(value: dict[str, Any], receipt: Receipt) -> types.CallToolResult:
    """The tool result of something that this server knows by itself."""
    return _result([text_block(json_text.dump(value))], receipt, structured=value)


def error_result(error: BlaxelError, receipt: Receipt, *, longest_part: int = 0) -> types.CallToolResult:
    """The tool result of a call that failed, in words for the agent and in fields for a program.

    Args:
        error: How it failed.
        receipt: The call's.
        longest_part: The most that is shown of an answer that the error ended, in characters.
    """
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
    content = [text_block(str(error)), *_part(error.partial[:longest_part], receipt)]
    return types.CallToolResult(
        content=list[types.ContentBlock](content),
        is_error=True,
        _meta={RECEIPT_KEY: receipt.meta(), ERROR_KEY: details},
    )


def _part(text: str, receipt: Receipt) -> list[types.TextContent]:
    """What of an answer had come before it failed."""
    if not text:
        return []
    receipt.truncated = True
    return [text_block(text)]


async def _presented(answer: Answer, receipt: Receipt, policy: ResultPolicy) -> Presentation:
    whole = Whole(receipt.call_id, policy.reader)
    work = partial(present, answer, limit=policy.max_chars, whole=whole, model_text=_model_text(answer, policy))
    if isinstance(answer, BinaryAnswer) or len(answer.text) <= _SHORT:
        return work()
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


def _model_text(answer: Answer, policy: ResultPolicy) -> str | None:
    if policy.kind == "text" and policy.api and isinstance(answer, JSONAnswer):
        return policy.api.text(answer.value)
    return None


async def _media(
    media: tuple[Media, ...], receipt: Receipt, policy: ResultPolicy
) -> tuple[list[types.ContentBlock], list[str]]:
    """A block for each medium, and a sentence for each that had to become a file."""
    blocks: list[types.ContentBlock] = []
    sentences: list[str] = []
    room = policy.max_media_bytes
    for medium in media:
        if len(medium.data) <= room:
            room -= len(medium.data)
            blocks.append(media_block(medium, call_uri(receipt.call_id, medium.pointer)))
            continue
        link, sentence = await hand_over(medium, receipt, policy.store, policy.output_dir)
        blocks.append(link)
        sentences.append(sentence)
    return blocks, sentences


def _sounds(media: tuple[Media, ...], blocks: list[types.ContentBlock], receipt: Receipt) -> list[types.TextContent]:
    """A line for each sound that is nothing but a block: many a client drops it, and a model would be told nothing."""
    return [
        text_block(f"{medium.media_type}, {len(medium.data):,} bytes: {call_uri(receipt.call_id, medium.pointer)}")
        for medium, block in zip(media, blocks, strict=True)
        if isinstance(block, types.AudioContent)
    ]


def _result(
    content: list[types.ContentBlock], receipt: Receipt, *, structured: dict[str, Any] | None = None
) -> types.CallToolResult:
    return types.CallToolResult(
        content=content,
        structured_content=structured,
        _meta={RECEIPT_KEY: receipt.meta()},
    )
