"""The results of checks, as values."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import BlaxelError

CheckOutcome = Literal["ok", "warning", "failed", "skipped"]
"""warning: it works, but needs attention. skipped: it was not checked."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check: the finding, or why nothing was checked, and the command or edit that fixes it."""

    outcome: CheckOutcome
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A result with the check's id, which scripts rely on, and its title for people."""

    id: str
    title: str
    result: Result

    @property
    def outcome(self) -> CheckOutcome:
        """The result's outcome."""
        return self.result.outcome


ok = partial(Result, "ok")
skipped = partial(Result, "skipped")


# Functions, so that the type checker insists on a fix.
def warning(message: str, fix: str) -> Result:
    """Return the result of a check that passed, but needs attention."""
    return Result("warning", message, fix)


def failed(message: str, fix: str) -> Result:
    """Return the result of a check that failed."""
    return Result("failed", message, fix)


def failed_by(error: BlaxelError, fix: str = "") -> Result:
    """Return the result of a check that ended with an error: the fix is the error's hint, followed by `fix`."""
    return failed(error.message, f"{error.hint} {fix}".strip())


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 call` or `2,000 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def failed_checks(findings: Iterable[Finding]) -> list[str]:
    """Return the ids of the checks that failed."""
    return [finding.id for finding in findings if finding.outcome == "failed"]


def summary(findings: Sequence[Finding]) -> str:
    """Return the number of each outcome, the worst first, such as `1 failed, 2 skipped, 9 ok`."""
    counts = Counter(finding.outcome for finding in findings)
    order: tuple[CheckOutcome, ...] = ("failed", "warning", "skipped", "ok")
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in order if counts[outcome])


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the JSON of `doctor --json`: whether nothing failed, and each finding in order."""
    return {
        "ok": not failed_checks(findings),
        "version": __version__,
        "checks": [
            {
                "id": finding.id,
                "title": finding.title,
                "outcome": finding.outcome,
                "found": finding.result.message,
                "fix": finding.result.fix,
            }
            for finding in findings
        ],
    }
