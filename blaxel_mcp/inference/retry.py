"""The retry policy: a failed request is retried only if provably no model worked on it.

A call costs money and cannot be taken back. A failure that leaves open whether the model ran is reported, not retried,
unless the settings mark the model `idempotent = true`. Retry libraries decide by exception type; this policy depends on
fields of the error.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import anyio

from blaxel_mcp.core.exceptions import BlaxelError

MAX_ATTEMPTS = 3

LONGEST_WAIT_SECONDS = 30.0
"""Maximum `Retry-After` to wait for; with a longer one, the call fails at once."""

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 8.0
_SPREAD = 0.25
"""The fraction by which a wait is shortened at random, so that clients that failed together do not retry together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryClock:
    """Waits for a number of seconds between attempts, and makes random numbers from 0 up to 1."""

    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random


def may_retry(error: BlaxelError, *, idempotent: bool) -> bool:
    """Return whether the same request may be sent once more."""
    if error.unprocessed:
        return error.retryable
    ambiguous = error.code == "network_error" or (error.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return idempotent and error.billed == "maybe" and ambiguous


def retry_delay(
    error: BlaxelError, *, attempts: int, idempotent: bool, remaining_seconds: float, jitter: float
) -> float | None:
    """Return how long to wait before the next attempt, in seconds; None for no further attempt.

    The error is that of the last of so many attempts; the remaining seconds are those to the call's deadline.
    """
    retry_after = error.retry_after_seconds
    if attempts >= MAX_ATTEMPTS or not may_retry(error, idempotent=idempotent):
        return None
    # A rate limit that does not say when it ends may last for days.
    if error.status == HTTPStatus.TOO_MANY_REQUESTS and retry_after is None:
        return None
    if (retry_after or 0) > LONGEST_WAIT_SECONDS:
        return None
    delay = backoff(attempts, jitter) if retry_after is None else retry_after * (1 + _SPREAD * jitter / 10)
    return delay if delay < remaining_seconds else None


def backoff(attempts: int, jitter: float) -> float:
    """Return half a second, doubled with each attempt up to 8 s, and up to a quarter shorter."""
    longest = min(_FIRST_BACKOFF_SECONDS * 2 ** (attempts - 1), _LONGEST_BACKOFF_SECONDS)
    return float(longest * (1 - _SPREAD * jitter))
