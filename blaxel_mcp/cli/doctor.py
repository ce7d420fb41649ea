"""`blaxel-mcp doctor`: checks of the whole set-up, each with a fix when it fails."""

import argparse
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack, nullcontext, suppress

from rich.text import Text

from blaxel_mcp.cli.console import ReportConsole, folded
from blaxel_mcp.cli.settings import configured, serve_arguments
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import Configuration, named_settings_file, process_environment
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.doctor.checks import CheckContext, CheckOutcome, Finding, failed_checks, report, summary
from blaxel_mcp.setup.doctor.runner import CALLS, PLAN, run_checks
from blaxel_mcp.setup.install.clients import user_dirs
from blaxel_mcp.setup.install.document import ClientState, client_states

_TITLE_WIDTH = 24
_LABELS: Mapping[CheckOutcome, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "failed": ("FAILED", "bold red"),
    "skipped": ("skipped", "dim"),
}
_LABEL_WIDTH = 9
_NARROW, _NARROW_INDENT = 100, 4
"""In a terminal with fewer columns, messages are on lines of their own, with this indent."""


async def doctor(options: argparse.Namespace) -> int:
    """Run the checks and print their findings; the exit code is 1 if a check failed, unusable settings included."""
    console = ReportConsole(quiet=options.json)
    if options.call:
        console.print("--call sends one small request to each model, which costs the model's price.\n")
    if options.log_level == "warning":
        # Problems are reported as findings. With another log level than the default, the log has them too.
        configure_logging("critical", options.log_format)
    findings = await _examine(options, console)
    if options.json:
        print(json.dumps(report(findings), ensure_ascii=False, indent=2))
    console.print(f"\n{summary(findings)}")
    if failed := failed_checks(findings):
        console.print(f"failed: {', '.join(failed)}")
    return ExitCode.FAILED if failed else ExitCode.OK


async def _examine(options: argparse.Namespace, console: ReportConsole) -> list[Finding]:
    environ = process_environment()
    clients: list[ClientState] = []
    # A user without a home directory has no clients in it.
    with suppress(ConfigurationError):
        clients = client_states(user_dirs(environ))
    problem = None
    async with AsyncExitStack() as stack:
        try:
            # Only building the runtime finds a model with an unknown API.
            runtime = build_runtime(await stack.enter_async_context(configured(options)))
        except ConfigurationError as error:
            runtime, problem = build_runtime(Configuration(Settings())), error
        named_file = None
        # A name that is blank is the problem above.
        with suppress(ConfigurationError):
            named_file = named_settings_file(options.config)
        serve = serve_arguments(options, options.config)
        context = CheckContext(
            runtime=runtime, problem=problem, variables=environ, serve=serve, named_file=named_file, clients=clients
        )
        status = console.status("")
        async with runtime.connected():
            with status if console.is_terminal and not console.quiet else nullcontext():
                return await run_checks(
                    (*PLAN, CALLS) if options.call else PLAN,
                    context,
                    on_finding=lambda finding: _print_finding(finding, console),
                    on_running=lambda titles: status.update(Text(", ".join(titles))),
                )


def _print_finding(finding: Finding, console: ReportConsole) -> None:
    label, style = _LABELS[finding.outcome]
    width = console.window
    is_narrow = width is not None and width < _NARROW
    indent = _NARROW_INDENT if is_narrow else _LABEL_WIDTH + _TITLE_WIDTH + 1
    text = Text.assemble((f"{label:<{_LABEL_WIDTH}}", style), f"{finding.title:<{_TITLE_WIDTH}} ")
    if is_narrow:
        text.append(f"\n{' ' * indent}")
    text.append(folded(finding.result.message, width, indent))
    if finding.result.fix:
        fix = folded(f"fix: {finding.result.fix}", width, indent)
        text.append(f"\n{' ' * indent}{fix}", "bold" if finding.outcome == "failed" else "")
    console.print(text)
