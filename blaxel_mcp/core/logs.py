"""Logging to stderr; stdout carries the protocol or a command's result.

Every line is redacted: this server's own secrets are removed by value, and text that looks like a credential by its
form. Exceptions raised in libraries are the usual way for a secret to reach a log.
"""

import json
import logging
import sys
from typing import Literal, Protocol
from weakref import WeakSet

from blaxel_mcp.core.redaction import scrub, visible

LogFormat = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")

QUIET_BELOW_WARNING = ("httpx", "httpcore", "asyncio", "mcp", "rich", "hpack", "sse_starlette")
"""Loggers of libraries whose debug output contains whole requests with their credentials, or is of no use here."""


class Redactor(Protocol):
    """Knows some of this server's secrets and removes them from text."""

    def redact_text(self, text: str) -> str:
        """Return the text with each known secret replaced."""


_redactors: WeakSet[Redactor] = WeakSet()


def redact_logs_with(redactor: Redactor) -> None:
    """Apply a redactor to every log line for as long as the redactor itself is in use."""
    _redactors.add(redactor)


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Log to stderr, one line per record.

    Args:
        level: The minimum level, one of `LEVELS`.
        log_format: `text`, or `json` for one JSON object per line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(line_formatter(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def line_formatter(log_format: LogFormat) -> logging.Formatter:
    """Return the formatter for a format; its lines are redacted."""
    return _JSONLines() if log_format == "json" else _TextLines()


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
        if record.exc_info:
            entry["exception"] = _redacted(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def _redacted(text: str) -> str:
    text = visible(text)
    for redactor in tuple(_redactors):
        text = redactor.redact_text(text)
    return scrub(text)
