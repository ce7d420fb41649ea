"""The ledger that a runtime counts in: the one of the settings, or one in memory while that cannot be used."""

import logging
from pathlib import Path

import anyio.to_thread
from pydantic import SecretStr

from blaxel_mcp.budget.commits import GroupCommit
from blaxel_mcp.budget.ledger import MEMORY, default_ledger
from blaxel_mcp.budget.open_ledgers import OPEN_LEDGERS, LedgerPath
from blaxel_mcp.budget.shared.engine import require_extra
from blaxel_mcp.settings.schema import Settings

logger = logging.getLogger(__name__)


class LedgerInUse:
    """Opens the ledger of some settings on first use.

    Attributes:
        opened: The ledger if it is open.
        problem: The last problem with the ledger, as a sentence.

    Raises:
        ConfigurationError: The ledger is in Redis, and the extra `redis` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = _path(settings)
        self._lease_seconds = settings.shared.lease_seconds
        if isinstance(self._path, SecretStr):
            require_extra()
        self._acquired: list[GroupCommit] = []
        self.opened: GroupCommit | None = None
        self.problem: str | None = None

    def open(self) -> GroupCommit:
        """Return the ledger, which all callers of this process share, until `aclose` releases it."""
        if self.opened is None:
            self.opened = GroupCommit(OPEN_LEDGERS.acquire(self._path, lease_seconds=self._lease_seconds))
            self._acquired.append(self.opened)
        return self.opened

    def fall_back(self, problem: str) -> GroupCommit:
        """Count in memory from now on, and return that ledger."""
        self.opened = GroupCommit(OPEN_LEDGERS.acquire(MEMORY, instead_of=str(self._path)))
        self._acquired.append(self.opened)
        self.warn(f"{problem} Calls are now counted in this process only.")
        return self.opened

    def warn(self, problem: str) -> None:
        """Log a problem, once until another one follows."""
        if problem != self.problem:
            self.problem = problem
            logger.warning(problem)

    async def aclose(self) -> None:
        """Release the ledger."""
        self.opened = None
        while self._acquired:
            commits = self._acquired.pop()
            await commits.aclose()
            await anyio.to_thread.run_sync(OPEN_LEDGERS.release, commits.ledger)


def _path(settings: Settings) -> LedgerPath:
    path = settings.budget.ledger
    if path is None:
        return settings.shared.url or default_ledger()
    if "://" in path:
        return SecretStr(path)
    return MEMORY if path == MEMORY else Path(path).expanduser()
