"""Logging to stderr: stdout belongs to the protocol, or to a command's result."""

import json
import logging
import sys
from typing import Literal

LogFormat = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")

_QUIET_BELOW_WARNING = ("httpx", "httpcore", "asyncio", "mcp", "rich", "hpack")
"""Libraries whose debug output holds whole requests, credentials included, or is of no use here."""


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Send this package's log to stderr, one line a record, at `level` and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONLines() if log_format == "json" else _TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


class _TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("blaxel-mcp: %(levelname)s: %(message)s")


class _JSONLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
