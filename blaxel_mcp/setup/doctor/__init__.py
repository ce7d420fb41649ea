"""Diagnostics of a set-up: each check that fails comes with a fix.

A check is an async function in the module of its subject. `plan` lists the checks in order, `runner` runs them.
"""

from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import CheckOutcome, Finding, failed_checks, report, summary
from blaxel_mcp.setup.doctor.plan import CALLS, PLAN
from blaxel_mcp.setup.doctor.runner import run_checks

__all__ = [
    "CALLS",
    "PLAN",
    "CheckContext",
    "CheckOutcome",
    "Finding",
    "failed_checks",
    "report",
    "run_checks",
    "summary",
]
