"""`blaxel-mcp run MODEL`: one request, the answer on stdout."""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from blaxel_mcp.cli.console import print_text
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.media_types import extension_for, shown_media_type
from blaxel_mcp.core.process import ExitCode, ending_signals, received_signals
from blaxel_mcp.inference.answers import Answer, BinaryAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import describe
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.tools.run_model import read_invocation


def run(options: argparse.Namespace) -> int:
    """Send one request and print its answer."""
    # Read before the event loop starts: Ctrl-C would not interrupt a read of standard input in it.
    arguments = {"model": options.model, "method": options.method, "query": _query(options.param)}
    if options.path is not None:
        arguments["path"] = options.path
    if options.data is not None:
        arguments["data"] = _data(options.data)
    printer = _TextPrinter()
    answer = anyio.run(partial(_call_until_signal, options, arguments, printer))
    if answer is None:
        return ExitCode.INTERRUPTED
    if printer.printed:
        print()
    else:
        _print_answer(answer, options.model)
    return ExitCode.OK


def _query(parameters: list[str]) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for parameter in parameters:
        name, separator, value = parameter.partition("=")
        if not separator or not name:
            raise InvalidArgumentsError(f"--param {parameter!r} is not of the form NAME=VALUE.")
        query.setdefault(name, []).append(value)
    return query


def _data(option: str) -> Any:
    """Return the JSON value that `--data` gives: itself, the content of a file, or standard input."""
    text, source = option, "--data"
    try:
        if option == "-":
            source = "standard input"
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        elif option.startswith("@"):
            source = option[1:]
            text = Path(source).expanduser().read_text(encoding="utf-8-sig")
        return json_text.parse(text)
    except OSError as error:
        raise InvalidArgumentsError(f"The data cannot be read from {source}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidArgumentsError(f"The data from {source} is not UTF-8 text.") from None
    except ValueError as error:
        raise InvalidArgumentsError(
            f"The data from {source} is not JSON: {error}.",
            hint="Give JSON in quotes, @FILE for a file with JSON, or - for standard input.",
        ) from None


class _TextPrinter:
    """Prints the new part of a growing text at each call."""

    def __init__(self) -> None:
        self.printed = 0

    def __call__(self, text: str) -> None:
        print_text(text[self.printed :], end="")
        self.printed = len(text)


async def _call_until_signal(
    options: argparse.Namespace, arguments: dict[str, Any], printer: _TextPrinter
) -> Answer | None:
    """Return the answer, or None if a signal cancelled the call; the ledger has the call in either case."""
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_at_signal, group.cancel_scope)
        answer = await _call(options, arguments, printer)
        group.cancel_scope.cancel()
        return answer
    return None


async def _cancel_at_signal(scope: anyio.CancelScope) -> None:
    async with received_signals() as signals:
        await anext(signals)
    # A second signal ends the process at once, even while a thread waits for the ledger.
    for number in ending_signals():
        signal.signal(number, signal.SIG_DFL)
    scope.cancel()


async def _call(options: argparse.Namespace, arguments: dict[str, Any], printer: _TextPrinter) -> Answer:
    context = CallContext()
    overrides = {"tools": {"stream": "always"}} if options.stream else {}
    context.progress.listener = printer if options.stream else None
    async with configured(options, **overrides) as config:
        runtime = build_runtime(config)
        invocation = read_invocation(arguments, runtime.discovery.catalog, timeout_seconds=options.timeout)
        async with runtime.connected():
            try:
                return await runtime.inference.run(invocation, context)
            except BlaxelError as error:
                if error.code == "unknown_model":
                    await runtime.discovery.refresh()
                context.model_names = runtime.discovery.catalog.names
                raise describe(error, context) from None
            except anyio.get_cancelled_exc_class():
                if context.trace.sent:
                    context.notes.append("interrupted before the answer was complete; the call may have been billed")
                raise
            finally:
                for sentence in (*context.repairs, *context.notes):
                    print_text(f"note: {sentence}", file=sys.stderr)


def _print_answer(answer: Answer, model: str) -> None:
    """Print an answer; on a terminal, save a binary one as a new file in the current folder."""
    if not isinstance(answer, BinaryAnswer):
        print_text(answer.text)
        return
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(answer.data)
        return
    # A name with nothing of the answer in it, and a new file: an existing one or a link of that name is left alone.
    stem, extension = model.strip("."), extension_for(answer.media_type)
    path, number = Path(f"{stem}{extension}"), 1
    while True:
        try:
            with path.open("xb") as file:
                file.write(answer.data)
            break
        except FileExistsError:
            number += 1
            path = Path(f"{stem}-{number}{extension}")
    description = f"{shown_media_type(answer.media_type)}, {len(answer.data):,} bytes"
    print_text(f"The answer ({description}) is saved as {path.absolute()}.", file=sys.stderr)
