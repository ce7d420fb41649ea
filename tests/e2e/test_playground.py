"""`blaxel-mcp playground` as a process: its link, the models of the demo, a new link at Enter, and its end."""

import os
import signal
import sys

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.support.http_serving import message
from tests.support.processes import ENDING_SECONDS, running, started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here"),
]

COMMAND = [sys.executable, "-m", "blaxel_mcp", "playground", "--demo", "--no-open"]


async def link_in(lines: BufferedByteReceiveStream) -> str:
    """Return the next link that the command prints."""
    with anyio.fail_after(60):
        while True:
            line = (await lines.receive_until(b"\n", 1000)).decode()
            if line.startswith("Playground: "):
                return line.removeprefix("Playground: ").strip()


async def test_the_link_of_the_command_opens_the_page_and_a_signal_ends_it() -> None:
    async with running(COMMAND) as process:
        assert process.stdout
        link = await link_in(BufferedByteReceiveStream(process.stdout))
        url, token = link.split("/#token=")
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            page = await http.get("/")
            session = (await http.post("/session", json={"token": token})).json()
            body, headers = message("tools/list", "2026-07-28")
            headers |= {"Authorization": f"Bearer {session['secret']}"}
            tools = (await http.post("/mcp", content=body, headers=headers)).json()["result"]["tools"]
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == 0

    assert url.startswith("http://127.0.0.1:")
    assert page.status_code == 200
    assert session["about"]["demo"] is True
    assert session["about"]["client_entry"]["mcpServers"]["blaxel-models"]["args"] == ["serve", "--demo"]
    assert {"house-chat", "house-claude", "house-painter", "house-voice", "run_model"} <= {
        tool["name"] for tool in tools
    }


async def test_enter_in_the_terminal_gives_a_new_link_and_ctrl_c_ends_the_server() -> None:
    import pty  # noqa: PLC0415 - there is none on Windows

    controlling, terminal = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    try:
        async with started(COMMAND, environment, stdin=terminal) as process:
            assert process.stdout
            lines = BufferedByteReceiveStream(process.stdout)
            first = await link_in(lines)
            os.write(controlling, b"\n")
            second = await link_in(lines)
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(ENDING_SECONDS):
                assert await process.wait() == 130
    finally:
        os.close(controlling)
        os.close(terminal)

    assert first.partition("#")[0] == second.partition("#")[0]
    assert first != second
