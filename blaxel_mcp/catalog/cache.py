"""The last good list of a workspace's models, on disk: what a server starts with while it lists them anew.

There is no secret in it. A model's own URL is, and credentials are sent there: so a file is
believed only if nobody but its owner, who is this user, could have written it.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, TypeAdapter, ValidationError

from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.private_files import make_own_folder, replace_file
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.settings.schema import Settings

MAX_FILE_BYTES = 8 * 1024 * 1024
"""The largest list that is kept: some twenty thousand models."""

_LATEST = 253_402_300_799
"""The end of the year 9999, after which dates cannot be written."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class SavedList:
    """A list of models and when the control plane gave it.

    Attributes:
        api_url: The control plane's base URL.
        workspace: The workspace's name.
        saved_at: When, in seconds since the epoch.
        records: The models.
        version: That of the file's format.
    """

    api_url: str
    workspace: str
    saved_at: Annotated[float, Field(ge=0, le=_LATEST)]
    records: tuple[ModelRecord, ...]
    version: Literal[1] = 1


class CatalogCache:
    """The file for one workspace of one control plane. Both methods block: call them in a thread.

    Args:
        folder: Holds such files; is made when it is needed, for this user alone.
        api_url: The control plane's base URL.
        workspace: The workspace's name.
    """

    def __init__(self, folder: Path, *, api_url: str, workspace: str) -> None:
        self._api_url = api_url
        self._workspace = workspace
        digest = hashlib.sha256(f"{api_url}\n{workspace}".encode()).hexdigest()
        self.path = folder / f"{digest[:32]}.json"

    def load(self) -> SavedList | None:
        """Return what was saved last; None if there is nothing that can be used."""
        try:
            found = _file_format().validate_json(_read_private(self.path), strict=True)
        except (OSError, ValidationError):
            return None
        ours = (found.api_url, found.workspace) == (self._api_url, self._workspace)
        return found if ours else None

    def save(self, records: Iterable[ModelRecord], *, saved_at: float) -> None:
        """Replace what was saved, all at once; a list that is too large is not saved.

        Raises:
            OSError: It cannot be written.
        """
        clean = tuple(map(_without_secrets, records))
        data = _file_format().dump_json(SavedList(self._api_url, self._workspace, saved_at, clean))
        if len(data) > MAX_FILE_BYTES:
            return
        make_own_folder(self.path.parent)
        replace_file(self.path, data)


def catalog_cache(settings: Settings) -> CatalogCache | None:
    """The cache for these settings; None where there is no workspace or no place for it.

    A control plane on this machine is an emulator at some free port: the next one is another.
    """
    folder = platformdirs.user_cache_path("blaxel-mcp", appauthor=False)
    if not settings.workspace or not folder.is_absolute() or is_loopback(urlsplit(settings.api_url).hostname or ""):
        return None
    return CatalogCache(folder / "catalogs", api_url=settings.api_url, workspace=settings.workspace)


@cache
def _file_format() -> TypeAdapter[SavedList]:
    return TypeAdapter(SavedList)


def _read_private(path: Path) -> bytes:
    # Not to be kept waiting by a pipe of that name.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not _is_private(os.fstat(descriptor)):
            raise PermissionError(f"{path} is not a file of this user's alone")
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return data


def _is_private(status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode):
        return False
    # Windows has neither owners nor modes like these: there the user's profile is what protects the file.
    return not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not status.st_mode & _OTHERS)


def _without_secrets(record: ModelRecord) -> ModelRecord:
    """Leave out a URL with credentials in it, which could not be called anyway."""
    return record if record.url is None or scrub(record.url) == record.url else replace(record, url=None)
