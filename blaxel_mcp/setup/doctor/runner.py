"""Runs checks at once, each as soon as those that it depends on have passed."""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Finding, Result, failed, failed_by, skipped

Item = TypeVar("Item")
Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

CHECK_SECONDS = 45.0
"""How long a check may take; each of the things that it waits for has a shorter limit of its own."""

RunCheck = Callable[[CheckContext], Awaitable[Result | list[Finding]]]
OnFinding = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One check, or several of a kind that are only known once they are looked for.

    Attributes:
        id: Its name for scripts; those of a group begin with it, or are their own.
        title: Its name for people.
        run: Runs it; gives the result, or the findings of a group.
        needs: The checks without which this one would only say the same again.
        seconds: How long it may take.
    """

    id: str
    title: str
    run: RunCheck
    needs: tuple[str, ...] = ()
    seconds: float = CHECK_SECONDS


async def run_checks(
    plan: Sequence[Check],
    context: CheckContext,
    *,
    tell: OnFinding = lambda _: None,
    begin: Callable[[str], None] = lambda _: None,
    end: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Run the checks; those that depend on one that failed are skipped, so that one cause gives one failure.

    Args:
        plan: The checks, each after those that it needs.
        context: What is looked at.
        tell: Is told of each finding as soon as there is one.
        begin: Is told the title of each check that begins.
        end: Is told the title of each check that ends.

    Returns:
        The findings in the order of the plan.
    """
    ended = {check.id: anyio.Event() for check in plan}
    # The failed check behind each one that failed or was skipped.
    causes: dict[str, str] = {}

    async def run(check: Check) -> list[Finding]:
        for need in check.needs:
            await ended[need].wait()
        cause = next((causes[need] for need in check.needs if need in causes), None)
        if cause is None:
            begin(check.title)
            result = await _looked(check, context)
            findings = result if isinstance(result, list) else [Finding(check.id, check.title, result)]
            if any(finding.id == check.id and finding.outcome == "failed" for finding in findings):
                cause = check.id
        else:
            reason = f"not looked at, since the check {cause!r} failed"
            findings = [Finding(check.id, check.title, skipped(reason))]
        if cause is not None:
            causes[check.id] = cause
        ended[check.id].set()
        for finding in findings:
            tell(finding)
        end(check.title)
        return findings

    return [finding for findings in await run_each(run, plan) for finding in findings]


async def run_each(
    function: Callable[[Item], Awaitable[Answer]], items: Sequence[Item], *, at_once: float = math.inf
) -> list[Answer]:
    """Call a coroutine function with each item, at most so many at once, and return the results in the items' order."""
    results: dict[int, Answer] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def call(index: int, item: Item) -> None:
        async with limiter:
            results[index] = await function(item)

    async with anyio.create_task_group() as group:
        for index, item in enumerate(items):
            group.start_soon(call, index, item)
    return [results[index] for index in range(len(items))]


async def _looked(check: Check, context: CheckContext) -> Result | list[Finding]:
    try:
        with anyio.fail_after(check.seconds):
            return await check.run(context)
    except BlaxelError as error:
        return failed_by(error)
    except TimeoutError:
        return failed(
            f"The check was given up after {check.seconds:g} seconds.",
            "Run `blaxel-mcp doctor` again; where this stays so, with --log-level debug.",
        )
    except Exception:
        logger.exception("the check %r failed in a way that it did not expect", check.id)
        return failed(
            "The check itself failed, so nothing is known.", "The lines above on stderr say why: report them."
        )
