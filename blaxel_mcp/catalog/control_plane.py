"""What the control plane says about models, asked for no more often than need be."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import anyio

from blaxel_mcp.catalog.records import ModelRecord, read_model_list, read_record
from blaxel_mcp.catalog.runtime_types import leaves_path_open, path_of_integration
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.client.trace import CallTrace, deadline
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, UpstreamError
from blaxel_mcp.core.redaction import quote
from blaxel_mcp.settings.schema import Settings

logger = logging.getLogger(__name__)

LOOKUP_SECONDS = 5.0
"""How long a call waits for a model's record: a slow control plane must not hold up inference."""

PAGE_SECONDS = 15.0
"""How long one page of a listing may take; nobody waits for a listing."""

LISTING_SECONDS = 120.0
"""How long a listing may take, with all its pages and integrations."""

FAILURE_SECONDS = 30.0
"""How long a failed lookup is remembered, so that an outage is paid for once and not at every call."""

PAGE_SIZE = 200
"""Models in one page: the most that the control plane gives (Blaxel docs, Pagination)."""

MAX_PAGES = 100
"""Pages that are read of one listing: a cursor may lead on for ever."""

_MAX_TEXT = 200
_MAX_REMEMBERED = 1000
"""Models whose records are kept besides those listed: an agent may make names up for ever."""

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NEVER = float("-inf")

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A record, or a sentence on why there is none; both, where an earlier record has to do."""

    record: ModelRecord | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    records: Mapping[str, ModelRecord]
    expires: float


class ControlPlane:
    """Lists models and looks them up, remembers what it found, and asks once for any number of callers.

    Args:
        client: Sends the requests.
        settings: `api_url`, and `discovery` for whether and how often to ask.
        now: A monotonic clock, in seconds.
        page_size: How many models to ask for at once.
        page_seconds: How long one such answer may take.
    """

    def __init__(
        self,
        client: APIClient,
        settings: Settings,
        *,
        now: Callable[[], float] = time.monotonic,
        page_size: int = PAGE_SIZE,
        page_seconds: float = PAGE_SECONDS,
    ) -> None:
        self._client = client
        self._settings = settings
        self._now = now
        self._page_size = page_size
        self._page_seconds = page_seconds
        self._listings: dict[str, _Listing] = {}
        self._known: dict[_Key, tuple[float, Lookup]] = {}
        self._paths: dict[_Key, tuple[float, str | None]] = {}
        self._locks: defaultdict[_Key, anyio.Lock] = defaultdict(anyio.Lock)

    @property
    def enabled(self) -> bool:
        """Whether the control plane may be asked at all."""
        return self._settings.discovery.enabled is not False

    async def find(self, workspace: str, model: str) -> Lookup:
        """The record of a model, from memory while it is fresh.

        A control plane that does not answer is not a reason to fail: a key may be allowed to run
        a model and not to read its record. What was known of the model before serves then.

        Raises:
            ConfigurationError: there are no credentials to ask with.
        """
        if not self.enabled:
            return Lookup(None)
        key = (workspace, check_model_name(model))
        listing = self._listings.get(workspace)
        if listing and model in listing.records and self._now() < listing.expires:
            return Lookup(listing.records[model])
        if len(self._known) > _MAX_REMEMBERED:
            self._known.clear()
            self._locks.clear()
        async with self._locks[key]:
            expires, lookup = self._known.get(key, (_NEVER, Lookup(None)))
            if self._now() >= expires:
                lookup = await self._look_up(workspace, model)
                lifetime = FAILURE_SECONDS if lookup.problem else self._settings.discovery.refresh_seconds
                self._known[key] = (self._now() + lifetime, lookup)
        return lookup

    async def list_models(self, workspace: str) -> list[ModelRecord]:
        """Every model of a workspace, each name once; what was found serves `find` as well.

        Raises:
            BlaxelError: a page could not be had, so nothing is said of any model.
        """
        with deadline(LISTING_SECONDS, CallTrace()):
            found = await self._all_pages(workspace)
            completed = [await self._completed(workspace, record) for record in found.values()]
        self._keep(workspace, completed, self._now() + self._settings.discovery.refresh_seconds)
        return completed

    def recall(self, workspace: str, records: Iterable[ModelRecord]) -> None:
        """Take records of an earlier run, for when the control plane does not answer."""
        self._keep(workspace, records, _NEVER)
        for record in self._listings[workspace].records.values():
            if record.runtime_type and record.integration_path is not None:
                self._paths.setdefault((workspace, record.runtime_type), (_NEVER, record.integration_path))

    async def integration_path(self, workspace: str, runtime_type: str) -> str | None:
        """The sub-endpoint that the integration of a type names; None where it names none or does not answer.

        Raises:
            ConfigurationError: there are no credentials to ask with.
        """
        if not _TYPE.fullmatch(runtime_type):
            return None
        key = (workspace, runtime_type)
        # No model has a slash in its name, so this lock is nobody else's.
        async with self._locks[workspace, f"/integrations/{runtime_type}"]:
            expires, path = self._paths.get(key, (_NEVER, None))
            if self._now() >= expires:
                path, lifetime = await self._ask_integration(workspace, runtime_type, path)
                self._paths[key] = (self._now() + lifetime, path)
        return path

    async def _ask_integration(self, workspace: str, runtime_type: str, known: str | None) -> tuple[str | None, float]:
        """Return the path and for how long to believe it; what was known before is better than nothing."""
        try:
            integration = await self._get(workspace, f"/integrations/{runtime_type}", LOOKUP_SECONDS)
        except ConfigurationError:
            raise
        except BlaxelError as error:
            logger.info("no integration of type %r: %s", runtime_type, error)
            return known, FAILURE_SECONDS
        return path_of_integration(integration), self._settings.discovery.refresh_seconds

    def _keep(self, workspace: str, records: Iterable[ModelRecord], expires: float) -> None:
        self._listings[workspace] = _Listing({record.name: record for record in records}, expires)

    async def _look_up(self, workspace: str, model: str) -> Lookup:
        try:
            record = read_record(await self._get(workspace, f"/models/{model}", LOOKUP_SECONDS))
        except ConfigurationError:
            raise
        except BlaxelError as error:
            logger.info("no record of model %r: %s", model, error)
            # The control plane's own word that there is no such model beats what it said before.
            known = None if error.code in {"not_found", "unknown_model"} else self._earlier(workspace, model)
            return Lookup(known, describe_failure(error))
        if record is None:
            return Lookup(self._earlier(workspace, model), "the control plane's answer was not a model record")
        return Lookup(await self._completed(workspace, record))

    def _earlier(self, workspace: str, model: str) -> ModelRecord | None:
        _, lookup = self._known.get((workspace, model), (_NEVER, Lookup(None)))
        listing = self._listings.get(workspace)
        return lookup.record or (listing.records.get(model) if listing else None)

    async def _completed(self, workspace: str, record: ModelRecord) -> ModelRecord:
        if record.runtime_type is None or not leaves_path_open(record):
            return record
        return replace(record, integration_path=await self.integration_path(workspace, record.runtime_type))

    async def _all_pages(self, workspace: str) -> dict[str, ModelRecord]:
        found: dict[str, ModelRecord] = {}
        followed: set[str] = set()
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            records, cursor = await self._page(workspace, cursor)
            found = found | {record.name: record for record in records if record.name not in found}
            if cursor is None:
                return found
            if cursor in followed:
                break
            followed.add(cursor)
        logger.warning("the list of models was ended after %d pages: its cursors lead on for ever", len(followed) + 1)
        return found

    async def _page(self, workspace: str, cursor: str | None) -> tuple[list[ModelRecord], str | None]:
        query = urlencode({"limit": self._page_size} | ({"cursor": cursor} if cursor else {}))
        answer = await self._get(workspace, f"/models?{query}", self._page_seconds)
        try:
            return read_model_list(answer)
        except TypeError:
            raise _unreadable("a list of models") from None

    async def _get(self, workspace: str, path: str, seconds: float) -> Any:
        request = APIRequest(method="GET", url=f"{self._settings.api_url}{path}", workspace=workspace)
        response = await self._client.send(request, timeout_seconds=seconds)
        try:
            return json_text.parse(response.body.decode())
        except ValueError:
            raise _unreadable("JSON") from None


def _unreadable(expected: str) -> UpstreamError:
    return UpstreamError(
        f"The control plane's answer was not {expected}.",
        code="bad_response",
        origin="blaxel",
        hint="Check api_url and api_version in the settings.",
        retryable=True,
    )


def describe_failure(error: BlaxelError) -> str:
    """Say in half a sentence why the control plane told nothing."""
    if error.status is None:
        return f"the control plane could not be asked ({error.code})"
    return quote(f"the control plane answered {error.status} ({error.code})", _MAX_TEXT)
