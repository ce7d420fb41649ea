"""The receipt of a call: the value of `_meta["blaxel-mcp/call"]` on every result."""

import time
from typing import TypedDict

from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.context import CallContext

RECEIPT_KEY = "blaxel-mcp/call"


class Receipt(TypedDict):
    """What was called, what came of it and what it took; null where that is not known.

    `elapsed_ms` runs from the arguments to the result, `first_byte_ms` to the headers of the last response. `usage` has
    `estimated` if the tokens are this server's estimate. `repairs` and `notes` are sentences. `truncated` says whether
    the result holds less than the answer.
    """

    call_id: str
    model: str | None
    workspace: str | None
    method: str | None
    url: str | None
    status: int | None
    request_id: str | None
    attempts: int
    elapsed_ms: float
    first_byte_ms: float | None
    usage: JSONObject | None
    cost_usd: float | None
    budget: JSONObject | None
    repairs: list[str]
    notes: list[str]
    truncated: bool


def build_receipt(context: CallContext, *, truncated: bool = False) -> Receipt:
    """Return the receipt of a call as it stands now."""
    trace, usage = context.trace, context.usage
    request = context.prepared and context.prepared.request
    first_byte = trace.first_byte_seconds
    return {
        "call_id": context.call_id,
        "model": context.model,
        "workspace": context.workspace,
        "method": request.method if request else None,
        "url": scrub(request.url) if request else None,
        "status": trace.status,
        "request_id": trace.request_id,
        "attempts": trace.attempts,
        "elapsed_ms": round((time.perf_counter() - context.started) * 1000, 1),
        "first_byte_ms": None if first_byte is None else round(first_byte * 1000, 1),
        "usage": None
        if usage is None
        else {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            **({"estimated": True} if usage.estimated else {}),
        },
        "cost_usd": context.cost_usd,
        "budget": context.budget,
        "repairs": list(context.repairs),
        "notes": list(context.notes),
        "truncated": truncated,
    }
