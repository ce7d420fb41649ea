"""The icon of the server, which clients show beside its name."""

import base64

import mcp_types as types

_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path fill="#e62" d="M0 0h9v9H0z"/>'
    '<path d="M1 4.5h7M4 4.5l3-3M4 4.5l3 3" stroke="#fff"/></svg>'
)
"""One client and its models. It is small: in the protocol of 2026-07-28, each result names the server with its icon."""

ICON = types.Icon(
    src=f"data:image/svg+xml;base64,{base64.b64encode(_SVG.encode()).decode()}",
    mime_type="image/svg+xml",
    sizes=["any"],
)
