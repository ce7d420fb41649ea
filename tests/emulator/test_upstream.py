"""The emulator before an OpenAI-compatible server: what is forwarded over real connections, and what comes back."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import anyio.abc
import pytest

from blaxel_mcp.cli.settings import demo_overrides
from blaxel_mcp.emulator import Upstream, run_emulator
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.support.connecting import answer_of, connect, error_of, leading_to, text_of
from tests.support.processes import emulator_command

pytestmark = pytest.mark.anyio

EMBEDDING = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]}
COMPLETION = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Ahoy"}}]}

INPUT = {"input": ["Hello"], "encoding_format": "float"}
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


class OpenAICompatible(ThreadingHTTPServer):
    """A server on a free port of loopback that answers every post alike, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.status = 200
        self.answer: dict[str, Any] = EMBEDDING
        self.posts: list[tuple[str, dict[str, Any]]] = []


class _Post(BaseHTTPRequestHandler):
    server: OpenAICompatible

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posts.append((self.path, json.loads(body)))
        answer = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Leave stderr to the tests."""


@pytest.fixture
def server() -> Iterator[OpenAICompatible]:
    with OpenAICompatible() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join(30)


async def run_model(upstream: str, model: str, data: dict[str, Any]) -> Any:
    """Call a model of an emulator before this upstream server, through our own server."""
    with anyio.fail_after(20):
        async with run_emulator(upstream=Upstream(upstream)) as emulator, connect(leading_to(emulator)) as client:
            return await client.call_tool("run_model", {"model": model, "data": data})


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"], ids=["no path", "a slash", "v1", "v1 and a slash"])
async def test_an_embedding_is_the_upstream_servers_wherever_its_url_ends(server: OpenAICompatible, base: str) -> None:
    result = await run_model(server.url + base, "house-embed", INPUT)

    assert answer_of(result) == EMBEDDING
    assert server.posts == [("/v1/embeddings", {"model": "text-embedding-3-small", **INPUT})]


async def test_a_chat_completion_is_the_upstream_servers(server: OpenAICompatible) -> None:
    server.answer = COMPLETION

    result = await run_model(server.url, "house-chat", HELLO)

    assert answer_of(result) == COMPLETION
    assert server.posts == [("/v1/chat/completions", {"model": "gpt-4o-mini", **HELLO})]


async def test_what_the_upstream_server_refuses_is_told_in_its_words_as_the_providers(server: OpenAICompatible) -> None:
    server.status = 400
    server.answer = {"error": {"message": "this model embeds one text at a time", "type": "invalid_request_error"}}

    result = await run_model(server.url, "house-embed", INPUT)

    error = error_of(result)
    assert (error["origin"], error["status"], error["billed"]) == ("provider", 400, "no")
    assert "this model embeds one text at a time" in text_of(result)
    assert len(server.posts) == 1


async def test_an_upstream_server_that_is_down_is_a_providers_502() -> None:
    # Bound but not listening: nobody answers there, and nobody else can take the port.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = await run_model(f"http://127.0.0.1:{taken.getsockname()[1]}", "house-embed", INPUT)

    error = error_of(result)
    assert (error["code"], error["origin"], error["status"]) == ("provider_error", "provider", 502)
    assert "upstream server did not answer" in text_of(result)


async def test_no_proxy_stands_between_the_emulator_and_the_upstream_server(
    server: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert answer_of(await run_model(server.url, "house-embed", INPUT)) == EMBEDDING


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here")
async def test_the_emulator_command_says_where_it_is_and_forwards_until_it_is_stopped(server: OpenAICompatible) -> None:
    async with emulator_command(server.url) as exports:
        assert exports.keys() == {"BL_RUN_URL", "BL_API_URL", "BL_WORKSPACE", "BL_API_KEY"}
        where = demo_overrides(run_url=exports["BL_RUN_URL"], api_url=exports["BL_API_URL"])
        with anyio.fail_after(20):
            async with connect(Configuration(Settings(**where))) as client:
                result = await client.call_tool("run_model", {"model": "house-embed", "data": INPUT})

    assert answer_of(result) == EMBEDDING


async def test_an_upstream_that_is_no_http_url_is_refused_with_its_reason() -> None:
    command = [sys.executable, "-m", "blaxel_mcp", "emulator", "--upstream", "file:///etc/passwd"]
    with anyio.fail_after(20):
        finished = await anyio.run_process(command, check=False)

    assert (finished.returncode, finished.stdout) == (2, b"")
    assert b"'file:///etc/passwd' is not an HTTP URL" in finished.stderr
