"""The kinds of calls in a soak test, and the expected result of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.inference.retry import MAX_ATTEMPTS


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of call.

    Attributes:
        weight: Its frequency, relative to the others.
        tool: The called tool.
        arguments: Its arguments.
        code: The expected error code; None for an answer.
        model: The called model; None if nothing may be sent.
        requests: The number of requests of one call.
    """

    weight: int
    tool: str
    arguments: Mapping[str, Any]
    code: str | None = None
    model: str | None = None
    requests: int = 1


def fault(weight: int, model: str, code: str | None, *, requests: int = 1, **more: Any) -> Kind:
    """Return a kind that calls a model with a fault."""
    return Kind(weight, "run_model", {"model": model, "data": {"inputs": "x"}, **more}, code, model, requests)


KINDS = (
    Kind(500, "house-chat", {"prompt": "What is 6 * 7?"}, model="house-chat"),
    Kind(60, "house-chat", {"prompt": "Count to three", "stream": True}, model="house-chat"),
    Kind(
        60, "run_model", {"model": "house-embed", "path": "/v1/embeddings", "data": {"input": "a"}}, model="house-embed"
    ),
    fault(50, "fault-201", None),
    fault(30, "fault-gzip", None),
    fault(10, "fault-flood-1", None),
    fault(10, "fault-png", None),
    fault(30, "fault-500-provider", "provider_error"),
    fault(30, "fault-429-none", "rate_limited"),
    fault(20, "fault-not-dispatched", "model_unavailable", requests=MAX_ATTEMPTS),
    fault(30, "fault-drop", "network_error"),
    fault(20, "fault-truncated", "network_error"),
    fault(20, "fault-not-json", "bad_response"),
    fault(20, "fault-truncated-gzip", "bad_response"),
    fault(20, "fault-html-504", "upstream_error"),
    fault(20, "fault-stream-cut", "bad_response", path="/v1/chat/completions"),
    fault(10, "fault-headers", "network_error"),
    fault(10, "fault-flood-9", "response_too_large"),
    Kind(20, "run_model", {"model": "house-chat", "path": "/../other"}, "invalid_arguments"),
    Kind(20, "run_model", {"model": "house-chat", "data": {"a": [[[[0]]]]}, "oops": 1}, "invalid_arguments"),
    Kind(10, "read_result", {"call_id": "call_none"}, "not_found"),
)
CANCELLED = Kind(15, "run_model", {"model": "fault-slow-60s", "data": {}}, "cancelled", "fault-slow-60s")
"""The kind that its client cancels in flight: the only one without an answer."""
