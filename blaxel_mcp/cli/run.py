"""`blaxel-mcp run MODEL`: one request, the answer on stdout."""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from blaxel_mcp.cli.options import configured
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.process import ExitCode, ending_signals, received_signals
from blaxel_mcp.inference.answers import Answer, BinaryAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import describe
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.tools.run_model import read_invocation


def run(options: argparse.Namespace) -> int:
    """Send one request and print its answer.

    Raises:
        BlaxelError: the request is wrong, or it failed.
    """
    printer = _TextPrinter()
    answer = anyio.run(partial(_call_until_signal, options, _arguments(options), printer))
    if answer is None:
        return ExitCode.INTERRUPTED
    if printer.printed:
        print()
    else:
        _print_answer(answer, options.model)
    return 0


async def _call_until_signal(
    options: argparse.Namespace, arguments: dict[str, Any], printer: "_TextPrinter"
) -> Answer | None:
    """Return the answer; None when a signal ended the call, which is then settled in the ledger as any other."""
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


async def _call(options: argparse.Namespace, arguments: dict[str, Any], printer: "_TextPrinter") -> Answer:
    context = CallContext()
    overrides: dict[str, Any] = {}
    if options.stream:
        overrides["tools"] = {"stream": "always"}
        context.progress.listener = printer
    async with configured(options, **overrides) as config:
        app = build_runtime(config)
        invocation = read_invocation(arguments, app.discovery.catalog, timeout_seconds=options.timeout)
        async with app.connected():
            try:
                return await app.inference.run(invocation, context)
            except BlaxelError as error:
                if error.code == "unknown_model":
                    await app.discovery.refresh()
                context.model_names = app.discovery.catalog.names
                raise describe(error, context) from None
            except anyio.get_cancelled_exc_class():
                if context.trace.sent:
                    context.notes.append("interrupted before the answer was complete; the call may have been billed")
                raise
            finally:
                for sentence in (*context.repairs, *context.notes):
                    print(f"note: {sentence}", file=sys.stderr)


class _TextPrinter:
    """Prints a growing text, each time what is new of it."""

    def __init__(self) -> None:
        self.printed = 0

    def __call__(self, text: str) -> None:
        print(text[self.printed :], end="", flush=True)
        self.printed = len(text)


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The command line as the arguments of `run_model`."""
    arguments = {"model": options.model, "method": options.method, "query": _query(options.param)}
    if options.path is not None:
        arguments["path"] = options.path
    if options.data is not None:
        arguments["data"] = _data(options.data)
    return arguments


def _query(pairs: list[str]) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise InvalidArgumentsError(f"--param {pair!r} is not of the form NAME=VALUE.")
        query.setdefault(name, []).append(value)
    return query


def _data(given: str) -> Any:
    text, place = _data_text(given)
    try:
        return json_text.parse(text)
    except ValueError as error:
        raise InvalidArgumentsError(
            f"The data from {place} is not JSON: {error}.",
            hint="Give JSON in quotes, @FILE for a file that holds it, or - for standard input.",
        ) from None


def _data_text(given: str) -> tuple[str, str]:
    try:
        if given == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig"), "standard input"
        if given.startswith("@"):
            return Path(given[1:]).expanduser().read_text(encoding="utf-8-sig"), given[1:]
    except OSError as error:
        raise InvalidArgumentsError(f"The data cannot be read from {given[1:]}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidArgumentsError("The data is not UTF-8 text.") from None
    return given, "--data"


def _print_answer(answer: Answer, model: str) -> None:
    if not isinstance(answer, BinaryAnswer):
        print(answer.text)
    elif sys.stdout.isatty():
        file = _free_file(f"{model}.{answer.media_type.rpartition('/')[2]}")
        file.write_bytes(answer.data)
        print(f"The answer is {answer.media_type}, {len(answer.data)} bytes: saved as {file}.", file=sys.stderr)
    else:
        sys.stdout.buffer.write(answer.data)


def _free_file(name: str) -> Path:
    """A file of this name, numbered if there is one already: an answer that was paid for overwrites nothing."""
    file, number = Path(name), 1
    while file.exists():
        number += 1
        file = Path(f"{Path(name).stem}-{number}{Path(name).suffix}")
    return file
