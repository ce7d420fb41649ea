"""The audit file: one line of JSON for each call that was billed or may have been, without prompts and answers.

It fails closed. A file that cannot be written at the start is an error. If a line cannot be written later, the answer
of its call is returned all the same, since it is paid for; the line is kept, and calls are refused until it is written.
"""

import json
import logging
import os
import secrets
import threading
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import anyio.to_thread

from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.private_files import append_private, make_folder, require_safe_folder, setting_path
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.observers import Outcome, billed, name_or_none

logger = logging.getLogger(__name__)

OWNER_NAME = "owner"
"""The caller over stdio and on the command line: the user whose process this is."""


class AuditLog:
    """Appends lines to a file, which other processes may append to as well. Its methods block; they are thread-safe.

    The file is opened for each line, so that a program such as logrotate can move it away. It is renamed at
    `max_bytes`, and no file is ever deleted.

    Raises:
        ConfigurationError: The file cannot be written.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._unwritten = b""
        try:
            make_folder(path.parent)
            require_safe_folder(path.parent)
            append_private(path, b"")
        except OSError as error:
            raise ConfigurationError(
                f"audit.file cannot be written: {error.strerror} ({path}).",
                hint="Name a file that this user can write, in a folder where other users cannot.",
            ) from None

    @property
    def has_unwritten(self) -> bool:
        """Whether a line could not be written yet."""
        return bool(self._unwritten)

    def append(self, entry: JSONObject | None) -> None:
        """Append an entry as a line, after those that could not be written before; None: only those.

        Raises:
            OSError: The file cannot be written. The lines are kept, and the next call tries again.
        """
        with self._lock:
            line = b"" if entry is None else json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            had_problem, data = self.has_unwritten, self._unwritten + line
            # A failed attempt may leave half a line, which the next line must not continue.
            self._unwritten = data if data.startswith(b"\n") else b"\n" + data
            size = append_private(self._path, data)
            self._unwritten = b""
            if had_problem:
                logger.warning("the audit file can be written again: %s", self._path)
            if size >= self._max_bytes:
                self._rotate()

    def _rotate(self) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        try:
            # Another process may have renamed it already; then this renames a shorter file, or none. Nothing is lost.
            self._path.rename(self._path.with_name(f"{self._path.name}.{moment}.{secrets.token_hex(4)}"))
        except FileNotFoundError:
            pass
        except OSError as error:
            # The line is written. The next attempt is at twice the size, not at each call.
            self._max_bytes *= 2
            logger.warning("the audit file grows on, since it cannot be renamed (%s)", error.strerror)


_audit_log = cache(AuditLog)


class Audit:
    """Writes the calls of one caller, empty for the user, to an `AuditLog` that all callers in this process share."""

    def __init__(self, file: str, max_bytes: int, caller: str) -> None:
        self._log = _audit_log(setting_path(file, "audit.file"), max_bytes)
        self._caller = caller or OWNER_NAME

    async def begin(self, context: CallContext) -> None:  # noqa: ARG002 - every observer takes the context
        """Refuse the call if an earlier one could not be written, and still cannot be.

        Raises:
            BlaxelError: `configuration_error`.
        """
        if not self._log.has_unwritten:
            return
        try:
            await anyio.to_thread.run_sync(self._log.append, None)
        except OSError as error:
            raise BlaxelError(
                f"The call was not sent: an earlier one could not be written to audit.file ({error.strerror}).",
                code="configuration_error",
                hint="Make room for that file, or make it writable again; then calls are accepted without a restart.",
                retryable=True,
            ) from None

    async def end(self, context: CallContext, outcome: Outcome) -> None:
        """Write the call, if it was billed or may have been."""
        if billed(context, outcome) == "no":
            return
        had_problem = self._log.has_unwritten
        try:
            await anyio.to_thread.run_sync(self._log.append, audit_entry(context, outcome, self._caller))
        except OSError as error:
            if not had_problem:
                logger.error(  # noqa: TRY400 - the reason is all there is to know
                    "audit.file cannot be written (%s); calls are refused until it can be", error.strerror
                )


def audit_entry(context: CallContext, outcome: Outcome, caller: str) -> JSONObject:
    """Return the entry of a call: caller, model, outcome and usage. It has names and numbers only."""
    route, usage, error = context.prepared and context.prepared.route, context.usage, None
    if isinstance(outcome, BaseException):
        error = outcome.code if isinstance(outcome, BlaxelError) else "cancelled"
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "caller": caller,
        "workspace": context.workspace,
        "model": context.model,
        "api": route.api.name if route and route.api else None,
        "call_id": context.call_id,
        "request_id": name_or_none(context.trace.request_id),
        "status": context.trace.status,
        "error": error,
        "billed": billed(context, outcome),
        "attempts": context.trace.attempts,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "total_tokens": usage and usage.total_tokens,
        "estimated": bool(usage and usage.estimated),
        "cost_usd": context.cost_usd,
        "elapsed_ms": round((time.perf_counter() - context.started) * 1000, 1),
        "pid": os.getpid(),
    }
