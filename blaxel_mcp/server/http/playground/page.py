"""The page of the Playground as one HTML document, put together when the command starts.

The document loads nothing. Its policy allows exactly this script and this style, by their hashes, and connections to
its own server. No string becomes markup (Trusted Types), so a model's text cannot run as code.
"""

from dataclasses import dataclass

from blaxel_mcp.server.pages.bundle import bundle, inlined, policy_text, read_asset

_RULES = {"connect-src": "'self'", "img-src": "data:", "media-src": "data:", "frame-ancestors": "'none'"}


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and the Content-Security-Policy that it is served with."""

    html: str
    policy: str


def build_page() -> Page:
    """Return the page, made of the package's files."""
    style, script = read_asset("style.css"), bundle(read_asset, "main.js")
    return Page(inlined(read_asset("page.html"), style, script), policy_text(_RULES, style, script))
