"""The control plane under `/v0`: the workspace's models, and the integrations that serve them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.faults.faults import find_model
from blaxel_mcp.emulator.listing import list_page, parse_list_query
from blaxel_mcp.emulator.platform.authentication import WORKSPACE_HEADER, authenticate, check_workspaces
from blaxel_mcp.emulator.platform.errors import RefusalError, control_plane_error
from blaxel_mcp.emulator.platform.paths import path_segments
from blaxel_mcp.emulator.platform.records import EmulatedModel, integrations
from blaxel_mcp.emulator.platform.state import Emulator

OLDEST_VERSION = "2026-04-16"
VERSIONS = (OLDEST_VERSION, "2026-04-28", "2026-09-22")
"""The dates that Blaxel's docs and SDKs name; lists have pages from the second one on."""


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
        page = list_page(records, parse_list_query(request.query_params), self._emulator.now())
        meta = {
            "hasMore": page.next_cursor is not None,
            "nextCursor": page.next_cursor,
            "total": page.total,
            "totalIsPartial": False,
        }
        return JSONResponse({"data": [self._to_json(record, workspace) for record in page.records], "meta": meta})

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
        """Return a request's workspace and API version.

        Raises:
            RefusalError: The path, the credentials, the workspace or the version is not accepted.
        """
        if path_segments(request.scope["raw_path"]) is None:
            raise control_plane_error("BAD_REQUEST", "the path is not acceptable")
        names = request.headers.getlist(WORKSPACE_HEADER) + request.query_params.getlist("workspace")
        denial = authenticate(request, self._emulator) or check_workspaces(names, self._emulator)
        if denial is not None:
            raise control_plane_error(denial.code, denial.message)
        version = request.headers.get("blaxel-version", OLDEST_VERSION)
        if version not in VERSIONS:
            body = {"error": "invalid_api_version", "message": f"known versions are {', '.join(VERSIONS)}"}
            raise RefusalError(JSONResponse(body, 400, headers={"X-Blaxel-Source": "platform"}))
        return names[0], version

    def _to_json(self, record: EmulatedModel, workspace: str) -> dict[str, Any]:
        return record.to_json(workspace, self._emulator.url)
