"""The receipt of a call: the value of `_meta["blaxel-mcp/call"]` on every result."""

import time
from functools import lru_cache
from typing import Any

from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.context import CallContext

RECEIPT_KEY = "blaxel-mcp/call"

_shown_url = lru_cache(maxsize=256)(scrub)
"""Cached: most calls go to a few URLs."""


def build_receipt(context: CallContext, *, truncated: bool = False) -> JSONObject:
    """Return the call as it stands now, its outcome and its usage; null for unknown values.

    `elapsed_ms` runs from the arguments to the result, `first_byte_ms` to the headers of the last response. `usage` has
    `estimated` if the tokens are this server's estimate. `repairs` and `notes` are sentences. `truncated` says whether
    the result holds less than the answer, `replayed` whether it is that of an earlier call with the same key.
    """
    trace, usage = context.trace, context.usage
    request = context.prepared and context.prepared.request
    first_byte = trace.first_byte_seconds
    return {
        "call_id": context.call_id,
        "model": context.model,
        "workspace": context.workspace,
        "method": request.method if request else None,
        "url": _shown_url(request.url) if request else None,
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
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            **({"estimated": True} if usage.estimated else {}),
        },
        "cost_usd": context.cost_usd,
        "price_source": context.price.source if context.price else None,
        "budget": context.budget,
        "agreed_by": context.agreed_by,
        "repairs": list(context.repairs),
        "notes": list(context.notes),
        "truncated": truncated,
        "replayed": False,
    }


def visible_receipt(context: CallContext) -> str:
    """Return a call's id, tokens and cost in one short line, for the model."""
    usage, cost = context.usage, context.cost_usd
    parts = [
        f"call_id {context.call_id}",
        f"{usage.total_tokens:,} tokens" if usage and usage.total_tokens is not None else "",
        f"${cost:.6f}" if cost is not None else "",
    ]
    return f"[{', '.join(filter(None, parts))}]"


def result_meta(context: CallContext, *, truncated: bool = False) -> dict[str, Any]:
    """Return the `_meta` of a result: the receipt, and the cost where it is known.

    `cost` has the shape that hosts bill by: USD, and the model and the provider as the provider calls them.
    """
    meta: dict[str, Any] = {RECEIPT_KEY: build_receipt(context, truncated=truncated)}
    if context.cost_usd is not None:
        record = context.record
        meta["cost"] = {
            "usd": context.cost_usd,
            "model": (record and record.provider_model) or context.model,
            "provider": (record and record.runtime_type) or None,
        }
    return meta
