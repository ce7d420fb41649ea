"""The last list of a workspace's models, on disk: a server uses it until it has listed the models again.

The file has no secrets, but credentials are sent to the URLs in it. So a file is used only if no other user could have
written it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.private_files import make_own_folder, read_private, replace_file, user_folder
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.settings.schema import Settings

MAX_FILE_BYTES = 8 * 1024 * 1024
"""The largest list that is saved: some twenty thousand models."""

_MAX_TIME = 253_402_300_799
"""The end of the year 9999, the last second that can be written as a date."""


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """The models of a workspace, as the control plane with a base URL listed them at some time, in Unix seconds."""

    api_url: str
    workspace: str
    listed_at: Annotated[float, Field(ge=0, le=_MAX_TIME)]
    records: tuple[ModelRecord, ...]
    version: Literal[1] = 1


class CatalogCache:
    """The file for one workspace of one control plane. Both methods block: call them in a thread.

    The folder is created when needed, for this user only.
    """

    def __init__(self, folder: Path, *, api_url: str, workspace: str) -> None:
        self._api_url = api_url
        self._workspace = workspace
        digest = hashlib.sha256(f"{api_url}\n{workspace}".encode()).hexdigest()
        self.path = folder / f"{digest[:32]}.json"

    def load(self) -> ModelSnapshot | None:
        """Return the saved list; None if there is no valid one of this workspace."""
        try:
            snapshot = _file_format().validate_json(read_private(self.path, limit=MAX_FILE_BYTES), strict=True)
        except (OSError, ValidationError):
            return None
        is_ours = (snapshot.api_url, snapshot.workspace) == (self._api_url, self._workspace)
        return snapshot if is_ours else None

    def save(self, records: Iterable[ModelRecord], *, listed_at: float) -> None:
        """Replace the saved list in one step; raises OSError. A list over `MAX_FILE_BYTES` is not saved."""
        # A URL with credentials in it cannot be called anyway.
        without_secrets = tuple(
            record if record.url is None or scrub(record.url) == record.url else replace(record, url=None)
            for record in records
        )
        snapshot = ModelSnapshot(self._api_url, self._workspace, listed_at, without_secrets)
        data = _file_format().dump_json(snapshot)
        if len(data) > MAX_FILE_BYTES:
            return
        make_own_folder(self.path.parent)
        replace_file(self.path, data)


def catalog_cache(settings: Settings, workspace: str | None = None) -> CatalogCache | None:
    """Return the cache of a workspace, by default the top-level one; None without a workspace or a cache folder.

    A control plane on loopback has none: it is an emulator, whose port changes with each start.
    """
    folder = user_folder("cache")
    workspace = workspace or settings.workspace
    if not workspace or not folder.is_absolute() or is_loopback(urlsplit(settings.api_url).hostname or ""):
        return None
    return CatalogCache(folder / "catalogs", api_url=settings.api_url, workspace=workspace)


@cache
def _file_format() -> TypeAdapter[ModelSnapshot]:
    return TypeAdapter(ModelSnapshot)
