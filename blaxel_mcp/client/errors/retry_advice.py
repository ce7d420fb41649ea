"""Advice on retrying a failed call, worded to agree with the error's `retryable` and `billed`."""

import math

from blaxel_mcp.core.exceptions import Billed

_MAYBE_BILLED = "The model may have run and been billed"


def retry_advice(*, retryable: bool, billed: Billed, wait_seconds: float | None = None) -> str:
    """Return the sentence on retrying a failed call; empty if there is nothing to gain.

    Every hint takes its advice from here, so that none suggests a plain retry of a call that may have been paid for.
    """
    if not retryable:
        return "" if billed == "no" else f"{_MAYBE_BILLED}: retry only if paying twice is acceptable."
    when = "later" if wait_seconds is None else f"after {in_seconds(math.ceil(wait_seconds * 10) / 10)}"
    if billed == "no":
        return f"Retry {when}."
    return f"{_MAYBE_BILLED}: retry {when}, and only if paying twice is acceptable."


def in_seconds(number: float) -> str:
    """Return a number of seconds with its unit, such as `1 second` or `2.5 seconds`."""
    return f"{number:.10g} second{'' if number == 1 else 's'}"
