"""`blaxel-mcp run MODEL`: one request, the answer on stdout."""

import argparse
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from blaxel_mcp.cli.console import print_text, waiting
from blaxel_mcp.cli.run_output import TextPrinter, check_target, dry_run_text, print_answer, receipt_line
from blaxel_mcp.cli.run_request import Question, RawRequest, adjusted, ask, find_entry, raw_invocation, read_request
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.process import ExitCode, ending_signals, received_signals
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.answers import Answer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.dry_run import dry_run, masked_headers
from blaxel_mcp.inference.errors import PARTIAL_ABOVE, describe
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.receipt import build_receipt
from blaxel_mcp.inference.runtime import Environment, Runtime, build_runtime
from blaxel_mcp.settings.loading import process_environment

if TYPE_CHECKING:
    from blaxel_mcp.inference.telemetry import Telemetry

_Value = TypeVar("_Value")


def run(options: argparse.Namespace) -> int:
    """Send one request and print its answer."""
    # Read before the event loop starts: inside it, Ctrl-C would not interrupt a read of standard input.
    request = read_request(options)
    check_target(options.save)
    done = anyio.run(partial(until_signal, partial(_run, options, request)))
    return ExitCode.INTERRUPTED if done is None else done


async def until_signal(work: Callable[[], Awaitable[_Value]]) -> _Value | None:
    """Return the result, or None if a signal cancelled the work; the ledger has its calls in either case."""

    async def cancel_at_signal(scope: anyio.CancelScope) -> None:
        with received_signals() as signals:
            await anext(signals)
        # A second signal ends the process at once, even while a thread waits for the ledger.
        for number in ending_signals():
            signal.signal(number, signal.SIG_DFL)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel_at_signal, group.cancel_scope)
        result = await work()
        group.cancel_scope.cancel()
        return result
    return None


@asynccontextmanager
async def connected_runtime(
    options: argparse.Namespace, *, stream: bool, files: Iterable[str] = ()
) -> AsyncIterator[Runtime]:
    """Provide a runtime that may call models; `files` of the command line may be read under any settings."""
    overrides: dict[str, object] = {"tools": {"stream": "always"}} if stream else {}
    if files:
        overrides["files"] = {"allowed_dirs": [str(Path(file).parent) for file in files]}
    async with configured(options, **overrides) as config, _telemetry() as telemetry:
        runtime = build_runtime(config, environment=Environment(telemetry=telemetry))
        async with runtime.connected():
            yield runtime


@asynccontextmanager
async def _telemetry() -> AsyncIterator["Telemetry | None"]:
    """Provide what OpenTelemetry's variables ask for, and send what is left at the end."""
    environ = process_environment()
    if "opentelemetry.sdk" not in sys.modules and not any(name.startswith("OTEL_") for name in environ):
        # Its imports take longer than many a call.
        yield None
        return
    from blaxel_mcp.server.telemetry import flushed, start_telemetry_or_warn  # noqa: PLC0415 - for the reason above

    telemetry = start_telemetry_or_warn(environ)
    async with flushed(telemetry):
        yield telemetry


async def _run(options: argparse.Namespace, request: Question | RawRequest) -> ExitCode:
    question = request if isinstance(request, Question) else None
    is_shown = question is not None and not options.json and options.save is None and sys.stdout.isatty()
    streams = options.stream or is_shown
    context, files = CallContext(tool="run", client="blaxel-mcp"), question.files if question else ()
    with waiting(options.model) as progress, noted(context):
        printer = TextPrinter(progress)
        context.progress.listener = printer if streams and not options.json else None
        async with connected_runtime(options, stream=streams, files=files) as runtime:
            try:
                invocation = await _invocation(runtime, options, request, context)
                if options.dry_run:
                    report = await dry_run(runtime, invocation, context)
                    progress.stop()
                    report_json = json.dumps(report, ensure_ascii=False, indent=2)
                    print_text(report_json if options.json else dry_run_text(report))
                    return ExitCode.FAILED if report["refused"] else ExitCode.OK
                answer = await answered(runtime, invocation, context)
            except BlaxelError as error:
                progress.stop()
                if error.partial and not printer.printed:
                    printer(error.partial)
                is_printed = PARTIAL_ABOVE if printer.printed else ""
                raise describe(error, context, partial=is_printed) from None
            finally:
                progress.stop()
                printer.end()
                if options.debug and context.prepared:
                    _print_exchange(context.prepared.request, context, runtime.config.settings.api_version)
    api = context.prepared.route.api if context.prepared else None
    as_json = options.json or (question is None and not options.stream)
    print_answer(answer, options.model, api, options.save, as_json=as_json, printed=printer.printed > 0)
    if sys.stdout.isatty():
        print_text(receipt_line(build_receipt(context)), file=sys.stderr)
    return ExitCode.OK


async def _invocation(
    runtime: Runtime, options: argparse.Namespace, request: Question | RawRequest, context: CallContext
) -> Invocation:
    if isinstance(request, RawRequest):
        workspaces = runtime.config.settings.known_workspaces
        return adjusted(raw_invocation(request, runtime.discovery.catalog, workspaces), options)
    invocation, repairs = ask(await find_entry(runtime, options.model, options.path), request)
    context.repairs += repairs
    return adjusted(invocation, options)


async def answered(runtime: Runtime, invocation: Invocation, context: CallContext) -> Answer:
    """Call the model; when it fails, the context has the names that may have been meant."""
    # What came before is the time of this command and not of the call.
    context.started = time.perf_counter()
    try:
        return await runtime.inference.run(invocation, context)
    except BlaxelError as error:
        if error.code == "unknown_model":
            await runtime.discovery.refresh()
            # The error says it.
            context.notes[:] = [note for note in context.notes if error.code not in note]
        context.model_names = runtime.discovery.catalog.names
        raise


@contextmanager
def noted(context: CallContext) -> Iterator[None]:
    """Print the notes on a call to stderr when the context manager ends, however it ends."""
    try:
        yield
    except anyio.get_cancelled_exc_class():
        if context.trace.sent:
            context.notes.append("interrupted before the answer was complete; the call may have been billed")
        raise
    finally:
        for sentence in (*context.repairs, *context.notes):
            print_text(f"note: {sentence}", file=sys.stderr)


def _print_exchange(request: APIRequest, context: CallContext, api_version: str) -> None:
    """Print the request and the headers of the response to stderr, without credentials."""
    lines = [f"> {request.method} {scrub(request.url)}"]
    lines += (f"> {name}: {value}" for name, value in masked_headers(request, api_version).items())
    if content := request.content:
        is_text = b"\0" not in content
        lines += [">", f"> {scrub(content.decode(errors='replace'))}" if is_text else f"> ({len(content):,} bytes)"]
    if context.trace.status is not None:
        lines.append(f"< {context.trace.status}")
        lines += (scrub(f"< {name}: {value}") for name, value in context.trace.headers.items())
    print_text("\n".join(lines), file=sys.stderr)
