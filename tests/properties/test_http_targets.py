"""Whatever a request without a token asks for, it is refused, and nothing of it reaches Blaxel."""

import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio.from_thread
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import MCPError
from pydantic import SecretStr

from blaxel_mcp.emulator import Emulator, run_emulator
from blaxel_mcp.server.callers import caller_of
from tests.properties.examples import tried
from tests.support.canaries import HTTP_TOKEN
from tests.support.connecting import leading_to
from tests.support.http_serving import HOUSE_CHAT, message, serving

REFUSALS = {400, 401, 403, 404, 405, 421}

OPEN = (b"/healthz", b"/readyz", b"/.well-known/oauth-protected-resource", b"/.well-known/oauth-protected-resource/mcp")

AUTH: dict[str, dict[str, Any]] = {
    "token": {"auth": "token", "bearer_tokens": [SecretStr(HTTP_TOKEN)]},
    "oauth": {"auth": "oauth", "issuer": "http://127.0.0.1:1", "audience": "https://models.example.com/mcp"},
    "caller": {"auth": "caller"},
}

KNOWN = (
    *("/mcp%0A", "/mcp%0D", "/mcp%0D%0A", "/mcp%00", "/mcp%20", "/mcp%09", "/mcp/%0A", "/mcp%0A%0A", "/mcp%C2%85"),
    *(
        "//mcp",
        "/./mcp",
        "/x/../mcp",
        "/mcp/..;/",
        "/mcp;x=1",
        "/mcp/.",
        "/mcp.",
        "/MCP",
        "/Mcp",
        "/%6Dcp",
        "/%6D%63%70",
    ),
    *("/%2e/mcp", "/%2Fmcp", "/mcp%2F", "/mcp%252F", "/mcp?x", "/mcp#x", "/mcp%3F", "/mcp\\", "/%ff%fe", "/mcp%ff"),
    *("http://127.0.0.1/mcp", "http://evil.example/mcp", "https://127.0.0.1/mcp%0A", "//evil.example/mcp", "mcp", "*"),
    *("/healthz%0A", "/healthz/", "/healthz/../mcp", "/healthz%2F..%2Fmcp", "/readyz%0a", "/%68ealthz", "/readyz/mcp"),
    *("/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resource%0A", "/.well-known/mcp", "/"),
)

METHODS = (
    "POST",
    "GET",
    "HEAD",
    "OPTIONS",
    "PUT",
    "DELETE",
    "PATCH",
    "TRACE",
    "CONNECT",
    "post",
    "PoSt",
    "MCP",
    "QUERY",
)

EXTRAS = (
    (),
    (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ),
    ("X-HTTP-Method-Override: POST", "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz"),
    ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-Prefix: /mcp", "X-Forwarded-Host: localhost"),
    ("Authorization: Bearer", "Authorization: Basic eDp5"),
    ("X-Blaxel-Workspace: demo",),
    ("Origin: null",),
)

pieces = st.lists(
    st.sampled_from(["/", "mcp", "healthz", "readyz", "..", ".", ";", "%0A", "%2F", "%00", "%ff", "\\", "%2e"])
)
targets = (
    st.sampled_from(KNOWN)
    | pieces.map("".join)
    | pieces.map(lambda words: "/" + "".join(words))
    | st.from_regex(r"/[!-~]{0,30}", fullmatch=True)
    | st.sampled_from(KNOWN).flatmap(lambda target: st.from_regex(re.escape(target) + "[!-~]{0,3}", fullmatch=True))
)


class Server:
    """A server and its emulator in a thread of their own, for the examples of one property."""

    def __init__(self, port: int, emulator: Emulator) -> None:
        self.port = port
        self.emulator = emulator

    def status(self, request: bytes) -> int:
        """The status of the answer to some bytes; 400 if the connection is closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            answer = connection.recv(64)
        return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 400


@asynccontextmanager
async def both(http: dict[str, Any]) -> AsyncIterator[Server]:
    async with run_emulator() as emulator, serving(leading_to(emulator, http=http)) as served:
        yield Server(int(served.url.rpartition(":")[2]), emulator)


@pytest.fixture(scope="module", params=AUTH)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(both(AUTH[request.param])) as running,
    ):
        yield running


def written(method: str, target: bytes, era: str, *extra: str) -> bytes:
    body, headers = message("tools/call", "legacy" if era == "legacy" else "2026-07-28", **HOUSE_CHAT)
    lines = [*(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}", *extra]
    head = b" ".join((method.encode(), target, b"HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"))
    return head + "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else body)


@tried(150)
@given(targets, st.sampled_from(METHODS), st.sampled_from(["legacy", "2026-07-28"]), st.sampled_from(EXTRAS))
@example("/mcp%0A", "POST", "legacy", ())
@example("/mcp%0A", "POST", "2026-07-28", ())
def test_without_a_token_no_target_leads_anywhere(
    server: Server, target: str, method: str, era: str, extra: tuple[str, ...]
) -> None:
    path = target.partition("?")[0].encode()
    status = server.status(written(method, target.encode(), era, *extra))

    assert status in REFUSALS or (path in OPEN and status == 200), (method, target, status)
    assert server.emulator.requests == []


@pytest.mark.parametrize("target", KNOWN)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
def test_no_spelling_that_is_known_to_fool_a_reader_of_paths_gets_past(
    server: Server, method: str, target: str
) -> None:
    assert server.status(written(method, target.encode(), "legacy")) in REFUSALS
    assert server.emulator.requests == []


@pytest.mark.parametrize("target", [b"/mcp\xff", b"/\xc3\xa9", b"/mcp\x85", b"/mcp\x0b", b"/mcp\x00", b""])
def test_no_bytes_that_a_target_cannot_have_get_past(server: Server, target: bytes) -> None:
    assert server.status(written("POST", target, "legacy")) in REFUSALS
    assert server.emulator.requests == []


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz"])
def test_the_probes_are_open(server: Server, path: bytes) -> None:
    assert server.status(written("GET", path, "legacy")) == 200
    assert server.status(written("POST", path, "legacy")) == 405


@pytest.mark.parametrize("state", [None, object(), {"caller": "owner"}], ids=["none", "no caller", "a mapping"])
def test_a_request_over_http_without_a_caller_is_never_the_owners(state: Any) -> None:
    context: Any = SimpleNamespace(request=SimpleNamespace(state=state))
    with pytest.raises(MCPError, match="not authenticated"):
        caller_of(context)
    nobody: Any = SimpleNamespace(request=None)
    with pytest.raises(MCPError, match="not authenticated"):
        caller_of(nobody, over_http=True)
    assert caller_of(nobody).is_owner
