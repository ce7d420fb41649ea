"""Answers and failures as the tool results that clients show to a model.

Clients differ in what they read: some only the structured content, some only the first block, and one drops every
image beside structured content. So text and structured content say the same, media come without structured content,
and errors are text.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import anyio.to_thread
import mcp_types as types

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.apis.retrieval import MAX_COMPARED
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_pointer import read_steps
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import OPAQUE, shown_media_type
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.receipt import result_meta, visible_receipt
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.types import ReceiptKind, ResultKind
from blaxel_mcp.tools.results.content_blocks import call_uri, media_block, text_block, write_media_file
from blaxel_mcp.tools.results.media import Media
from blaxel_mcp.tools.results.presentation import calls_tools, present, present_embedding, present_parts
from blaxel_mcp.tools.results.truncation import AnswerRef, Presentation
from blaxel_mcp.tools.store.store import CallStore

ERROR_KEY = "blaxel-mcp/error"

_INLINE_CHARS = 100_000
"""A longer answer is shaped in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPolicy:
    """How answers become results, and the store that keeps the complete answers.

    Attributes:
        reader: The name of the tool that reads the rest of an answer.
        writes_files: Whether media that are too large become files; otherwise they are only resources.
        kind: `json` returns the answer unchanged, `text` only the model's text, which `api` finds in the answer.
        select: JSON Pointers of the parts to return; none for the whole answer.
        returns: The form of an embedding, as the argument `return` names it; empty for the usual one.
    """

    store: CallStore
    settings: Settings
    reader: str = "read_result"
    writes_files: bool = True
    kind: ResultKind = "json"
    api: ModelAPI | None = None
    select: tuple[str, ...] = ()
    returns: str = ""

    def for_model(self, api: ModelAPI | None, model: ModelSettings | None) -> Self:
        """Return the policy for one model, whose own `result` takes precedence over the global one."""
        select = (model and model.select) or ()
        return replace(self, api=api, kind=(model and model.result) or self.settings.tools.result, select=select)

    def for_call(self, arguments: JSONObject, names: Collection[str] = ("select",)) -> Self:
        """Return the policy for one call, whose `select` takes precedence over the model's own.

        `names` are the arguments of the tool that shape the result.

        Raises:
            InvalidArgumentsError: They cannot be used; nothing has been sent yet.
        """
        asked = {name: arguments[name] for name in names if name in arguments}
        if not asked:
            return self
        select, returns = asked.get("select", self.select), asked.get("return", "")
        pointers = (select,) if isinstance(select, str) else tuple(select)
        for pointer in pointers:
            read_steps(pointer)
        texts = arguments.get("input")
        are_many = isinstance(texts, list) and len(texts) > MAX_COMPARED and not isinstance(texts[0], int)
        if returns == "similarity" and are_many:
            raise InvalidArgumentsError(
                f'return = "similarity" compares at most {MAX_COMPARED} texts with each other; there are more.',
                hint='Send fewer texts, or use return = "file" and compare the vectors yourself; nothing was sent.',
            )
        return replace(self, select=pointers, returns=returns)


async def answer_result(answer: Answer, context: CallContext, policy: ResultPolicy) -> types.CallToolResult:
    """Return the result of a call that succeeded: no larger than the policy allows, with the whole answer stored.

    No failure to store the answer or to write a file makes it fail: the call has been paid for.
    """
    await policy.store.put(context.call_id, answer)
    shape = partial(_shape, answer, policy, AnswerRef(context.call_id, policy.reader))
    is_light = isinstance(answer, BinaryAnswer) or len(answer.text) <= _INLINE_CHARS
    if is_light and not policy.select and not policy.returns:
        shown = shape()
    else:
        shown = await anyio.to_thread.run_sync(shape, abandon_on_cancel=True)
    media, sentences = await _media_blocks(shown.media, context, policy) if shown.media else ([], [])
    truncated = shown.truncated or bool(sentences)
    structured = shown.structured
    if policy.settings.tools.receipt == "text":
        # Clients show structured content in place of the text, and the line would not be seen.
        sentences, structured = [*sentences, visible_receipt(context)], None
    texts = [text_block(sentence) for sentence in (*sentences, *shown.remarks)]
    if shown.text is None:
        # Some clients show only the first block: for a file it has to be the sentence.
        content = [*texts, *_lines(shown.media, media, context), *media]
    else:
        content = [text_block(shown.text), *media, *texts]
    meta = result_meta(context, truncated=truncated)
    return types.CallToolResult(content=content, structured_content=structured, _meta=meta)


def value_result(value: dict[str, Any], context: CallContext) -> types.CallToolResult:
    """Return the result of a tool that asks no model."""
    content: list[types.ContentBlock] = [text_block(json_text.dump(value))]
    return types.CallToolResult(content=content, structured_content=value, _meta=result_meta(context))


def error_result(
    error: BlaxelError, context: CallContext, *, max_chars: int = 0, receipt: ReceiptKind = "meta"
) -> types.CallToolResult:
    """Return the result of a call that failed: text for the agent, fields for a program.

    `error` has its final text. At most `max_chars` characters of the partial answer are shown.
    """
    partial_text = error.partial or (context.stream.partial() if context.stream and max_chars else "")
    partial_text = partial_text[:max_chars]
    details = {
        "code": error.code,
        "message": text_block(error.message).text,
        "retryable": error.retryable,
        "retry_after_seconds": error.retry_after_seconds,
        "billed": error.billed,
        "origin": error.origin,
        "status": error.status,
        "request_id": error.request_id,
        "hint": text_block(error.hint).text,
    }
    texts = [str(error), *filter(None, (partial_text, visible_receipt(context) if receipt == "text" else ""))]
    return types.CallToolResult(
        content=list[types.ContentBlock](map(text_block, texts)),
        is_error=True,
        _meta=result_meta(context, truncated=bool(partial_text)) | {ERROR_KEY: details},
    )


def prepared_result(result: types.CallToolResult) -> types.CallToolResult | dict[str, Any]:
    """Return a result of text alone as the object that the SDK would make of it, with a pass over the whole answer."""
    texts = [block.text for block in result.content if isinstance(block, types.TextContent)]
    if len(texts) < len(result.content):
        return result
    prepared: dict[str, Any] = {
        "content": [{"type": "text", "text": text} for text in texts],
        "isError": result.is_error,
        "resultType": result.result_type,
    }
    if result.structured_content is not None:
        prepared["structuredContent"] = result.structured_content
    if result.meta is not None:
        prepared["_meta"] = result.meta
    return prepared


def _shape(answer: Answer, policy: ResultPolicy, ref: AnswerRef) -> Presentation:
    """Return the parts or the form of an answer that the call asks for, otherwise the model's text or all of it."""
    limit = policy.settings.limits.max_result_chars
    if not isinstance(answer, JSONAnswer):
        shown = present(answer, limit=limit, ref=ref)
        picks_nothing = ("[`select` and `return` pick nothing: the answer is not JSON.]",)
        return replace(shown, remarks=picks_nothing) if policy.select or policy.returns else shown
    if policy.select:
        return present_parts(answer, policy.select, limit=limit, ref=ref)
    if policy.returns in ("similarity", "file") and (embedding := present_embedding(answer, policy.returns)):
        return embedding
    model_text = policy.api.text(answer.value) if policy.kind == "text" and policy.api else None
    if model_text and (model_text.isspace() or calls_tools(answer.value)):
        # The JSON says more: an empty text stands beside calls of tools, which the agent has to see.
        model_text = None
    summarizes = policy.returns != "vectors"
    return present(answer, limit=limit, ref=ref, model_text=model_text or None, summarizes=summarizes)


async def _media_blocks(
    media: tuple[Media, ...], context: CallContext, policy: ResultPolicy
) -> tuple[list[types.ContentBlock], list[str]]:
    """Return a block for each medium, and a sentence for each that had to become a file."""
    blocks: list[types.ContentBlock] = []
    sentences: list[str] = []
    remaining = -1 if policy.returns == "file" else policy.settings.limits.max_media_bytes
    for medium in media:
        if len(medium.data) <= remaining:
            remaining -= len(medium.data)
            blocks.append(media_block(medium, call_uri(context.call_id, medium.pointer)))
            continue
        link, sentence = await write_media_file(
            medium,
            context,
            policy.store if policy.writes_files else None,
            policy.settings.files.output_dir,
            is_asked=policy.returns == "file",
        )
        blocks.append(link)
        sentences.append(sentence)
    return blocks, sentences


def _lines(
    media: tuple[Media, ...], blocks: list[types.ContentBlock], context: CallContext
) -> Iterator[types.TextContent]:
    """Yield a line of text for blocks that many clients drop, so that the model would see nothing."""
    for medium, block in zip(media, blocks, strict=True):
        is_picture = medium.media_type.startswith("image/") or medium.media_type == OPAQUE
        if isinstance(block, types.AudioContent) or (isinstance(block, types.EmbeddedResource) and is_picture):
            described = f"{shown_media_type(medium.media_type)}, {len(medium.data):,} bytes"
            yield text_block(f"{described}: {call_uri(context.call_id, medium.pointer)}")
