"""Filters results for each caller: the owner sees everything, other callers nothing of the owner or of each other."""

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr

from blaxel_mcp.budget.ledger import MEMORY, default_ledger
from blaxel_mcp.budget.shared.engine import label_of
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.tools.results.content_blocks import text_block
from blaxel_mcp.tools.results.results import ERROR_KEY
from blaxel_mcp.tools.store.call_keys import default_keys
from blaxel_mcp.tools.store.spool import default_spools

logger = logging.getLogger(__name__)

_PATH = "[path]"
_MAX_LOGGED = 100
"""Failures that are logged, each once: a caller must not be able to fill the log."""

_MIN_PATH_CHARS = 4
"""Minimum length of hidden paths: shorter ones, such as `/`, are in every text."""

_OF_THE_SERVER = {
    "configuration_error": (
        "This server is not set up for the call.",
        "Ask the person who runs it; its log has the details.",
    ),
    "budget_exceeded": (
        "The call was not sent: it does not fit the budget of this server.",
        "Try a smaller call, try again after midnight UTC, or ask the person who runs the server.",
    ),
}
"""The message and the hint, by code, in place of those that describe the owner's settings."""

_SOURCE = "the settings of this server"
_INCOMPLETE = "Some of this could not be looked up; the server's log says why."
_USAGE = (
    "Several callers share this key: `clients` has your own calls only. Its owner sees those of all callers, with "
    "`blaxel-mcp usage`."
)


class Visibility:
    """One caller's view: of the server's owner by default, which changes nothing.

    Args:
        config: The owner's settings, whose paths are hidden from another caller over HTTP; None for the owner.
        own_key: Whether the caller brings its own credentials; otherwise problems with the owner's are hidden.
        own_budget: Whether no other caller is counted with this one; otherwise the usage and the budget are hidden.
    """

    def __init__(self, config: Configuration | None = None, *, own_key: bool = True, own_budget: bool = True) -> None:
        self._own_key = own_key
        self.shows_budget = own_budget
        self.writes_files = self._is_owner = config is None
        paths = [path for path in _owner_paths(config) if len(path) >= _MIN_PATH_CHARS] if config else []
        # Also as they are in a quoted literal.
        forms = sorted({form for path in paths for form in (path, repr(path)[1:-1])}, key=len, reverse=True)
        self._paths = re.compile(rf"(?:{'|'.join(map(re.escape, forms))})[^\s\"'`,;:)\]]*")
        self._logged: set[str] = set()

    def text(self, text: str) -> str:
        """Return a message of ours without the owner's paths."""
        return text if self._is_owner else self._paths.sub(_PATH, text)

    def result(self, result: types.CallToolResult) -> types.CallToolResult:
        """Return the result of a tool, with another message where the owner's settings caused the failure."""
        if self._is_owner:
            return result
        meta: dict[str, Any] = dict(result.meta or {})
        content = result.content
        if receipt := meta.get(RECEIPT_KEY):
            budget = receipt["budget"] if self.shows_budget else None
            meta[RECEIPT_KEY] = {**receipt, "notes": [*map(self.text, receipt["notes"])], "budget": budget}
        if error := meta.get(ERROR_KEY):
            message, hint = self.failure(error["code"], error["origin"], error["message"], error["hint"])
            meta[ERROR_KEY] = {**error, "message": message, "hint": hint}
            content = [text_block(f"{message} {hint}".rstrip()), *content[1:]]
        return result.model_copy(update={"meta": meta, "content": content})

    def failure(self, code: str, origin: str, message: str, hint: str) -> tuple[str, str]:
        """Return the message and the hint of an error, or others if they describe the owner's settings."""
        is_hidden = not self._is_owner and (code == "configuration_error" or not self.shows_budget)
        if origin != "local" or not is_hidden or code not in _OF_THE_SERVER:
            return self.text(message), self.text(hint)
        if message not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(message)
            logger.warning("a call over HTTP failed: %s %s", message, hint)
        return _OF_THE_SERVER[code]

    def protocol_error(self, error: MCPError) -> MCPError:
        """Return an error of the protocol without the owner's paths."""
        return MCPError(code=error.error.code, message=self.text(error.error.message), data=error.error.data)

    def page(self, page: JSONObject) -> JSONObject:
        """Return a page of `list_models` without the owner's sources and problems."""
        if self._own_key:
            return {**page, "notes": [*map(self.text, page["notes"])]}
        source = page["credentials"] and _SOURCE
        return {**page, "credentials": source, "notes": [_INCOMPLETE] if page["notes"] else []}

    def lookup(self, lookup: Lookup) -> Lookup:
        """Return the lookup of a model, without the owner's problems."""
        if not lookup.problem:
            return lookup
        return replace(lookup, problem=self.text(lookup.problem) if self._own_key else _INCOMPLETE)

    def usage(self, report: JSONObject) -> JSONObject:
        """Return the usage report without the ledger's path; of a shared budget, only the caller's own calls."""
        if self.shows_budget:
            ledger, problem = report["ledger"] if self._is_owner else None, report["problem"]
            return {**report, "ledger": ledger, "problem": problem and self.text(problem)}
        return {**report, "budget": None, "days": [], "ledger": None, "problem": _USAGE}

    def dry_run(self, report: JSONObject) -> JSONObject:
        """Return the report of a dry run without the owner's paths; of a shared budget, only whether it refuses."""
        notes, refused = [*map(self.text, report["notes"])], report["refused"] and self.text(report["refused"])
        if self.shows_budget:
            return {**report, "notes": notes, "refused": refused}
        return {**report, "notes": notes, "budget": None, "refused": refused and _OF_THE_SERVER["budget_exceeded"][0]}


def _owner_paths(config: Configuration) -> Iterable[str]:
    """Return the paths that only the owner knows: those of the settings, and the folders of this server."""
    settings, files, ledger = config.settings, config.settings.files, config.settings.budget.ledger
    with suppress(RuntimeError):
        yield str(Path.home())
    own = (config.watched, config.file, config.login.path, default_spools(), default_ledger(), default_keys())
    named = (None if ledger == MEMORY else ledger, settings.audit.file, files.output_dir, *files.allowed_dirs)
    yield from map(str, filter(None, (*own, *named)))
    urls = [settings.shared.url, SecretStr(ledger) if ledger and "://" in ledger else None]
    yield from (label_of(url) for url in urls if url)
    others = (workspace.api_key_command for workspace in settings.workspaces.values())
    for word in chain.from_iterable(filter(None, (settings.api_key_command, *others))):
        if re.search(r"[/\\]", word):
            yield word
