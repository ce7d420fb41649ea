"""Logging to stderr; stdout carries the protocol or a command's result.

Every line is redacted: this server's own secrets are removed by value, and text that looks like a credential by its
form. Exceptions raised in libraries are the usual way for a secret to reach a log.
"""

import json
import logging
import os
import select
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Literal, TextIO
from weakref import WeakMethod

from blaxel_mcp.core.redaction import scrub, visible

LogFormat = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")

QUIET_BELOW_WARNING = ("httpx", "httpcore", "asyncio", "mcp", "rich", "hpack", "sse_starlette")
"""Loggers of libraries whose debug output contains whole requests with their credentials, or is of no use here."""


_PATIENCE_SECONDS = 0.2
"""How long a line waits for a reader that has stopped, once."""

_PIPE_BYTES = 512
"""POSIX: a pipe with room takes so many bytes without blocking."""


call_id: ContextVar[str | None] = ContextVar("call_id", default=None)
"""The call that the running code belongs to; JSON lines carry it."""

_more_fields: list[Callable[[], Mapping[str, str]]] = []


def add_to_json_lines(fields: Callable[[], Mapping[str, str]]) -> None:
    """Add fields to every JSON line from now on, such as the ids of the trace that the running code belongs to."""
    if fields not in _more_fields:
        _more_fields.append(fields)


_redactors: "list[WeakMethod[Callable[[str], str]]]" = []


def redact_logs_with(redact: Callable[[str], str]) -> None:
    """Apply a method, which removes secrets from a text, to every log line for as long as its object is in use."""
    # In one step: threads log meanwhile.
    _redactors[:] = [*(each for each in _redactors if each()), WeakMethod(redact)]


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Log to stderr, one line per record, from a level of `LEVELS` on; with `json`, each line is an object."""
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(line_formatter(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def line_formatter(log_format: LogFormat) -> logging.Formatter:
    """Return the formatter for a format; its lines are redacted."""
    return _JSONLines() if log_format == "json" else _TextLines()


def writes_json_lines() -> bool:
    """Return whether the log is JSON, as programs read it."""
    return any(isinstance(handler.formatter, _JSONLines) for handler in logging.getLogger().handlers)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr, and drops lines that are not read: a client that reads no log must not stop the server."""

    _is_stalled = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            descriptor = self.stream.fileno()
            self.stream.flush()
        except (OSError, ValueError, AttributeError):
            # In memory, or closed.
            super().emit(record)
            return
        try:
            line = f"{self.format(record)}{self.terminator}".encode(self.stream.encoding or "utf-8", "backslashreplace")
            while line:
                if sys.platform != "win32":
                    patience = 0 if self._is_stalled else _PATIENCE_SECONDS
                    self._is_stalled = not select.select([], [descriptor], [], patience)[1]
                    if self._is_stalled:
                        break
                line = line[os.write(descriptor, line[:_PIPE_BYTES]) :]
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 - of arguments that do not fit their message, or of their own
            # `logging` would print them all, unredacted.
            text = f"a message of {record.module}, line {record.lineno}, has no text: {type(error).__name__}"
            return super().format(
                logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, "%s", (text,), None)
            )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name of `logging`
        """Drop the line: an error of stderr cannot be reported on stderr."""


class _TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("blaxel-mcp: %(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return _redacted(super().format(record))


class _JSONLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _redacted(record.getMessage()),
        }
        if call := call_id.get():
            entry["call_id"] = call
        for fields in _more_fields:
            entry |= fields()
        if record.exc_info:
            entry["exception"] = _redacted(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def _redacted(text: str) -> str:
    text = visible(text)
    for redact in filter(None, (each() for each in tuple(_redactors))):
        text = redact(text)
    return scrub(text)
