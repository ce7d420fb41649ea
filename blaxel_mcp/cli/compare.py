"""`blaxel-mcp compare MODEL MODEL "text"`: the same question to several models."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from blaxel_mcp.cli.console import print_text
from blaxel_mcp.cli.run import answered, connected_runtime, until_signal
from blaxel_mcp.cli.run_output import receipt_line
from blaxel_mcp.cli.run_request import Question, ask, find_entry, piped_text, read_question
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal, shorten
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.receipt import Receipt, build_receipt
from blaxel_mcp.inference.runtime import Runtime

_MIN_WIDTH = 24
"""Columns for each answer, at the least; in a narrower terminal they stand one under the other."""

_MAX_JSON_CHARS = 500


@dataclass(slots=True)
class _Column:
    """One model and its answer so far.

    Attributes:
        model: The model as the person named it.
        context: The context of its call.
        text: The text of the complete answer; None while the call runs or if it failed.
        error: Why it failed; None otherwise.
        receipt: The receipt of the call, once it has ended.
    """

    model: str
    context: CallContext = field(default_factory=partial(CallContext, tool="compare", client="blaxel-mcp"))
    text: str | None = None
    error: BlaxelError | None = None
    receipt: Receipt | None = None

    @property
    def shown(self) -> str:
        """The text so far, or the error."""
        parts = (self.context.progress.text, f"{self.error.code}: {self.error}" if self.error else "")
        return self.text if self.text is not None else "\n".join(filter(None, parts))

    @property
    def footer(self) -> str:
        """Tokens, cost and time; the seconds so far while the call runs."""
        if self.receipt is None:
            return f"{build_receipt(self.context)['elapsed_ms'] / 1000:.0f} s"
        return receipt_line(self.receipt)


def compare(options: argparse.Namespace) -> int:
    """Ask the models and print their answers; the exit code is 1 if one of them failed."""
    piped = piped_text()
    # With the question on standard input, two words are two models.
    is_piped_alone = piped is not None and len(options.words) == 2  # noqa: PLR2004 - the sentence above
    models, text = (options.words, None) if is_piped_alone else (options.words[:-1], options.words[-1])
    if len(models) < 2:  # noqa: PLR2004 - one has nothing to compare with
        raise InvalidArgumentsError(
            "Two or more models and a question are needed.",
            hint='Use `blaxel-mcp compare MODEL MODEL "text"`; the text may come on stdin.',
        )
    question = read_question(options, text, piped)
    columns = [_Column(model) for model in models]
    done = anyio.run(partial(until_signal, partial(_compare, options, columns, question)))
    if done is None and any(column.context.trace.sent for column in columns):
        print_text(
            "note: interrupted before every answer was complete; the calls may have been billed", file=sys.stderr
        )
    return ExitCode.INTERRUPTED if done is None else done


async def _compare(options: argparse.Namespace, columns: list[_Column], question: Question) -> ExitCode:
    on_terminal = sys.stdout.isatty() and not options.json
    console = Console(highlight=False, markup=False)
    async with connected_runtime(options, stream=True, files=question.files) as runtime:
        invocations = []
        for column in columns:
            invocation, repairs = ask(await find_entry(runtime, column.model, None), question)
            column.context.repairs += repairs
            invocations.append(replace(invocation, timeout_seconds=options.timeout))
        expected = []
        for column, invocation in zip(columns, invocations, strict=True):
            # The call prepares its request itself, and a control plane that is asked twice answers from the cache.
            context = CallContext(call_id=column.context.call_id)
            prepared, estimate = await runtime.inference.expect(invocation, context)
            expected.append((context, prepared.settings, estimate))
        live = Live(console=console, get_renderable=lambda: _table(columns, console.width), transient=True)
        async with runtime.spending.reserve_together(expected):
            with live if on_terminal else nullcontext():
                async with anyio.create_task_group() as group:
                    for column, invocation in zip(columns, invocations, strict=True):
                        group.start_soon(_answer, runtime, column, invocation)
    _print_columns(columns, console, as_json=options.json)
    return ExitCode.FAILED if any(column.error for column in columns) else ExitCode.OK


def _print_columns(columns: list[_Column], console: Console, *, as_json: bool) -> None:
    """Print the notes on each call to stderr and the answers to stdout."""
    for column in columns:
        for sentence in (*column.context.repairs, *column.context.notes):
            print_text(f"note: {column.model}: {sentence}", file=sys.stderr)
    if as_json:
        reports = [
            {
                "model": column.model,
                "text": column.text,
                "error": column.error and {"code": column.error.code, "message": str(column.error)},
                "receipt": column.receipt,
            }
            for column in columns
        ]
        print_text(json.dumps(reports, ensure_ascii=False, indent=2))
    elif console.is_terminal:
        console.print(_table(columns, console.width))
    else:
        print_text("\n\n".join(f"{column.model}\n{column.shown}\n{column.footer}" for column in columns))


async def _answer(runtime: Runtime, column: _Column, invocation: Invocation) -> None:
    try:
        answer = await answered(runtime, invocation, column.context)
    except BlaxelError as error:
        column.error = error
    else:
        column.text = _text_of(answer, column.context)
    column.receipt = build_receipt(column.context)


def _text_of(answer: Answer, context: CallContext) -> str:
    """Return the text of an answer; of one without text, its JSON or its size."""
    if isinstance(answer, BinaryAnswer):
        return f"({answer.media_type}, {len(answer.data):,} bytes)"
    api = context.prepared.route.api if context.prepared else None
    written = api.text(answer.value) if api and isinstance(answer, JSONAnswer) else None
    return written or shorten(answer.text, _MAX_JSON_CHARS)


def _table(columns: list[_Column], width: int) -> Table:
    """Return the answers side by side, or one under the other in a narrow terminal."""
    is_wide = width // len(columns) >= _MIN_WIDTH
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=is_wide, pad_edge=False)
    for _ in columns if is_wide else columns[:1]:
        table.add_column(ratio=1)
    for rows in _rows(columns) if is_wide else ((cell,) for column in columns for (cell,) in _rows([column])):
        table.add_row(*rows)
    return table


def _rows(columns: list[_Column]) -> Iterator[tuple[Text, ...]]:
    yield tuple(Text(column.model, style="bold") for column in columns)
    yield tuple(Text(for_terminal(column.shown)) for column in columns)
    yield tuple(Text(column.footer, style="dim") for column in columns)
    yield tuple(Text() for _ in columns)
