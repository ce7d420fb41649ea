"""How a request to Blaxel is authenticated: with which token, in which header, and at which hosts alone.

This package alone takes a secret out of its wrapping.
"""

from blaxel_mcp.client.auth.authenticator import Authenticator
from blaxel_mcp.client.auth.flow import WorkspaceAuth
from blaxel_mcp.client.auth.token_endpoint import PostJSON, TokenReply

__all__ = ["Authenticator", "PostJSON", "TokenReply", "WorkspaceAuth"]
