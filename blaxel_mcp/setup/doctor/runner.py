"""Runs checks at once, each as soon as those that it depends on have passed."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.setup.doctor.context import Case
from blaxel_mcp.setup.doctor.findings import Finding, Result, failed, failed_by, skipped

logger = logging.getLogger(__name__)

CHECK_SECONDS = 45.0
"""How long a check may take; each of the things that it waits for has a shorter limit of its own."""

Look = Callable[[Case], Awaitable[Result | list[Finding]]]
OnFinding = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One check, or several of a kind that are only known once they are looked for.

    Attributes:
        id: Its name for scripts; those of a group begin with it, or are their own.
        title: Its name for people.
        look: Looks; gives the result, or the findings of a group.
        needs: The checks without which this one would only say the same again.
        seconds: How long it may take.
    """

    id: str
    title: str
    look: Look
    needs: tuple[str, ...] = ()
    seconds: float = CHECK_SECONDS


async def run_checks(
    plan: Sequence[Check],
    case: Case,
    *,
    tell: OnFinding = lambda _: None,
    begin: Callable[[str], None] = lambda _: None,
    end: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Run the checks; those that depend on one that failed are skipped, so that one cause gives one failure.

    Args:
        plan: The checks, each after those that it needs.
        case: What is looked at.
        tell: Is told of each finding as soon as there is one.
        begin: Is told the title of each check that begins.
        end: Is told the title of each check that ends.

    Returns:
        The findings in the order of the plan.
    """
    run = _Run(case, {check.id: anyio.Event() for check in plan})
    found: dict[str, list[Finding]] = {}

    async def settle(check: Check) -> None:
        found[check.id] = await run.findings(check, begin)
        run.note(check.id, found[check.id])
        for finding in found[check.id]:
            tell(finding)
        end(check.title)

    async with anyio.create_task_group() as group:
        for check in plan:
            group.start_soon(settle, check)
    return [finding for check in plan for finding in found[check.id]]


class _Run:
    """Which checks have ended, and which of them keep others from being looked at."""

    def __init__(self, case: Case, ended: dict[str, anyio.Event]) -> None:
        self._case = case
        self._ended = ended
        self._causes: dict[str, str] = {}

    async def findings(self, check: Check, begin: Callable[[str], None]) -> list[Finding]:
        for need in check.needs:
            await self._ended[need].wait()
        cause = next((self._causes[need] for need in check.needs if need in self._causes), None)
        if cause is not None:
            self._causes[check.id] = cause
            return [Finding(check.id, check.title, skipped(f"not looked at, since the check {cause!r} failed"))]
        begin(check.title)
        result = await _looked(check, self._case)
        return result if isinstance(result, list) else [Finding(check.id, check.title, result)]

    def note(self, check: str, findings: Sequence[Finding]) -> None:
        if any(finding.id == check and finding.outcome == "failed" for finding in findings):
            self._causes[check] = check
        self._ended[check].set()


async def _looked(check: Check, case: Case) -> Result | list[Finding]:
    try:
        with anyio.fail_after(check.seconds):
            return await check.look(case)
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
