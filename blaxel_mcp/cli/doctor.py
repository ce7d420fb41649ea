"""`blaxel-mcp doctor`: checks of the whole set-up, each of which ends in what mends it."""

import argparse
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from rich.console import Console
from rich.text import Text

from blaxel_mcp.cli.options import configured
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.environment import FILE_VARIABLE
from blaxel_mcp.settings.loading import Configuration, configuration, load_settings, process_environment
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.doctor import CALLS, PLAN, CheckContext, Finding, Outcome, has_failed, report, run_checks, summary
from blaxel_mcp.setup.install import FileProblem, InstalledEntry, file_problems, installed_entries, user_dirs

if TYPE_CHECKING:
    from rich.status import Status

FAILED = 1

_TITLE_WIDTH = 24
_LABELS: Mapping[Outcome, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "failed": ("FAILED", "bold red"),
    "skipped": ("skipped", "dim"),
}
_LABEL_WIDTH = 9
_INDENT = " " * (_LABEL_WIDTH + _TITLE_WIDTH + 1)
_TOLD_TWICE = ("blaxel_mcp", "mcp")


def doctor(options: argparse.Namespace) -> int:
    """Check the set-up and print what was found; 1 when a check failed, broken settings included."""
    environ = process_environment()
    teller = _Teller(quiet=options.json, calls=options.call)
    with _silenced(told=options.log_level == "warning"):
        findings = _examined(options, environ, teller)
    if options.json:
        print(json.dumps(report(findings), ensure_ascii=False, indent=2))
    else:
        teller.sum_up(findings)
    return FAILED if has_failed(findings) else 0


def _examined(options: argparse.Namespace, environ: Mapping[str, str], teller: "_Teller") -> list[Finding]:
    try:
        return anyio.run(partial(_examine, options, environ, teller))
    except BaseExceptionGroup as errors:
        if errors.split(BrokenPipeError)[1] is not None:
            raise
    raise BrokenPipeError


async def _examine(options: argparse.Namespace, environ: Mapping[str, str], teller: "_Teller") -> list[Finding]:
    plan = (*PLAN, CALLS) if options.call else PLAN
    async with _case(options, environ) as case, case.runtime.connected():
        with teller:
            return await run_checks(plan, case, on_finding=teller.tell, on_begin=teller.begin, on_end=teller.end)


@asynccontextmanager
async def _case(options: argparse.Namespace, environ: Mapping[str, str]) -> AsyncIterator[CheckContext]:
    """The set-up that the command line asks for; settings that cannot be used are a part of it."""
    async with _configuration(options, environ) as (config, problem):
        entries, broken = await anyio.to_thread.run_sync(_installed, environ)
        yield CheckContext(
            runtime=build_runtime(config),
            problem=problem,
            variables=environ,
            serve=_serve_words(options),
            named_file=_named_file(options, environ),
            installed=entries,
            broken_files=broken,
        )


def _installed(environ: Mapping[str, str]) -> tuple[tuple[InstalledEntry, ...], tuple[FileProblem, ...]]:
    try:
        folders = user_dirs(environ)
    except ConfigurationError:
        # A user without a home directory has no clients in it.
        return (), ()
    return tuple(installed_entries(folders)), tuple(file_problems(folders))


@asynccontextmanager
async def _configuration(
    options: argparse.Namespace, environ: Mapping[str, str]
) -> AsyncIterator[tuple[Configuration, ConfigurationError | None]]:
    async with AsyncExitStack() as stack:
        try:
            config = await _load(options, environ, stack)
            # An API that there is not is only noticed where the tools are made.
            build_runtime(config)
            problem = None
        except ConfigurationError as error:
            config, problem = configuration(Settings()), error
        yield config, problem


async def _load(options: argparse.Namespace, environ: Mapping[str, str], stack: AsyncExitStack) -> Configuration:
    if options.demo:
        return await stack.enter_async_context(configured(options))
    overrides = {"workspace": options.workspace} if options.workspace else {}
    file = Path(options.config) if options.config else None
    load = partial(load_settings, overrides=overrides, config_file=file, environ=environ)
    return await anyio.to_thread.run_sync(load)


def _named_file(options: argparse.Namespace, environ: Mapping[str, str]) -> Path | None:
    named = options.config or environ.get(FILE_VARIABLE, "").strip()
    return Path(named).expanduser() if named else None


def _serve_words(options: argparse.Namespace) -> tuple[str, ...]:
    """The words that start a server with the settings of this command."""
    words = ["serve"]
    for name in ("config", "workspace"):
        if getattr(options, name):
            words += [f"--{name}", getattr(options, name)]
    return (*words, "--demo") if options.demo else tuple(words)


@contextmanager
def _silenced(*, told: bool) -> Iterator[None]:
    """Keep out of the log what is told as a finding; who asks for a more talkative log gets all of it.

    Args:
        told: Whether the log is as talkative as by default.
    """
    loggers = [logging.getLogger(name) for name in _TOLD_TWICE] if told else []
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end as any other does whose reader has had enough: rich would end the process."""
        raise BrokenPipeError


class _Teller:
    """Prints each finding as it comes; a terminal is shown what is still being looked at.

    Args:
        quiet: Whether nothing is printed before the end.
        calls: Whether the models are called.
    """

    def __init__(self, *, quiet: bool, calls: bool) -> None:
        self._console = _Console(highlight=False, markup=False, soft_wrap=True)
        self._quiet = quiet
        self._running: list[str] = []
        self._status: Status | None = None
        if calls and not quiet:
            self._console.print("--call sends one small request to each model, which costs what it costs.\n")

    def __enter__(self) -> None:
        if self._console.is_terminal and not self._quiet:
            self._status = self._console.status("")
            self._status.start()

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, title: str) -> None:
        """Show that a check runs."""
        self._running.append(title)
        self._show()

    def end(self, title: str) -> None:
        """Show that it does no more; one that was skipped never ran."""
        if title in self._running:
            self._running.remove(title)
        self._show()

    def _show(self) -> None:
        if self._status is not None:
            self._status.update(Text(", ".join(self._running)))

    def tell(self, finding: Finding) -> None:
        """Print a finding."""
        if not self._quiet:
            self._console.print(finding_text(finding))

    def sum_up(self, findings: list[Finding]) -> None:
        """Print how many there are of each kind, and once more which have failed."""
        self._console.print(f"\n{summary(findings)}")
        failed = [finding.id for finding in findings if finding.outcome == "failed"]
        if failed:
            self._console.print(f"failed: {', '.join(failed)}")


def finding_text(finding: Finding) -> Text:
    """A finding as people read it: a line, and another one with the fix where there is one."""
    label, style = _LABELS[finding.outcome]
    text = Text()
    text.append(f"{label:<{_LABEL_WIDTH}}", style)
    text.append(f"{finding.title:<{_TITLE_WIDTH}} ")
    text.append(finding.result.message.replace("\n", f"\n{_INDENT}"))
    if finding.result.fix:
        text.append(f"\n{_INDENT}fix: {finding.result.fix}", "bold" if finding.outcome == "failed" else "")
    return text
