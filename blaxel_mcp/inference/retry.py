"""Sending a request again, by evidence: only what provably was not worked on is sent twice.

A call of a model costs money and cannot be taken back. So a failure that leaves open whether the
model ran is told and not repeated, unless the settings call the model `idempotent`. This is the one
place where anything is sent again for a failure; a 401, which renews a token, is the client's.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import anyio

from blaxel_mcp.client.request import CallTrace
from blaxel_mcp.core.exceptions import BlaxelError

MAX_ATTEMPTS = 3
"""How often one call is sent at most."""

LONGEST_WAIT_SECONDS = 30.0
"""The longest wait that is sat out; an agent can make better use of a longer one."""

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 8.0
_SPREAD = 0.25
"""By which part a wait is varied, so that those who failed together do not come back together."""

Answer = TypeVar("Answer")

Announce = Callable[[str], None]
"""Is told in a sentence why a call waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryClock:
    """How waits pass and are varied.

    Attributes:
        sleep: Waits for the given number of seconds.
        jitter: A number from 0 up to 1, another one each time.
    """

    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random


def may_be_sent_again(error: BlaxelError, *, idempotent: bool) -> bool:
    """Whether the very same request may go out once more.

    Args:
        error: How it failed.
        idempotent: Whether it may be worked on twice.
    """
    if error.unprocessed:
        return error.retryable
    ambiguous = error.code == "network_error" or (error.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return idempotent and error.billed == "maybe" and ambiguous


def wait_before_next(
    error: BlaxelError, *, attempts: int, idempotent: bool, left_seconds: float, jitter: float
) -> float | None:
    """How long to wait before the request goes out again, in seconds; None for not at all.

    Args:
        error: How the last attempt failed.
        attempts: How many there have been.
        idempotent: Whether the request may be worked on twice.
        left_seconds: How much of the call's time is left.
        jitter: From 0 up to 1.
    """
    asked = error.retry_after_seconds
    if attempts >= MAX_ATTEMPTS or not may_be_sent_again(error, idempotent=idempotent):
        return None
    # A limit that does not say when it ends may be one of days.
    if (error.status == HTTPStatus.TOO_MANY_REQUESTS and asked is None) or (asked or 0) > LONGEST_WAIT_SECONDS:
        return None
    wait = backoff(attempts, jitter) if asked is None else asked * (1 + _SPREAD * jitter / 10)
    return wait if wait < left_seconds else None


def backoff(attempts: int, jitter: float) -> float:
    """Half a second, doubled with each attempt, up to a quarter shorter; in seconds."""
    longest = min(_FIRST_BACKOFF_SECONDS * 2 ** (attempts - 1), _LONGEST_BACKOFF_SECONDS)
    return float(longest * (1 - _SPREAD * jitter))


async def send_with_retries(
    send: Callable[[], Awaitable[Answer]],
    *,
    trace: CallTrace,
    idempotent: bool,
    announce: Announce,
    note: Announce,
    means: RetryClock,
) -> Answer:
    """Send a request, and send it again where that is safe. The deadline is the one set around this.

    Args:
        send: Sends it once.
        trace: Of the call; after a failure that reached nobody, nothing counts as sent.
        idempotent: Whether it may be worked on twice.
        announce: Is told why it waits, and an empty string when it no longer does.
        note: Is told of every attempt but the last, for the receipt.
        means: How to wait.

    Raises:
        BlaxelError: the last attempt's; `billed` holds for all of them together.
    """
    maybe_billed = False
    for attempts in range(1, MAX_ATTEMPTS + 1):
        try:
            answer = await send()
        except BlaxelError as error:
            maybe_billed = maybe_billed or error.billed != "no"
            left = anyio.current_effective_deadline() - anyio.current_time()
            wait = wait_before_next(
                error, attempts=attempts, idempotent=idempotent, left_seconds=left, jitter=means.jitter()
            )
            if wait is None:
                raise _told(error, attempts, maybe_billed=maybe_billed) from None
            trace.sent = maybe_billed
            note(f"sent again after {wait:.1f} seconds: {error.message}")
            announce(f"{error.message} It is sent again in {wait:.1f} seconds (attempt {attempts + 1}).")
            await means.sleep(wait)
            announce("")
        else:
            if maybe_billed:
                note("an attempt before the one that was answered may have been billed too")
            return answer
    raise AssertionError("the last attempt either answers or raises")


def _told(error: BlaxelError, attempts: int, *, maybe_billed: bool) -> BlaxelError:
    if attempts > 1:
        error.hint = f"It was tried {attempts} times. {error.hint}".rstrip()
    if maybe_billed and error.billed == "no":
        error.billed = "maybe"
        error.hint = f"{error.hint} An attempt before the last one may have been billed."
    return error
