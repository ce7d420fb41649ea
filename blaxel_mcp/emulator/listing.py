"""`GET /v0/models`: both shapes of the list, its filters and its pages (Blaxel docs, API versioning, Pagination)."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blaxel_mcp.emulator.platform.errors import control_plane_error
from blaxel_mcp.emulator.platform.records import ModelRecord

STATUSES = frozenset(
    [
        "DEPLOYED",
        "DEPLOYING",
        "BUILDING",
        "BUILT",
        "UPLOADING",
        "FAILED",
        "DEACTIVATED",
        "DEACTIVATING",
        "DELETING",
        "TERMINATED",
        "ARCHIVED",
        "ARCHIVING",
        "UNARCHIVING",
    ]
)
SORTS = ("createdAt:desc", "createdAt:asc", "name:asc", "name:desc")
PARAMETERS = frozenset({"limit", "cursor", "sort", "q", "status", "workspace"})

DEFAULT_LIMIT = 50
MAXIMUM_LIMIT = 200
QUERY_LENGTHS = range(2, 201)
CURSOR_LIFETIME_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a caller asks of the list.

    Args:
        limit: Records on a page.
        sort: One of `SORTS`.
        text: A part of the name; empty for all.
        statuses: The statuses wanted; empty for all.
        cursor: Where the page begins; empty for the first.
    """

    limit: int
    sort: str
    text: str
    statuses: frozenset[str]
    cursor: str

    @property
    def fingerprint(self) -> str:
        """What a cursor is bound to: the query without its place in the list."""
        query = json.dumps([self.sort, self.text, sorted(self.statuses)])
        return hashlib.sha256(query.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list; `next_cursor` is None on the last."""

    records: tuple[ModelRecord, ...]
    total: int
    next_cursor: str | None


def parse_list_query(parameters: Mapping[str, str]) -> ListQuery:
    """Return the query that the URL's parameters spell.

    Raises:
        RefusedError: One is unknown or out of its range.
    """
    unknown = sorted(parameters.keys() - PARAMETERS)
    if unknown:
        raise control_plane_error("BAD_REQUEST", f"the emulator does not offer the parameter {unknown[0]}")
    sort = parameters.get("sort", SORTS[0])
    if sort not in SORTS:
        raise control_plane_error("BAD_REQUEST", f"sort must be one of {', '.join(SORTS)}")
    text = parameters.get("q", "")
    if text and len(text) not in QUERY_LENGTHS:
        raise control_plane_error("BAD_REQUEST", "q must have 2 to 200 characters")
    return ListQuery(_limit(parameters), sort, text, _statuses(parameters), parameters.get("cursor", ""))


def list_page(records: Sequence[ModelRecord], query: ListQuery, now: float) -> Page:
    """Return the page that the query asks for.

    Raises:
        RefusedError: The cursor is not one of ours, too old, or from another query.
    """
    found = _found(records, query)
    start = _read_cursor(query, now) if query.cursor else 0
    end = start + query.limit
    following = _write_cursor(query, end, now) if end < len(found) else None
    return Page(tuple(found[start:end]), len(found), following)


def _limit(parameters: Mapping[str, str]) -> int:
    text = parameters.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAXIMUM_LIMIT:
        raise control_plane_error("BAD_REQUEST", f"limit must be 1 to {MAXIMUM_LIMIT}")
    return int(text)


def _statuses(parameters: Mapping[str, str]) -> frozenset[str]:
    statuses = frozenset(parameters["status"].split(",")) if "status" in parameters else frozenset()
    if not statuses <= STATUSES:
        raise control_plane_error("BAD_REQUEST", "status names an unknown status")
    return statuses


def _found(records: Sequence[ModelRecord], query: ListQuery) -> list[ModelRecord]:
    wanted = [
        record
        for record in records
        if query.text.lower() in record.name.lower() and (not query.statuses or record.status in query.statuses)
    ]
    key, _, direction = query.sort.partition(":")
    wanted.sort(key=lambda record: record.name if key == "name" else record.created_at, reverse=direction == "desc")
    return wanted


def _write_cursor(query: ListQuery, start: int, now: float) -> str:
    return base64.urlsafe_b64encode(json.dumps([start, query.fingerprint, now]).encode()).decode()


def _read_cursor(query: ListQuery, now: float) -> int:
    try:
        start, fingerprint, written = json.loads(base64.urlsafe_b64decode(query.cursor))
        age = now - written
    except (binascii.Error, ValueError, TypeError) as error:
        raise control_plane_error("BAD_REQUEST", "the cursor is malformed") from error
    if fingerprint != query.fingerprint or age > CURSOR_LIFETIME_SECONDS:
        raise control_plane_error("BAD_REQUEST", "the cursor has expired or belongs to another query")
    return int(start)
