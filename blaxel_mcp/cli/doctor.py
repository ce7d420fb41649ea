"""`blaxel-mcp doctor`: checks of the whole set-up, each with a fix when it fails."""

import argparse
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from rich.text import Text

from blaxel_mcp.cli.console import ReportConsole
from blaxel_mcp.cli.settings import configured, named_config_file, serve_arguments
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import configuration, process_environment
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.doctor import CALLS, PLAN, CheckContext, Finding, Outcome, has_failed, report, run_checks, summary
from blaxel_mcp.setup.install import ClientState, client_states, user_dirs

if TYPE_CHECKING:
    from rich.status import Status

_TITLE_WIDTH = 24
_LABELS: Mapping[Outcome, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "failed": ("FAILED", "bold red"),
    "skipped": ("skipped", "dim"),
}
_LABEL_WIDTH = 9
_INDENT = " " * (_LABEL_WIDTH + _TITLE_WIDTH + 1)
_REPEATING_LOGGERS = ("blaxel_mcp", "mcp")


async def doctor(options: argparse.Namespace) -> int:
    """Run the checks and print their findings; the exit code is 1 if a check failed, unusable settings included."""
    printer = _FindingPrinter(quiet=options.json, calls=options.call)
    with _log_without_findings(is_default_level=options.log_level == "warning"):
        findings = await _examine(options, printer)
    if options.json:
        print(json.dumps(report(findings), ensure_ascii=False, indent=2))
    else:
        printer.print_summary(findings)
    return ExitCode.FAILED if has_failed(findings) else ExitCode.OK


async def _examine(options: argparse.Namespace, printer: "_FindingPrinter") -> list[Finding]:
    environ = process_environment()
    problem = None
    async with AsyncExitStack() as stack:
        try:
            config = await stack.enter_async_context(configured(options))
            # Only this finds a model with an unknown API.
            build_runtime(config)
        except ConfigurationError as error:
            config, problem = configuration(Settings()), error
        clients: list[ClientState] = []
        # A user without a home directory has no clients in it.
        with suppress(ConfigurationError):
            clients = client_states(user_dirs(environ))
        context = CheckContext(
            runtime=build_runtime(config),
            problem=problem,
            variables=environ,
            serve=serve_arguments(options, options.config),
            named_file=named_config_file(options),
            clients=clients,
        )
        plan = (*PLAN, CALLS) if options.call else PLAN
        async with context.runtime.connected():
            with printer:
                return await run_checks(
                    plan, context, on_finding=printer.print, on_begin=printer.begin, on_end=printer.end
                )


@contextmanager
def _log_without_findings(*, is_default_level: bool) -> Iterator[None]:
    """Keep problems out of the log that are reported as findings; with another log level, the log has everything.

    Args:
        is_default_level: Whether the log level is the default.
    """
    loggers = [logging.getLogger(name) for name in _REPEATING_LOGGERS] if is_default_level else []
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _FindingPrinter:
    """Prints each finding as it arrives; on a terminal, also which checks are running.

    Args:
        quiet: Whether nothing is printed before the end.
        calls: Whether the models are called.
    """

    def __init__(self, *, quiet: bool, calls: bool) -> None:
        self._console = ReportConsole()
        self._quiet = quiet
        self._running: list[str] = []
        self._status: Status | None = None
        if calls and not quiet:
            self._console.print("--call sends one small request to each model, which costs the model's price.\n")

    def __enter__(self) -> None:
        if self._console.is_terminal and not self._quiet:
            self._status = self._console.status("")
            self._status.start()

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, title: str) -> None:
        """Show that a check is running."""
        self._running.append(title)
        self._update_status()

    def end(self, title: str) -> None:
        """Show that a check has ended; a skipped one never began."""
        if title in self._running:
            self._running.remove(title)
        self._update_status()

    def _update_status(self) -> None:
        if self._status is not None:
            self._status.update(Text(", ".join(self._running)))

    def print(self, finding: Finding) -> None:
        """Print a finding: one line, and another one with the fix if there is one."""
        if self._quiet:
            return
        label, style = _LABELS[finding.outcome]
        text = Text()
        text.append(f"{label:<{_LABEL_WIDTH}}", style)
        text.append(f"{finding.title:<{_TITLE_WIDTH}} ")
        text.append(finding.result.message.replace("\n", f"\n{_INDENT}"))
        if finding.result.fix:
            text.append(f"\n{_INDENT}fix: {finding.result.fix}", "bold" if finding.outcome == "failed" else "")
        self._console.print(text)

    def print_summary(self, findings: list[Finding]) -> None:
        """Print the number of findings per outcome and the ids of the failed checks."""
        self._console.print(f"\n{summary(findings)}")
        failed = [finding.id for finding in findings if finding.outcome == "failed"]
        if failed:
            self._console.print(f"failed: {', '.join(failed)}")
