"""The control plane under `/v0`: the workspace's models, page by page, and the integrations that serve them."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.faults.faults import find_model
from blaxel_mcp.emulator.platform.admission import WORKSPACE_HEADER, authenticate, check_workspaces, path_segments
from blaxel_mcp.emulator.platform.errors import RefusalError, control_plane_error
from blaxel_mcp.emulator.platform.records import EmulatedModel, integrations
from blaxel_mcp.emulator.platform.state import Emulator

OLDEST_VERSION = "2026-04-16"
VERSIONS = (OLDEST_VERSION, "2026-04-28", "2026-09-22")
"""The dates that Blaxel's docs and SDKs name; lists have pages from the second one on."""

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
MAX_LIMIT = 200
QUERY_LENGTHS = range(2, 201)
CURSOR_LIFETIME_SECONDS = 24 * 3600


def list_page(
    records: Iterable[EmulatedModel], parameters: Mapping[str, str], now: float
) -> tuple[list[EmulatedModel], dict[str, Any]]:
    """Return the records of the page that a URL's parameters ask for, and the `meta` of the answer.

    A cursor is valid for a day from `now`, in Unix seconds, and for the same filters and order.

    Raises:
        RefusalError: A parameter is unknown, out of range or malformed.
    """
    limit, sort, text, statuses = _filters(parameters)
    matches = [
        record
        for record in records
        if text.lower() in record.name.lower() and (not statuses or record.status in statuses)
    ]
    key, _, direction = sort.partition(":")
    matches.sort(key=lambda record: record.name if key == "name" else record.created_at, reverse=direction == "desc")
    fingerprint = hashlib.sha256(json.dumps([sort, text, sorted(statuses)]).encode()).hexdigest()[:16]
    start = _cursor_position(parameters["cursor"], fingerprint, now) if parameters.get("cursor") else 0
    end = start + limit
    more = end < len(matches)
    cursor = base64.urlsafe_b64encode(json.dumps([end, fingerprint, now]).encode()).decode() if more else None
    meta = {"hasMore": more, "nextCursor": cursor, "total": len(matches), "totalIsPartial": False}
    return matches[start:end], meta


def _filters(parameters: Mapping[str, str]) -> tuple[int, str, str, frozenset[str]]:
    """Return the records per page, the order, a part of the name, and the statuses; no statuses mean all."""
    unknown = sorted(parameters.keys() - PARAMETERS)
    if unknown:
        raise control_plane_error("BAD_REQUEST", f"the emulator does not support the parameter {unknown[0]}")
    sort = parameters.get("sort", SORTS[0])
    if sort not in SORTS:
        raise control_plane_error("BAD_REQUEST", f"sort must be one of {', '.join(SORTS)}")
    text = parameters.get("q", "")
    if text and len(text) not in QUERY_LENGTHS:
        raise control_plane_error("BAD_REQUEST", "q must have 2 to 200 characters")
    limit = parameters.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
        raise control_plane_error("BAD_REQUEST", f"limit must be 1 to {MAX_LIMIT}")
    statuses = frozenset(parameters["status"].split(",")) if "status" in parameters else frozenset()
    if not statuses <= STATUSES:
        raise control_plane_error("BAD_REQUEST", "status names an unknown status")
    return int(limit), sort, text, statuses


def _cursor_position(cursor: str, fingerprint: str, now: float) -> int:
    try:
        position, its_fingerprint, created = json.loads(base64.urlsafe_b64decode(cursor))
        age = now - created
    except (binascii.Error, ValueError, TypeError) as error:
        raise control_plane_error("BAD_REQUEST", "the cursor is malformed") from error
    if its_fingerprint != fingerprint or age > CURSOR_LIFETIME_SECONDS:
        raise control_plane_error("BAD_REQUEST", "the cursor has expired or belongs to another query")
    return int(position)


class ControlPlaneRoutes:
    """The routes under `/v0`, except for the token endpoint."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def list_models(self, request: Request) -> Response:
        """Answer `GET /v0/models`: a bare array in the oldest version, a page in later ones."""
        workspace, version = self._admit(request)
        records = list(self._emulator.models.values())
        if version == OLDEST_VERSION:
            return JSONResponse([self._to_json(record, workspace) for record in records])
        page, meta = list_page(records, request.query_params, self._emulator.now())
        return JSONResponse({"data": [self._to_json(record, workspace) for record in page], "meta": meta})

    async def get_model(self, request: Request) -> Response:
        """Answer `GET /v0/models/{name}`."""
        workspace, _ = self._admit(request)
        record = find_model(self._emulator, request.path_params["name"])
        if record is None:
            raise control_plane_error("WORKLOAD_NOT_FOUND", "model not found")
        return JSONResponse(self._to_json(record, workspace))

    async def get_integration(self, request: Request) -> Response:
        """Answer `GET /v0/integrations/{type}`."""
        self._admit(request)
        integration = integrations().get(request.path_params["type"])
        if integration is None:
            raise control_plane_error("NOT_FOUND", "integration not found")
        return JSONResponse(integration)

    async def not_found(self, request: Request) -> Response:
        """Refuse every other request under `/v0`."""
        self._admit(request)
        raise control_plane_error("ROUTE_NOT_FOUND", f"{request.method} is not served at this path")

    def _admit(self, request: Request) -> tuple[str, str]:
        """Return the workspace and the API version of a request, or refuse it."""
        if path_segments(request.scope["raw_path"]) is None:
            raise control_plane_error("BAD_REQUEST", "the path is not acceptable")
        names = request.headers.getlist(WORKSPACE_HEADER) + request.query_params.getlist("workspace")
        authenticate(request, self._emulator, control_plane_error)
        check_workspaces(names, self._emulator, control_plane_error)
        version = request.headers.get("blaxel-version", OLDEST_VERSION)
        if version not in VERSIONS:
            body = {"error": "invalid_api_version", "message": f"known versions are {', '.join(VERSIONS)}"}
            raise RefusalError(JSONResponse(body, 400, headers={"X-Blaxel-Source": "platform"}))
        return names[0], version

    def _to_json(self, record: EmulatedModel, workspace: str) -> dict[str, Any]:
        return record.to_json(workspace, self._emulator.url)
