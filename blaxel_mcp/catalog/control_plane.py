"""Looks models up in the control plane, and caches their records."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import anyio

from blaxel_mcp.catalog.records import ModelRecord, choose_path, needs_integration, read_model_list, read_record
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
"""How long a call waits for a model's record: a slow control plane must not delay inference."""

PAGE_SECONDS = 15.0
"""Timeout of one page of a list; no call waits for it."""

LISTING_SECONDS = 120.0
"""Deadline of a list with all its pages and integrations."""

FAILURE_SECONDS = 30.0
"""How long a failed lookup is cached, so that an outage delays one call and not every one."""

PAGE_SIZE = 200
"""Models in one page, the control plane's maximum (Blaxel docs, Pagination)."""

MAX_PAGES = 100
"""Maximum number of pages of a list: cursors may go on forever."""

_MAX_FAILURE_CHARS = 200
_MAX_LOOKUPS = 1000
"""Maximum number of cached lookups: an agent may invent any number of names."""

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EXPIRED = float("-inf")

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A model's record, or a phrase on why there is none and the error; all of them if the record is an earlier one."""

    record: ModelRecord | None
    problem: str | None = None
    error: BlaxelError | None = None


class ControlPlane:
    """Lists models and looks them up. Results are cached, and concurrent lookups share one request.

    Of the settings, `discovery` says whether to send requests, which is `enabled`, and how often. `now` is a
    monotonic clock, in seconds.
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
        self.enabled = settings.discovery.enabled is not False
        self._client = client
        self._settings = settings
        self._now = now
        self._page_size = page_size
        self._page_seconds = page_seconds
        self._lists: dict[str, tuple[float, Mapping[str, ModelRecord]]] = {}
        self._lookups: dict[_Key, tuple[float, Lookup]] = {}
        self._paths: dict[_Key, tuple[float, str | None]] = {}
        self._locks: defaultdict[_Key, anyio.Lock] = defaultdict(anyio.Lock)

    async def find(self, workspace: str, model: str) -> Lookup:
        """Return the record of a model, from the cache while fresh; raises ConfigurationError without credentials.

        A failed request is no error: a key may be allowed to run a model but not to read its record.
        The earlier record is returned then, if there is one.
        """
        if not self.enabled:
            return Lookup(None)
        key = (workspace, check_model_name(model))
        expires, records = self._lists.get(workspace, (_EXPIRED, {}))
        if model in records and self._now() < expires:
            return Lookup(records[model])
        if len(self._lookups) > _MAX_LOOKUPS:
            self._lookups.clear()
            self._locks.clear()
        async with self._locks[key]:
            expires, lookup = self._lookups.get(key, (_EXPIRED, Lookup(None)))
            if self._now() >= expires:
                lookup = await self._look_up(workspace, model)
                lifetime = FAILURE_SECONDS if lookup.problem else self._settings.discovery.refresh_seconds
                self._lookups[key] = (self._now() + lifetime, lookup)
        return lookup

    async def list_models(self, workspace: str) -> list[ModelRecord]:
        """Return every model of a workspace, each name once; raises BlaxelError if a page could not be read."""
        with deadline(LISTING_SECONDS, CallTrace(runs_model=False)):
            records = await self._all_pages(workspace)
            completed = [await self._with_path(workspace, record) for record in records.values()]
        self._cache_list(workspace, completed, self._now() + self._settings.discovery.refresh_seconds)
        return completed

    def seed(self, workspace: str, records: Sequence[ModelRecord]) -> None:
        """Provide records of an earlier run, for when the control plane does not answer."""
        self._cache_list(workspace, records, _EXPIRED)
        for record in records:
            if record.runtime_type and record.integration_path is not None:
                self._paths.setdefault((workspace, record.runtime_type), (_EXPIRED, record.integration_path))

    async def integration_path(self, workspace: str, runtime_type: str) -> str | None:
        """Return the sub-endpoint that the integration of a type names; None if it is not known; raises as `find`."""
        if not _TYPE.fullmatch(runtime_type):
            return None
        key = (workspace, runtime_type)
        endpoint = f"/integrations/{runtime_type}"
        # No model has a slash in its name, so no lookup of a model uses this lock.
        async with self._locks[workspace, endpoint]:
            expires, path = self._paths.get(key, (_EXPIRED, None))
            if self._now() < expires:
                return path
            lifetime = self._settings.discovery.refresh_seconds
            try:
                path = choose_path(await self._get(workspace, endpoint, LOOKUP_SECONDS))
            except ConfigurationError:
                raise
            except BlaxelError as error:
                # The earlier path, if there is one, is used meanwhile.
                lifetime = FAILURE_SECONDS
                logger.info("no integration of type %r: %s", runtime_type, describe_failure(error))
            self._paths[key] = (self._now() + lifetime, path)
        return path

    def _cache_list(self, workspace: str, records: Iterable[ModelRecord], expires: float) -> None:
        self._lists[workspace] = expires, {record.name: record for record in records}

    async def _look_up(self, workspace: str, model: str) -> Lookup:
        try:
            answer = await self._get(workspace, f"/models/{model}", LOOKUP_SECONDS)
        except ConfigurationError:
            raise
        except BlaxelError as error:
            logger.info("no record of model %r: %s", model, describe_failure(error))
            # If the control plane says that there is no such model, an earlier record is wrong.
            earlier = None if error.code in {"not_found", "unknown_model"} else self._earlier_record(workspace, model)
            return Lookup(earlier, describe_failure(error), error.with_traceback(None))
        record = read_record(answer, self._client.auth.redact)
        if record is None:
            earlier = self._earlier_record(workspace, model)
            return Lookup(earlier, "the control plane's answer was not a model record")
        return Lookup(await self._with_path(workspace, record))

    def _earlier_record(self, workspace: str, model: str) -> ModelRecord | None:
        _, lookup = self._lookups.get((workspace, model), (_EXPIRED, Lookup(None)))
        _, records = self._lists.get(workspace, (_EXPIRED, {}))
        return lookup.record or records.get(model)

    async def _with_path(self, workspace: str, record: ModelRecord) -> ModelRecord:
        if record.runtime_type is None or not needs_integration(record):
            return record
        return replace(record, integration_path=await self.integration_path(workspace, record.runtime_type))

    async def _all_pages(self, workspace: str) -> dict[str, ModelRecord]:
        by_name: dict[str, ModelRecord] = {}
        cursors: set[str | None] = {None}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            query = urlencode({"limit": self._page_size} | ({"cursor": cursor} if cursor else {}))
            response = await self._get(workspace, f"/models?{query}", self._page_seconds)
            try:
                records, cursor = read_model_list(response, self._client.auth.redact)
            except TypeError:
                raise _unreadable("a list of models") from None
            for record in records:
                by_name.setdefault(record.name, record)
            if cursor is None:
                return by_name
            if cursor in cursors:
                break
            cursors.add(cursor)
        logger.warning("stopped reading the list of models after %d pages: its cursors go on forever", len(cursors))
        return by_name

    async def _get(self, workspace: str, path: str, seconds: float) -> Any:
        url = f"{self._settings.api_url}{path}"
        request = APIRequest(method="GET", url=url, workspace=workspace, runs_model=False)
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
    """Return a phrase on why the control plane gave no record or list."""
    if error.status is None:
        return f"the request to the control plane failed ({error.code})"
    return quote(f"the control plane answered {error.status} ({error.code})", _MAX_FAILURE_CHARS)
