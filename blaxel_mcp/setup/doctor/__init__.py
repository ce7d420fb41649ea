"""What stands between a set-up and its first call: checks that each end in what mends it.

A check is a small async function in a file by theme; `plan` puts them in their order, `engine` runs them.
"""

from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Finding, Outcome, has_failed, report, summary
from blaxel_mcp.setup.doctor.plan import CALLS, PLAN
from blaxel_mcp.setup.doctor.runner import run_checks

__all__ = ["CALLS", "PLAN", "CheckContext", "Finding", "Outcome", "has_failed", "report", "run_checks", "summary"]
