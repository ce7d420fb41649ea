"""The trace of a running call, and the call's deadline."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from blaxel_mcp.client.errors.network import control_plane_timed_out, timed_out, without_bill
from blaxel_mcp.core.exceptions import BlaxelError

_BEFORE_SECONDS = 0.001
"""Time before a deadline at which to check whether it was missed."""

_SUSPENDED_SECONDS = 0.5
"""A deadline that is later than this was missed while the process was suspended."""

_GRACE_SECONDS = 5.0
"""Time that such a call has to read an answer that has arrived."""


@dataclass(slots=True)
class CallTrace:
    """The progress of a call, updated while it runs.

    Attributes:
        attempts: How many times the request was passed to the transport.
        status: The HTTP status of the current attempt; None until its response begins.
        headers: The headers of the last response, without our secrets; names in lower case.
        request_id: The id under which Blaxel finds the last response.
        first_byte_seconds: Time from the trace's creation to the last response's headers.
        sent: Whether upstream may be working on the request, and may charge for it.
        runs_model: Whether the request is a call of a model, and not one to the control plane.
        started: When the trace was created, by `time.perf_counter`.
    """

    attempts: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    request_id: str | None = None
    first_byte_seconds: float | None = None
    sent: bool = False
    runs_model: bool = True
    started: float = field(default_factory=time.perf_counter, repr=False, compare=False)

    def annotate(self, error: BlaxelError) -> BlaxelError:
        """Set what the error can know of the last response and of the bill, and return the error."""
        error.status, error.request_id = self.status, self.request_id
        return error if self.runs_model else without_bill(error)


@dataclass(slots=True, eq=False)
class SendTracker:
    """Tracks whether a request has been sent; an instance is the request's httpcore `trace` extension.

    `DirectTransport` updates the trace itself. Any other transport that reports no events is assumed to send every
    request passed to it.
    """

    trace: CallTrace
    _has_reported: bool = field(default=False, init=False)

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Handle an event of httpcore's `trace` extension."""
        if not self._has_reported:
            self._has_reported, self.trace.sent = True, False
        # A proxy is sent a CONNECT of its own first.
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self.trace.sent = True


def _extend_if_late(scope: anyio.CancelScope, due: float) -> None:
    # Not `anyio.current_time`, which raises an exception in a callback unless `anyio.run` started the loop.
    now = asyncio.get_running_loop().time()
    if now - due > _SUSPENDED_SECONDS:
        scope.deadline = now + _GRACE_SECONDS


@contextmanager
def deadline(seconds: float | None, trace: CallTrace) -> Iterator[None]:
    """Cancel the enclosed work after `seconds`; None sets no limit.

    A process that was suspended meanwhile (a laptop's lid, `docker pause`) first reads an answer that has arrived.

    Raises:
        BlaxelError: `timeout`; its `billed` depends on `trace.sent`.
    """
    if seconds is None:
        yield
        return
    loop = asyncio.get_running_loop()
    with anyio.CancelScope(deadline=loop.time() + seconds) as scope:
        due = scope.deadline - _BEFORE_SECONDS
        timer = loop.call_at(due, _extend_if_late, scope, due)
        try:
            yield
        finally:
            timer.cancel()
    if scope.cancelled_caught:
        error = timed_out(seconds, sent=trace.sent) if trace.runs_model else control_plane_timed_out(seconds)
        raise trace.annotate(error)
