"""Ask several models the same question at once, with one reservation for all."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from blaxel_mcp.apis.retrieval import read_vectors, similarities
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import shorten
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.consent import agree_together
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import describe
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.receipt import build_receipt
from blaxel_mcp.inference.runtime import Runtime

QUESTION_FIELDS = ("prompt", "input", "inputs", "query", "question", "text")
SYSTEM_FIELDS = ("system", "instructions")
"""Arguments that hold the question and the system instructions; the first one that a model's tool has counts."""

_MAX_JSON_CHARS = 500
_MAX_EMBEDDED_CHARS = 8000
"""Characters of each answer that are embedded: embedding models read a few thousand tokens."""


Send = Callable[[Invocation, CallContext], Awaitable[Answer]]


@dataclass(slots=True)
class AskedModel:
    """A model as the caller named it, and its answer so far.

    Attributes:
        invocation: The call; None if it cannot be made.
        answer: The complete answer; None while the call runs or if it failed.
        error: Why it failed.
        receipt: The receipt of the call, once it has ended.
    """

    model: str
    context: CallContext = field(default_factory=CallContext)
    invocation: Invocation | None = None
    answer: Answer | None = None
    error: BlaxelError | None = None
    receipt: JSONObject | None = None

    @property
    def text(self) -> str | None:
        """The text of the answer; of one without text, its JSON or its size. None without an answer."""
        match self.answer:
            case None:
                return None
            case BinaryAnswer(data=data, media_type=media_type):
                return f"({media_type}, {len(data):,} bytes)"
        api = self.context.prepared.route.api if self.context.prepared else None
        written = api.text(self.answer.value) if api and isinstance(self.answer, JSONAnswer) else None
        return written or shorten(self.answer.text, _MAX_JSON_CHARS)

    def fail(self, error: BlaxelError) -> None:
        """Store why there is no answer, and the receipt."""
        self.error, self.receipt = error, build_receipt(self.context)


def question_field(
    entry: CatalogEntry, names: Sequence[str], wanted: str, *, hint: str = "Call it with a body of its own."
) -> str:
    """Return the first of these arguments that a model's tool has.

    Raises:
        InvalidArgumentsError: It has none of them.
    """
    properties = entry.schema.full.get("properties", {})
    if name := next((name for name in names if name in properties), None):
        return name
    raise InvalidArgumentsError(f"The model {entry.name!r} ({entry.api.name}) does not take {wanted}.", hint=hint)


async def ask_together(
    runtime: Runtime,
    asked: Sequence[AskedModel],
    send: Send,
    context: CallContext,
    *,
    need: int | None = None,
    deadline_seconds: float | None = None,
) -> None:
    """Ask all models at once with `send`, and fill in their answers and errors. Those with an error are skipped.

    The context is that of the call that asks them; it notes who agreed to theirs. After `need` answers, or after so
    many seconds, unfinished calls are cancelled.

    Raises:
        BlaxelError: `budget_exceeded`: the budget has no room for all of them. Or nobody agreed to the calls.
    """
    expected: list[CallContext] = []
    for one in asked:
        if one.error is None and one.invocation is not None:
            # The call prepares its request again; a second lookup in the control plane is answered from the cache.
            own = CallContext(call_id=one.context.call_id, model_names=runtime.discovery.catalog.names)
            try:
                await runtime.inference.expect(one.invocation, own)
            except BlaxelError as error:
                one.fail(describe(error, own))
            else:
                expected.append(own)
    await agree_together(runtime.spending, context, expected)
    async with runtime.spending.reserve_together(expected):
        with anyio.move_on_after(deadline_seconds):
            async with anyio.create_task_group() as group:
                for one in asked:
                    if one.error is None:
                        group.start_soon(_ask, one, send, group.cancel_scope, asked, need)
    for one in asked:
        if one.error is None and one.answer is None:
            one.fail(_unfinished(one, deadline_seconds if _answers(asked) < (need or len(asked)) else None))


async def _ask(
    one: AskedModel, send: Send, all_calls: anyio.CancelScope, asked: Sequence[AskedModel], need: int | None
) -> None:
    assert one.invocation is not None, "a model without a call has an error"
    try:
        one.answer = await send(one.invocation, one.context)
        one.receipt = build_receipt(one.context)
    except BlaxelError as error:
        one.fail(describe(error, one.context))
    if need is not None and _answers(asked) >= need:
        all_calls.cancel()


def _answers(asked: Sequence[AskedModel]) -> int:
    return sum(one.answer is not None for one in asked)


def _unfinished(one: AskedModel, seconds: float | None) -> BlaxelError:
    reason = "enough other models had answered" if seconds is None else f"it had no answer after {seconds:g} seconds"
    return BlaxelError(
        f"The call was cancelled: {reason}.",
        code="cancelled" if seconds is None else "timeout",
        origin="caller",
        billed="maybe" if one.context.trace.sent else "no",
    )


async def compare_texts(
    runtime: Runtime, entry: CatalogEntry, texts: Sequence[str], context: CallContext
) -> list[list[float]] | None:
    """Return the cosine similarity of texts to each other, by one call of an embedding model; None without vectors.

    Raises:
        BlaxelError: The call failed.
    """
    arguments = {"input": [text[:_MAX_EMBEDDED_CHARS] for text in texts]}
    answer = await runtime.inference.run(Invocation.of_entry(entry, arguments), context)
    vectors = read_vectors(answer.value) if isinstance(answer, JSONAnswer) else []
    return similarities(vectors) if len(vectors) == len(texts) else None
