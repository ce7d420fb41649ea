"""OAuth protected resource metadata (RFC 9728): the issuer whose tokens this server accepts."""

from urllib.parse import urlsplit

from mcp.server.auth.routes import build_resource_metadata_url
from pydantic import AnyHttpUrl

from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.server.http.address import MCP_PATH, Address
from blaxel_mcp.settings.http import HttpSettings

METADATA_PATH = "/.well-known/oauth-protected-resource"


def resource_url(http: HttpSettings, address: Address) -> str:
    """Return this server's URL as clients know it: `http.resource_url`, otherwise the address that it listens on."""
    return http.resource_url or f"{address.url}{MCP_PATH}"


def metadata_url(http: HttpSettings, address: Address) -> str:
    """Return the URL of the metadata (RFC 9728, section 3.1), as the `WWW-Authenticate` header names it."""
    return str(build_resource_metadata_url(AnyHttpUrl(resource_url(http, address))))


def metadata_pages(http: HttpSettings, address: Address) -> dict[bytes, JSONObject]:
    """Return the metadata by the path as it is on the wire; there is none unless `http.auth` is `oauth`.

    The SDK's `create_protected_resource_routes` turns the issuer `https://host` into `https://host/`, and clients
    compare issuers character by character (RFC 8414, section 3.3). It also lets the document be cached for an hour, and
    serves one path, which is wrong behind a proxy that adds or strips a prefix.
    """
    if http.auth != "oauth":
        return {}
    metadata = {
        "resource": resource_url(http, address),
        "authorization_servers": [http.issuer],
        "bearer_methods_supported": ["header"],
        **({"scopes_supported": list(http.scopes)} if http.scopes else {}),
    }
    paths = (METADATA_PATH, f"{METADATA_PATH}{MCP_PATH}", urlsplit(metadata_url(http, address)).path)
    return {path.encode(): metadata for path in paths}
