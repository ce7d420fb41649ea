"""Runs the checks concurrently, each as soon as the checks that it depends on have passed."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.setup.doctor.checks import CheckContext, Finding, Result, failed, failed_by, run_each, skipped
from blaxel_mcp.setup.doctor.clients import clients
from blaxel_mcp.setup.doctor.models import calls, models
from blaxel_mcp.setup.doctor.network import access, certificates, clock, connection, names, proxy, token
from blaxel_mcp.setup.doctor.server import footprint, server
from blaxel_mcp.setup.doctor.settings import audit, credentials, ledger, settings, versions, workspace

logger = logging.getLogger(__name__)

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


PLAN: tuple[Check, ...] = (
    Check("settings", "Settings", settings),
    Check("workspace", "Workspace", workspace, ("settings",)),
    Check("credentials", "Credentials", credentials, ("workspace",)),
    Check("proxy", "Proxy", proxy),
    Check("certificates", "Certificates", certificates),
    Check("names", "Host names", names, ("settings",)),
    Check("connection", "Connection and TLS", connection, ("settings", "certificates", "names")),
    Check("token", "Token", token, ("credentials", "connection")),
    Check("access", "Access to the workspace", access, ("token",)),
    Check("clock", "Clock", clock, ("access",)),
    Check("models", "Models", models, ("access",), seconds=120),
    Check("ledger", "Ledger", ledger, ("settings",)),
    Check("audit", "Audit file", audit, ("settings",)),
    Check("server", "This server over stdio", server, ("settings",)),
    Check("footprint", "Tools in the context", footprint, ("server",)),
    Check("clients", "Clients", clients, ("settings",), seconds=180),
    Check("versions", "Versions", versions),
)
"""Every check that is free of charge."""

CALLS = Check("calls", "Model calls", calls, ("models",), seconds=600)
"""The check of `--call`: one small request to each model, which is billed."""
