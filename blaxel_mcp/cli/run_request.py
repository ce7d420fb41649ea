"""The request that the options of `run` and `compare` describe: a question for the model's own tool, or a raw body."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from stat import S_ISCHR
from typing import Any

from blaxel_mcp.apis import RAW
from blaxel_mcp.apis.base import FileData
from blaxel_mcp.catalog.catalog import Catalog, qualified_model
from blaxel_mcp.catalog.entry import CatalogEntry, make_entry
from blaxel_mcp.client.endpoints import check_model_name, split_path
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import OPAQUE, media_type_of
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.inference.several import QUESTION_FIELDS, SYSTEM_FIELDS, question_field
from blaxel_mcp.settings.login_file import parse_yaml
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.tools.run_model import read_invocation

_SPEECH: JSONObject = {"voice": "alloy", "response_format": "wav"}
"""Sent to a speech API that requires a voice, unless the person names others; every player plays WAV."""

_OTHER_FORMS = "Give its arguments with --option NAME=VALUE, or the whole body with --data."
"""The hint for a model whose tool does not take such a question."""

_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Question:
    """A person's question to a model.

    Attributes:
        material: The texts that the question is about: standard input and attached text files.
        files: Paths of attached media, absolute and without links, with their media types.
        arguments: More arguments of the model's tool.
    """

    text: str
    material: tuple[str, ...]
    system: str | None
    files: Mapping[str, str]
    arguments: JSONObject


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request that the person composed: the arguments of the tool `run_model`, or a file that is the whole body."""

    arguments: JSONObject
    upload: FileData | None = None


def read_request(options: argparse.Namespace) -> Question | RawRequest:
    """Read the request of `run` from its options, from files and from standard input; this blocks."""
    bodies = [name for name in ("data", "file", "upload_file") if getattr(options, name) is not None]
    asks = options.text is not None or options.system is not None or options.attach or options.option
    if len(bodies) > 1 or (bodies and asks):
        first, second = (f"--{name.replace('_', '-')}" for name in (*bodies, "")[:2])
        raise InvalidArgumentsError(
            f"{first} is the whole request body, so {second if len(bodies) > 1 else 'a question'} cannot be sent too.",
            hint='Use either `run MODEL "text"` or `run MODEL --data JSON`.',
        )
    piped = None if bodies or options.method != "POST" else piped_text()
    if asks or piped:
        if options.method != "POST":
            raise InvalidArgumentsError(
                f"A question is sent with POST, not with {options.method}.", hint="Omit --method, or send --data."
            )
        return read_question(options, options.text, piped)
    if not bodies and options.method == "POST" and options.path is None and sys.stdin.isatty():
        raise InvalidArgumentsError(
            f"There is nothing to send to {options.model!r}.",
            hint=f'Ask with `blaxel-mcp run {options.model} "text"`, pipe a text in, or give a body with --data.',
        )
    return _composed(options)


def _composed(options: argparse.Namespace) -> RawRequest:
    arguments: JSONObject = {"model": options.model, "method": options.method}
    if options.path is not None:
        arguments["path"] = options.path
    if options.data is not None:
        text, source = options.data, "--data"
        if text == "-":
            source = "standard input"
            with _patience():
                text = _decoded(sys.stdin.buffer.read(), source)
        elif text.startswith("@"):
            source = text[1:]
            text = _text_of(source)
        arguments["data"] = _parsed(text, source)
    if (file := options.file) is not None:
        arguments["data"] = _parsed(_text_of(file), file, is_yaml=file.endswith((".yaml", ".yml")))
    if (file := options.upload_file) is None:
        return RawRequest(arguments)
    content = _bytes_of(file)
    return RawRequest(arguments, FileData(Path(file).name, media_type_of(content) or OPAQUE, content))


def read_question(options: argparse.Namespace, text: str | None, piped: str | None) -> Question:
    """Return the question that `text`, standard input and the options --system, --attach and --option make."""
    material, files = [piped] if piped else [], dict[str, str]()
    for name in options.attach:
        data = _bytes_of(name)
        if media_type := media_type_of(data):
            files[os.path.realpath(Path(name).expanduser())] = media_type
        else:
            material.append(_decoded(data, name))
    arguments = {}
    for pair in options.option:
        [(name, [value])] = _pairs([pair], "--option", "=").items()
        try:
            arguments[name] = json_text.parse(value)
        except ValueError:
            arguments[name] = _as_utf8(value)
    return Question(
        _as_utf8(text or ""), tuple(material), options.system and _as_utf8(options.system), files, arguments
    )


def _as_utf8(word: str) -> str:
    """Return a word of the command line whose bytes were decoded by a locale such as `C`, which has no UTF-8."""
    is_text = not any("\udc80" <= character <= "\udcff" for character in word)
    return word if is_text else os.fsencode(word).decode("utf-8", "replace")


async def find_entry(runtime: Runtime, name: str, path: str | None) -> CatalogEntry:
    """Return the entry of a model: the configured one, or one made from its record in the control plane.

    `name` is the model's or that of its tool. `path` is another sub-endpoint than the model's own; None for its own.

    Raises:
        BlaxelError: The name cannot be that of a model, or its record cannot be read and nothing else has its API.
    """
    known = runtime.discovery.catalog.find(name)
    if known and known.path_is_known and path is None:
        return known
    elsewhere = qualified_model(name, runtime.config.settings.known_workspaces)
    settings = known.settings if known else elsewhere or ModelSettings(name=check_model_name(name))
    workspace, record = settings.workspace or runtime.config.settings.workspace, None
    if workspace is not None:
        lookup = await runtime.control_plane.find(workspace, settings.name)
        record = lookup.record
        if record is None and lookup.problem and "unknown_model" not in lookup.problem and not (known or path):
            # Without its API, the question would be sent in a form that the model probably rejects.
            cause = lookup.error or BlaxelError(f"{lookup.problem}.", code="model_unavailable", retryable=True)
            needed = "Without this lookup, a question needs `api` in [[models]], --path or --data."
            cause.hint = f"{cause.hint} {needed}".strip()
            raise cause
    if path is not None:
        # The path comes from the command line, so a mistake in it is none of the settings.
        split_path(path)
        settings = settings.model_copy(update={"path": path, "api": None, "input_schema": None})
    return make_entry(settings, name, record)


def ask(entry: CatalogEntry, question: Question) -> tuple[Invocation, list[str]]:
    """Return the call of a model's own tool that asks a question, and a sentence for each repair."""
    schema = entry.schema.full
    if own := entry.schema.result_arguments & question.arguments.keys():
        raise InvalidArgumentsError(
            f"`{min(own)}` shapes results for agents; `run` has no such option.",
            hint="Print the answer with --json, and pick its parts with a program such as jq.",
        )
    properties, required = schema.get("properties", {}), schema.get("required", ())
    arguments, material, text = dict(question.arguments), list(question.material), question.text
    if question.system is not None:
        arguments[question_field(entry, SYSTEM_FIELDS, "--system", hint=_OTHER_FORMS)] = question.system
    if question.files:
        name = question_field(entry, entry.api.file_arguments, "--attach with this kind of file", hint=_OTHER_FORMS)
        takes_many = properties[name].get("type") == "array"
        if wrong := [kind for kind in question.files.values() if not kind.startswith(entry.api.file_types)]:
            raise InvalidArgumentsError(f"The model {entry.name!r} ({entry.api.name}) does not take {wrong[0]} files.")
        if len(question.files) > 1 and not takes_many:
            raise InvalidArgumentsError(f"The model {entry.name!r} takes one file.", hint="Attach only one.")
        arguments[name] = list(question.files) if takes_many else next(iter(question.files))
    if "documents" in required and "documents" not in arguments and (text and material):
        arguments["documents"] = [line for line in "\n".join(material).splitlines() if line.strip()]
        material = []
    if prompt := "\n\n".join(filter(str.strip, (text, *(part.strip("\n") for part in material)))):
        name = question_field(entry, QUESTION_FIELDS, "a question", hint=_OTHER_FORMS)
        takes_many = properties[name].get("type") == "array"
        arguments.setdefault(name, [prompt] if takes_many else prompt)
    if "voice" in required:
        arguments = {**_SPEECH, **arguments}
    valid, repairs = entry.schema.validator.validate(arguments)
    return Invocation.of_entry(entry, valid), repairs


def raw_invocation(request: RawRequest, catalog: Catalog, workspaces: Collection[str]) -> Invocation:
    """Return the call that sends a composed request."""
    invocation = read_invocation(request.arguments, catalog, workspaces=workspaces)
    return replace(invocation, api=RAW, body={"file": request.upload}) if request.upload else invocation


def adjusted(invocation: Invocation, options: argparse.Namespace) -> Invocation:
    """Return a call with the query, the headers and the deadline of the options."""
    if options.param:
        query = {"model": invocation.model, "query": _pairs(options.param, "--param", "=")}
        invocation = replace(invocation, query=read_invocation(query, Catalog()).query)
    if options.header:
        headers = {name: values[-1] for name, values in _pairs(options.header, "--header", ":").items()}
        settings = invocation.settings or ModelSettings(name=invocation.model)
        own = settings.model_copy(update={"headers": {**settings.headers, **headers}})
        invocation = replace(invocation, settings=own)
    return replace(invocation, timeout_seconds=options.timeout)


def _pairs(options: list[str], option: str, separator: str) -> dict[str, list[str]]:
    pairs: dict[str, list[str]] = {}
    for text in options:
        name, has_separator, value = text.partition(separator)
        if not has_separator or not name.strip():
            form = f"NAME{separator}VALUE" if separator == "=" else "NAME: VALUE"
            raise InvalidArgumentsError(f"{option} {text!r} is not of the form {form}.")
        pairs.setdefault(name.strip(), []).append(value if separator == "=" else value.strip())
    return pairs


def _parsed(text: str, source: str, *, is_yaml: bool = False) -> Any:
    try:
        return json_text.parse(json.dumps(parse_yaml(text), default=_date_text) if is_yaml else text)
    except (ValueError, TypeError) as error:
        form = "YAML" if is_yaml and isinstance(error, ValueError) else "JSON"
        raise InvalidArgumentsError(
            f"The data from {source} is not {form}: {error}.",
            hint="Give JSON in quotes, @FILE for a file with JSON, or - for standard input. "
            'A question needs no option: `run MODEL "text"`.',
        ) from None


def _date_text(value: object) -> str:
    """Return a date or time of YAML as text; JSON has neither them nor YAML's other values."""
    if isinstance(value, date):
        return str(value)
    raise TypeError(f"it has no {type(value).__name__}")


def _text_of(name: str) -> str:
    return _decoded(_bytes_of(name), name)


def _bytes_of(name: str) -> bytes:
    try:
        return Path(os.path.expanduser(name)).read_bytes()  # noqa: PTH111 - Path.expanduser may raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgumentsError(f"{name} cannot be read: {reason}.") from None


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidArgumentsError(
            f"The data from {source} is not UTF-8 text, and not an image, audio or document of a known type."
        ) from None


def piped_text() -> str | None:
    """Return the text on standard input; None if it is a terminal or the null device, or holds only white space."""
    with suppress(OSError):
        if S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode):
            return None
    data = b""
    with suppress(OSError), _patience():
        data = sys.stdin.buffer.read()
    return (_decoded(data, "standard input") or None) if data.strip() else None


@contextmanager
def _patience() -> Iterator[None]:
    """Report on stderr that the command waits for standard input, if that takes long."""
    note = partial(print, "note: waiting for standard input to end (Ctrl-D)", file=sys.stderr)
    timer = threading.Timer(_PATIENCE_SECONDS, note)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
