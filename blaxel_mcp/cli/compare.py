"""`blaxel-mcp compare MODEL MODEL "text"`: the same question to several models."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from blaxel_mcp.cli.console import print_text
from blaxel_mcp.cli.run import answered, connected_runtime, until_signal
from blaxel_mcp.cli.run_output import answer_parts, receipt_line, save_media
from blaxel_mcp.cli.run_request import Question, ask, find_entry, piped_text, read_question
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.media_types import shown_media_type
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.receipt import build_receipt
from blaxel_mcp.inference.several import AskedModel, ask_together
from blaxel_mcp.tools.results.media import Media

_MIN_WIDTH = 24
"""Minimum columns for each answer; in a narrower terminal they are printed one under the other."""


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
    columns = [_column(model) for model in models]
    last_word = text if piped else None
    done = anyio.run(partial(until_signal, partial(_compare, options, columns, question, last_word)))
    if done is None and (finished := [column for column in columns if column.receipt]):
        # They have been paid for.
        _print_columns(finished, Console(highlight=False, markup=False), as_json=options.json)
    if done is None and any(column.context.trace.sent for column in columns):
        print_text(
            "note: interrupted before every answer was complete; the calls may have been billed", file=sys.stderr
        )
    return ExitCode.INTERRUPTED if done is None else done


async def _compare(
    options: argparse.Namespace, columns: list[AskedModel], question: Question, last_word: str | None
) -> ExitCode:
    """Ask the models of the columns. `last_word` is the question, or another model if the question is on stdin."""
    on_terminal = sys.stdout.isatty() and not options.json
    console = Console(highlight=False, markup=False)
    async with connected_runtime(options, stream=True, files=question.files) as runtime:
        # A word that cannot be looked up is the question.
        with suppress(BlaxelError):
            if last_word is not None and (await find_entry(runtime, last_word, None)).path_is_known:
                columns.append(_column(last_word))
                question = replace(question, text="")
        for column in columns:
            invocation, repairs = ask(await find_entry(runtime, column.model, None), question)
            column.context.repairs += repairs
            column.invocation = replace(invocation, timeout_seconds=options.timeout)

        def table() -> Table:
            return _table(columns, list(map(_so_far, columns)), console.width)

        with Live(console=console, get_renderable=table, transient=True) if on_terminal else nullcontext():
            await ask_together(runtime, columns, partial(answered, runtime), CallContext())
    _print_columns(columns, console, as_json=options.json)
    return ExitCode.FAILED if any(column.error for column in columns) else ExitCode.OK


def _column(model: str) -> AskedModel:
    return AskedModel(model, CallContext(tool="compare", client="blaxel-mcp"))


def _so_far(column: AskedModel) -> str:
    parts = (column.context.progress.text, f"{column.error.code}: {column.error}" if column.error else "")
    return "\n".join(filter(None, parts))


def _footer(column: AskedModel) -> str:
    """Return tokens, cost and time; the seconds so far while the call runs."""
    if column.receipt is None:
        return f"{build_receipt(column.context)['elapsed_ms'] / 1000:.0f} s"
    return receipt_line(column.receipt)


def _print_columns(columns: list[AskedModel], console: Console, *, as_json: bool) -> None:
    for column in columns:
        for sentence in (*column.context.repairs, *column.context.notes):
            print_text(f"note: {column.model}: {sentence}", file=sys.stderr)
    answers = [_answer(column, as_json=as_json) for column in columns]
    texts = [text for text, _ in answers]
    if as_json:
        reports = [
            {
                "model": column.model,
                "text": text if column.answer else None,
                "error": column.error and {"code": column.error.code, "message": str(column.error)},
                "receipt": column.receipt,
            }
            for column, text in zip(columns, texts, strict=True)
        ]
        print_text(json.dumps(reports, ensure_ascii=False, indent=2))
    elif console.is_terminal:
        console.print(_table(columns, texts, console.width))
    else:
        blocks = (f"{column.model}\n{text}\n{_footer(column)}" for column, text in zip(columns, texts, strict=True))
        print_text("\n\n".join(blocks))
    save_media((column.model, media) for column, (_, media) in zip(columns, answers, strict=True))


def _answer(column: AskedModel, *, as_json: bool) -> tuple[str, Sequence[Media]]:
    """Return the text of an answer, and the media and vectors that become files, unless they are in the JSON."""
    if column.answer is None:
        return _so_far(column), ()
    api = column.context.prepared.route.api if column.context.prepared else None
    text, media = answer_parts(column.answer, api, as_json=False, on_terminal=not as_json)
    if as_json and isinstance(column.answer, JSONAnswer):
        return text or column.answer.text, ()
    sizes = (f"({shown_media_type(medium.media_type)}, {len(medium.data):,} bytes)" for medium in media)
    return "\n".join(filter(None, (text, *sizes))), media


def _table(columns: list[AskedModel], texts: Sequence[str], width: int) -> Table:
    """Return the answers side by side, or one under the other in a narrow terminal."""
    is_wide = width // len(columns) >= _MIN_WIDTH
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=is_wide, pad_edge=False)
    for _ in columns if is_wide else columns[:1]:
        table.add_column(ratio=1)
    cells = [
        (Text(column.model, style="bold"), Text(for_terminal(text)), Text(_footer(column), style="dim"), Text())
        for column, text in zip(columns, texts, strict=True)
    ]
    for row in zip(*cells, strict=True) if is_wide else ((cell,) for column in cells for cell in column):
        table.add_row(*row)
    return table
