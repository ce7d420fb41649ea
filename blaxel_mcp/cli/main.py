"""The entry point: runs one command and turns its outcome into an exit code."""

import argparse
import errno
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import anyio

from blaxel_mcp.cli.parser import parse_command_line
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.logs import configure_logging, writes_json_lines
from blaxel_mcp.core.process import ExitCode, escape_unencodable, open_missing_streams
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.server.stdio.standard_streams import StdioStreams
from blaxel_mcp.settings.telemetry import drop_unusable_telemetry

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a file to which the output is redirected."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of `argv` (default: the arguments of this process) and return the exit code of the process."""
    open_missing_streams()
    command = ""
    try:
        try:
            options = parse_command_line(argv)
        except SystemExit:
            # `--help` and `--version` end the process, but a closed pipe is reported here.
            sys.stdout.flush()
            raise
        command = options.command
        configure_logging(options.log_level, options.log_format)
        return _run(options)
    except BlaxelError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has closed it, as `head` does.
        _discard_output()
        return ExitCode.FAILED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            _discard_output()
            is_billed = command in ("run", "compare")
            hint = "The call may have been billed; `blaxel-mcp calls` lists it." if is_billed else ""
            print_error(ConfigurationError(f"The output cannot be written: {error.strerror}.", hint=hint))
        else:
            # Critical, since `doctor` hides lesser messages.
            text = "internal error in blaxel-mcp; please report it with this traceback"
            logging.getLogger(__name__).critical(text, exc_info=True)
        return ExitCode.FAILED


def _discard_output() -> None:
    """Discard what is still in stdout's buffer: Python flushes it once more at exit and would fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace) -> int:
    if options.command == "serve" and options.transport == "stdio":
        # Before any other import: what a library prints while it is imported must not reach the protocol stream.
        options.streams = StdioStreams()
    # It writes what is in stdout's buffer, so it comes after the claim.
    escape_unencodable()
    for problem in drop_unusable_telemetry():
        logging.getLogger(__name__).warning(problem)
    # Only the command's own modules are imported, since every MCP client waits for `serve` to start. The garbage
    # collector stays off meanwhile and never looks at what the imports made: in 30 interleaved starts, that brought
    # the first tools/list from 821 to 698 ms (medians); without the freeze, 30 ms of it were lost.
    gc.disable()
    if options.command == "serve":
        from blaxel_mcp.cli.quick_start import quick_start  # noqa: PLC0415 - for the reason above

        quick_start(over_http=options.transport == "http")
    command: Callable[[argparse.Namespace], Any] = getattr(
        import_module(f"blaxel_mcp.cli.{options.command}"), options.command
    )
    gc.freeze()
    gc.enable()
    try:
        exit_code: int = anyio.run(command, options) if inspect.iscoroutinefunction(command) else command(options)
        # Here and not at exit, where Python reports a closed pipe itself.
        sys.stdout.flush()
    except BaseExceptionGroup as group:
        # A task group wraps what its body raises, even a single exception. The first one is the cause.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group
    return exit_code


def print_error(error: BlaxelError) -> ExitCode:
    """Print the error that ends a command to stderr, as text or in the JSON of the log, and return the exit code."""
    text = f"{error.code}: {error}"
    if writes_json_lines():
        logging.getLogger(__name__).error(text)
    else:
        text = f"blaxel-mcp: {text}"
        # Nobody may read stderr.
        with suppress(OSError, ValueError):
            print(for_terminal(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
    is_usage_error = error.code in ("configuration_error", "invalid_arguments")
    return ExitCode.USAGE if is_usage_error else ExitCode.FAILED
