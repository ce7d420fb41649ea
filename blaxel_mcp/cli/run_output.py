"""The output of `run` and `compare`: the text as it arrives, a spinner until then, files for media, and the receipt."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rich.progress import Progress

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.cli.console import print_text, shown_usd
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import extension_for, shown_media_type
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer
from blaxel_mcp.tools.results.media import Media, extract_media
from blaxel_mcp.tools.results.summaries import summarize_vectors


class TextPrinter:
    """Prints the new part of a growing text at each call, and ends the spinner before the first."""

    def __init__(self, progress: Progress) -> None:
        self.printed = 0
        self._progress = progress
        self._ends_line = True

    def __call__(self, text: str) -> None:
        """Print the part of the text that was not in the previous call."""
        self._progress.stop()
        print_text(text[self.printed :], end="")
        self.printed = len(text)
        self._ends_line = text.endswith("\n")

    def end(self) -> None:
        """End the last line, so that the next output begins on a new one."""
        if self.printed and not self._ends_line:
            print_text("")


def check_target(file: str | None) -> None:
    """Reject a file of `--save` that cannot be written, before an answer is paid for."""
    if file is None:
        return
    try:
        is_new = not os.path.lexists(file)
        # Opening a named pipe would wait for its reader.
        if not Path(file).is_fifo():
            Path(file).open("xb" if is_new else "ab").close()
        if is_new:
            Path(file).unlink()
    except OSError as error:
        raise InvalidArgumentsError(
            f"--save {file!r} cannot be written: {error.strerror}.", hint="Name a file in a folder of yours."
        ) from None


def print_answer(
    answer: Answer, model: str, api: ModelAPI | None, save: str | None, *, as_json: bool, printed: bool
) -> None:
    """Print an answer to stdout or save it.

    Text is printed. Media and vectors are saved as files if stdout is a terminal; otherwise a single medium is written
    as it is, several media and vectors as JSON, and media beside a text are saved. With `--save`, everything goes into
    that file. A text that was `printed` as it arrived is not printed again.
    """
    on_terminal = sys.stdout.isatty()
    text, media = answer_parts(answer, api, as_json=as_json, on_terminal=on_terminal)
    if save is None and not on_terminal and not text:
        if isinstance(answer, BinaryAnswer) or len(media) == 1:
            sys.stdout.buffer.write(media[0].data)
            return
        text, media = answer.text, ()
    if save is not None and not media:
        is_json = isinstance(answer, JSONAnswer) and text == answer.text
        content = f"{text}\n".encode(errors="backslashreplace")
        media = [Media(content, "application/json" if is_json else "text/plain")]
    elif text and not printed:
        print_text(text)
    save_media([(model, media)], save)


def save_media(answers: Iterable[tuple[str, Sequence[Media]]], file: str | None = None) -> None:
    """Save the media of models in a file, or in new files with their names in the current folder, and print where.

    One that cannot be saved there is an error, after all others have been saved.
    """
    errors = []
    for model, media in answers:
        for number, medium in enumerate(media, 1):
            try:
                _save(medium, Path(file or model.strip(".")), number, is_named=file is not None)
            except BlaxelError as error:
                errors.append(error)
    for other in errors[1:]:
        print_text(f"note: {other}", file=sys.stderr)
    if errors:
        raise errors[0]


def answer_parts(
    answer: Answer, api: ModelAPI | None, *, as_json: bool, on_terminal: bool
) -> tuple[str | None, Sequence[Media]]:
    """Return the text of an answer to print, and the parts that become files on a terminal."""
    if isinstance(answer, BinaryAnswer):
        return None, (Media(answer.data, answer.media_type),)
    if not isinstance(answer, JSONAnswer):
        return answer.text, ()
    _, media = extract_media(answer.value)
    written = None if as_json or api is None else api.text(answer.value)
    if not as_json and (written or media):
        return written, media
    if on_terminal and (media or summarize_vectors(answer.value)[1]):
        return None, (Media(answer.text.encode(), "application/json"),)
    is_for_people = on_terminal and not as_json
    return json.dumps(answer.value, ensure_ascii=False, indent=2) if is_for_people else answer.text, ()


def _save(medium: Media, target: Path, number: int, *, is_named: bool) -> None:
    """Save a medium and print where.

    `target` is the file of `--save`, which is replaced, or else the beginning of a name in the current folder. `number`
    is the place of the medium among those of the answer, from 1: later files get it in their names.
    """
    is_json = medium.media_type == "application/json"
    extension = ".json" if is_json else extension_for(medium.media_type)
    try:
        if is_named:
            path = _write(medium.data, target.with_suffix(""), number, target.suffix, mode="wb")
        else:
            path = _write(medium.data, target, number, extension, mode="xb")
    except OSError as error:
        place = "not kept"
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="blaxel-mcp-"))
            place = f"in {_write(medium.data, folder / target.stem, number, extension, mode='xb')} instead"
        raise BlaxelError(
            f"The answer cannot be saved as {target}: {error.strerror}.",
            code="configuration_error",
            hint=f"It has been billed, and is {place}.",
            billed="yes",
        ) from None
    description = f"{shown_media_type(medium.media_type)}, {len(medium.data):,} bytes"
    print_text(f"The answer ({description}) is saved as {path.absolute()}.", file=sys.stderr)


def _write(data: bytes, stem: Path, number: int, extension: str, *, mode: str) -> Path:
    """Write a file and return its path. In mode `xb`, an existing file or a link of that name is left alone."""
    while True:
        path = stem.with_name(f"{stem.name}{f'-{number}' if number > 1 else ''}{extension}")
        try:
            with path.open(mode) as file:
                file.write(data)
            return path
        except FileExistsError:
            number += 1


def receipt_line(receipt: JSONObject) -> str:
    """Return tokens, cost, time and request id of a call in one line."""
    usage, parts = receipt["usage"], list[str]()
    if usage and usage["total_tokens"] is not None:
        about = "about " if usage.get("estimated") else ""
        counts = f"{usage['input_tokens'] or 0:,} in, {usage['output_tokens'] or 0:,} out"
        parts.append(f"{about}{token_count(usage['total_tokens'])} ({counts})")
    cost = receipt["cost_usd"]
    parts.append("cost unknown" if cost is None else f"{shown_usd(cost)} USD")
    parts.append(f"{receipt['elapsed_ms'] / 1000:.1f} s")
    if receipt["request_id"]:
        parts.append(f"request {receipt['request_id']}")
    return ", ".join(parts)


def token_count(tokens: int) -> str:
    """Return a number of tokens with its unit."""
    return f"{tokens:,} {'token' if tokens == 1 else 'tokens'}"


def dry_run_text(report: JSONObject) -> str:
    """Return the report of a dry run for people: the request, the estimate, the budget and the command lines."""
    request, expected, budget = report["request"], report["estimate"], report["budget"]
    cost = expected["cost_usd"]
    lines = [f"{request['method']} {request['url']}"]
    lines += (f"{name}: {value}" for name, value in request["headers"].items())
    body = request["body"]
    if body is not None:
        lines += ["", body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, indent=2)]
    counts = f"{expected['input_tokens']:,} in, at most {expected['output_tokens']:,} out"
    price = "cost unknown" if cost is None else f"{shown_usd(cost)} USD (price: {expected['price_source']})"
    lines += ["", f"estimate  {token_count(expected['total_tokens'])} ({counts}), {price}"]
    extra = {"calls": 1, "tokens": expected["total_tokens"], "usd": cost or 0}
    for owner in ("all", "model") if budget else ():
        for unit, amounts in (budget[owner] or {}).items():
            if amounts["cap"] is not None:
                figures = (amounts["used"], amounts["used"] + extra[unit], amounts["cap"])
                used, after, cap = (f"{figure:,.6f}" if unit == "usd" else f"{figure:,}" for figure in figures)
                name = unit.replace("usd", "USD") + (" of this model" if owner == "model" else "")
                lines.append(f"budget    {name}: {used} used, {after} after this call, of {cap} a day")
    if not budget:
        lines.append("budget    no cap applies")
    if report["refused"]:
        lines.append(f"refused   {report['refused']}")
    lines += ["", "Nothing was sent. The same call with other programs:", "", report["curl"]]
    return "\n".join((*lines, *(["", report["bl"]] if report["bl"] else [])))
