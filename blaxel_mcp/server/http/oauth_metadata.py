"""OAuth protected resource metadata (RFC 9728): the issuer whose tokens this server accepts."""

from urllib.parse import urlsplit

from mcp.server.auth.routes import build_resource_metadata_url
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from blaxel_mcp.server.http.address import MCP_PATH, Address
from blaxel_mcp.settings.schema import HttpSettings

METADATA_PATH = "/.well-known/oauth-protected-resource"


def resource_url(http: HttpSettings, address: Address) -> str:
    """Return this server's URL as clients know it: `http.resource_url`, otherwise the address that it listens on."""
    return http.resource_url or f"{address.url}{MCP_PATH}"


def metadata_url(http: HttpSettings, address: Address) -> str:
    """Return the URL of the metadata (RFC 9728, section 3.1), as the `WWW-Authenticate` header names it."""
    return str(build_resource_metadata_url(AnyHttpUrl(resource_url(http, address))))


def metadata_routes(http: HttpSettings, address: Address) -> list[Route]:
    """Return the routes that serve the metadata; there are none unless `http.auth` is `oauth`.

    The SDK's `create_protected_resource_routes` turns the issuer `https://host` into `https://host/`, and clients
    compare issuers character by character (RFC 8414, section 3.3). It also has the document cached for an hour, and
    serves one path: behind a proxy that adds or strips a prefix, that path is not the one that is asked for.
    """
    if http.auth != "oauth":
        return []
    metadata = {
        "resource": resource_url(http, address),
        "authorization_servers": [http.issuer],
        "bearer_methods_supported": ["header"],
        **({"scopes_supported": list(http.scopes)} if http.scopes else {}),
    }

    async def serve_metadata(_: Request) -> Response:
        # Browser clients read it before they have a token.
        return JSONResponse(metadata, headers={"Access-Control-Allow-Origin": "*"})

    paths = {METADATA_PATH, f"{METADATA_PATH}{MCP_PATH}", urlsplit(metadata_url(http, address)).path}
    return [Route(path, serve_metadata) for path in sorted(paths)]
