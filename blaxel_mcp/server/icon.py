"""The icon of the server, which clients show beside its name."""

import base64

import mcp_types as types

_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" fill="none">'
    '<rect width="48" height="48" rx="11" fill="#161b26"/>'
    '<path d="M9 24h12m6-3 11-9m-11 12h12m-12 3 11 9" stroke="#ff8a3d" stroke-width="3" stroke-linecap="round"/>'
    '<circle cx="24" cy="24" r="6" fill="#fff"/></svg>'
)
"""One client and its models."""

ICON = types.Icon(
    src=f"data:image/svg+xml;base64,{base64.b64encode(_SVG.encode()).decode()}",
    mime_type="image/svg+xml",
    sizes=["any"],
)
