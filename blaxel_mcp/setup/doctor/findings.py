"""What a check comes to, as a value."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import BlaxelError

Outcome = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one check came to.

    Attributes:
        outcome: "warning" is what works and should be looked at; "skipped" is what was not looked at.
        message: What was found, or why nothing was looked for, in a sentence or two.
        fix: The command or the edit that mends it; empty where nothing has to be mended.
    """

    outcome: Outcome
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's result under its id, which scripts hold on to, and its title, which people read."""

    id: str
    title: str
    result: Result

    @property
    def outcome(self) -> Outcome:
        """How it went."""
        return self.result.outcome


def ok(found: str) -> Result:
    """Say that something is as it should be."""
    return Result("ok", found)


def warning(found: str, fix: str) -> Result:
    """Say that something works, and should be looked at."""
    return Result("warning", found, fix)


def failed(found: str, fix: str) -> Result:
    """Say that something does not work, and what mends it."""
    return Result("failed", found, fix)


def failed_by(error: BlaxelError, fix: str = "") -> Result:
    """Say it with an error's own words: its hint is the fix, and what is given here goes on from there."""
    return Result("failed", error.message, " ".join(part for part in (error.hint, fix) if part))


def skipped(reason: str, fix: str = "") -> Result:
    """Say why something was not looked at."""
    return Result("skipped", reason, fix)


def has_failed(findings: Iterable[Finding]) -> bool:
    """Tell whether any check failed."""
    return any(finding.outcome == "failed" for finding in findings)


def summary(findings: Sequence[Finding]) -> str:
    """Count the outcomes, the worst first: `1 failed, 2 skipped, 9 ok`."""
    counts = Counter(finding.outcome for finding in findings)
    order: tuple[Outcome, ...] = ("failed", "warning", "skipped", "ok")
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in order if counts[outcome])


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything for a program: whether nothing failed, and each check in its order."""
    return {
        "ok": not has_failed(findings),
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
