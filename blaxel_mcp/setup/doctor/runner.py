"""Runs checks concurrently, each as soon as the checks that it depends on have passed."""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Finding, Result, failed, failed_by, skipped

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Output = TypeVar("Output")
RunCheck = Callable[[CheckContext], Awaitable[Result | list[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check, or a group of checks whose members are known only when it runs.

    Scripts rely on its id; the findings of a group have ids of their own. The checks that it `needs` have to pass
    first, since their failure would only be reported again. `seconds` is the timeout; each of its requests has a
    shorter one.
    """

    id: str
    title: str
    run: RunCheck
    needs: tuple[str, ...] = ()
    seconds: float = 45


async def run_checks(
    plan: Sequence[Check],
    context: CheckContext,
    *,
    on_finding: Callable[[Finding], None] = lambda _: None,
    on_running: Callable[[list[str]], None] = lambda _: None,
) -> list[Finding]:
    """Run the checks, and return the findings in the order of the plan.

    Those that depend on a failed check are skipped, so that one cause is one failure. Each check has to come after
    those that it needs. `on_finding` gets each finding as soon as it is known, and `on_running` the titles of the
    running checks whenever one begins or ends.
    """
    ended = {check.id: anyio.Event() for check in plan}
    # For each failed or skipped check, the failed check that is its cause.
    causes: dict[str, str] = {}
    running: list[str] = []

    async def run(check: Check) -> list[Finding]:
        for need in check.needs:
            await ended[need].wait()
        cause = next((causes[need] for need in check.needs if need in causes), None)
        if cause is None:
            running.append(check.title)
            on_running(running)
            result = await _result(check, context)
            running.remove(check.title)
            on_running(running)
            findings = result if isinstance(result, list) else [Finding(check.id, check.title, result)]
            if any(finding.id == check.id and finding.outcome == "failed" for finding in findings):
                cause = check.id
        else:
            findings = [Finding(check.id, check.title, skipped(f"depends on the check {cause!r}, which failed"))]
        if cause is not None:
            causes[check.id] = cause
        ended[check.id].set()
        for finding in findings:
            on_finding(finding)
        return findings

    return [finding for findings in await run_each(run, plan) for finding in findings]


async def run_each(
    function: Callable[[Item], Awaitable[Output]], items: Sequence[Item], *, at_once: float = math.inf
) -> list[Output]:
    """Call a coroutine function with each item, at most `at_once` at a time; return the results in the items' order."""
    results: dict[int, Output] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def call(index: int, item: Item) -> None:
        async with limiter:
            results[index] = await function(item)

    async with anyio.create_task_group() as group:
        for index, item in enumerate(items):
            group.start_soon(call, index, item)
    return [results[index] for index in range(len(items))]


async def _result(check: Check, context: CheckContext) -> Result | list[Finding]:
    try:
        with anyio.fail_after(check.seconds):
            return await check.run(context)
    except BlaxelError as error:
        return failed_by(error)
    except TimeoutError:
        return failed(
            f"The check did not finish within {check.seconds:g} s.",
            "Run `blaxel-mcp doctor --log-level debug` to see where it stops.",
        )
    except Exception:
        # The command hides less important messages, which findings repeat.
        logger.critical("internal error in the check %r", check.id, exc_info=True)
        return failed(
            "The check itself crashed, so its result is unknown.", "Please report the traceback on stderr as a bug."
        )
