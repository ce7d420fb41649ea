"""FastMCP over an OpenAPI document: `python fastmcp_server.py DOCUMENT URL`, in an environment that has fastmcp."""

import json
import sys
from pathlib import Path

import httpx2
from fastmcp import FastMCP  # type: ignore[import-not-found]  # installed by peers.py, in an environment of its own

if __name__ == "__main__":
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx2.AsyncClient(base_url=sys.argv[2], timeout=None, limits=limits)
    FastMCP.from_openapi(document, client=client, name="fastmcp").run(show_banner=False)
