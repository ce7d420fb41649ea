"""Logging to stderr: stdout belongs to the protocol, or to a command's result.

No line holds a secret: neither one of this server's own, nor anything that looks like one. An exception of a
library's, whose text nobody here has written, is the usual way in.
"""

import json
import logging
import sys
from typing import Literal, Protocol
from weakref import WeakSet

from blaxel_mcp.core.redaction import scrub

LogFormat = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")

QUIET_BELOW_WARNING = ("httpx", "httpcore", "asyncio", "mcp", "rich", "hpack", "sse_starlette")
"""Libraries whose debug output holds whole requests, credentials included, or is of no use here."""


class Secrets(Protocol):
    """Some secrets of this server's own."""

    def redact_text(self, text: str) -> str:
        """Return the text without them."""


_kept_out: WeakSet[Secrets] = WeakSet()


def keep_out(secrets: Secrets) -> None:
    """Take secrets out of every line of the log, for as long as they are in use."""
    _kept_out.add(secrets)


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Send this package's log to stderr, one line a record, at `level` and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(line_formatter(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def line_formatter(log_format: LogFormat) -> logging.Formatter:
    """What writes a record as it goes to stderr."""
    return _JSONLines() if log_format == "json" else _TextLines()


class _TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("blaxel-mcp: %(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return _clean(super().format(record))


class _JSONLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = _clean(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def _clean(text: str) -> str:
    for secrets in tuple(_kept_out):
        text = secrets.redact_text(text)
    return scrub(text)
