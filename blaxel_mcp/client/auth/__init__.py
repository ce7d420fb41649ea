"""Authentication of requests to Blaxel: credentials, access tokens, and the hosts that may get them.

Only this package and `server.http.auth` unwrap secrets.
"""

from blaxel_mcp.client.auth.authenticator import Authenticator, WorkspaceAuth
from blaxel_mcp.client.auth.token_endpoint import PostJSON, TokenReply

__all__ = ["Authenticator", "PostJSON", "TokenReply", "WorkspaceAuth"]
