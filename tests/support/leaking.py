"""Tests that leak a secret, each in its own way, and some that may show one; `e2e/test_leaks_check` runs them.

The docstring of a test is what its failure has to name; a test without one has to pass.
"""

import base64
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from blaxel_mcp.core.private_files import write_private
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import (
    CALLER_KEY,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    HTTP_TOKEN,
    KEY,
    REFRESH_TOKEN,
    WRONG_KEY,
)
from tests.support.connecting import ERAS, Era, connect, leading_to
from tests.support.leaks import Client, look_at
from tests.support.processes import started

Context = ServerRequestContext[Any, Any]
logger = logging.getLogger("some.library")


def test_a_log_line_with_arguments() -> None:
    """the log of some.library"""
    logger.debug("the key is %s", KEY)


def raise_it() -> None:
    raise RuntimeError(KEY)


def test_a_traceback_in_the_log() -> None:
    """the log of some.library"""
    try:
        raise_it()
    except RuntimeError:
        logger.exception("it failed")


def test_a_log_line_of_another_thread() -> None:
    """the log of some.library"""
    thread = threading.Thread(target=logger.info, args=(KEY,))
    thread.start()
    thread.join()


def test_a_log_line_where_only_warnings_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """the log of some.library"""
    caplog.set_level(logging.WARNING, "some")
    logger.warning(KEY)


def test_printed() -> None:
    """captured stdout call"""
    print(KEY)  # noqa: T201 - it is what this is about, here and below


def test_written_straight_to_a_descriptor() -> None:
    """captured stderr call"""
    os.write(2, KEY.encode())


def test_printed_by_a_process_that_inherits_our_output() -> None:
    """captured stdout call"""
    subprocess.run([sys.executable, "-c", f"print({KEY!r})"], check=True)


def test_printed_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    """stdout"""
    print(KEY)  # noqa: T201
    assert capsys.readouterr().out


def test_printed_and_read_by_descriptor(capfd: pytest.CaptureFixture[str]) -> None:
    """stderr"""
    os.write(2, KEY.encode())
    assert capfd.readouterr().err


def test_printed_and_read_as_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """stdout"""
    os.write(1, KEY.encode())
    assert capfdbinary.readouterr().out


@pytest.mark.usefixtures("capsysbinary")
def test_printed_and_not_read() -> None:
    """captured stdout call"""
    print(KEY)  # noqa: T201


def test_a_file_that_the_code_writes(tmp_path: Path) -> None:
    """the file answer"""
    write_private(tmp_path / "answer", KEY.encode())


def test_a_file_that_the_code_writes_over_one_of_the_test(tmp_path: Path) -> None:
    """the file answer"""
    path = tmp_path / "answer"
    path.write_text(KEY)
    path.unlink()
    write_private(path, KEY.encode())


def test_a_file_that_a_process_writes(home: Path) -> None:
    """the file home/answer"""
    subprocess.run([sys.executable, "-c", f"open('answer', 'w').write({KEY!r})"], cwd=home, check=True)


def test_the_name_of_a_file(tmp_path: Path) -> None:
    """the name of a file"""
    write_private(tmp_path / quote(KEY, safe=""), b"")


@pytest.mark.anyio
async def test_a_file_that_is_gone_when_the_server_is(emulator: Emulator, home: Path) -> None:
    """the file spooled"""
    async with connect(leading_to(emulator)):
        write_private(home / "spooled", KEY.encode())
    (home / "spooled").unlink()


Handler = Callable[[Context, types.CallToolRequestParams], Awaitable[types.CallToolResult]]


async def in_a_result(_: Context, __: types.CallToolRequestParams) -> types.CallToolResult:
    return types.CallToolResult(content=[], _meta={"far": [{"down": KEY}]})


async def in_an_error(_: Context, __: types.CallToolRequestParams) -> types.CallToolResult:
    raise MCPError(code=types.INVALID_PARAMS, message="No.", data={"given": KEY})


async def in_progress(context: Context, _: types.CallToolRequestParams) -> types.CallToolResult:
    await context.session.report_progress(1, message=KEY)
    return types.CallToolResult(content=[])


async def ignore(progress: float, total: float | None, message: str | None) -> None:
    """Ignore a progress notification."""


async def called(handler: Handler, era: Era) -> None:
    server: Server[Any] = Server("leaky", on_call_tool=handler)
    async with Client(server, mode=era) as client:
        try:
            await client.call_tool("any", {}, progress_callback=ignore)
        except MCPError:
            return


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_the_result_of_a_tool(era: Era) -> None:
    """an MCP response"""
    await called(in_a_result, era)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_the_error_of_a_tool(era: Era) -> None:
    """an MCP response"""
    await called(in_an_error, era)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_the_progress_of_a_tool(era: Era) -> None:
    """the MCP message notifications/progress"""
    await called(in_progress, era)


@pytest.mark.anyio
async def test_a_notification() -> None:
    """the MCP message notifications/message"""

    async def handler(context: Context, _: types.CallToolRequestParams) -> types.CallToolResult:
        message = types.LoggingMessageNotification(
            params=types.LoggingMessageNotificationParams(level="error", data=KEY)
        )
        await context.session.send_notification(message)
        return types.CallToolResult(content=[])

    await called(handler, "legacy")


@pytest.mark.anyio
@pytest.mark.parametrize("descriptor", [1, 2])
async def test_what_a_process_writes_and_nobody_reads(descriptor: int) -> None:
    """process"""
    code = f"import os; os.write({descriptor}, {KEY.encode()!r})"
    async with started([sys.executable, "-c", code], {}) as process:
        with anyio.fail_after(30):
            await process.wait()


@pytest.mark.anyio
async def test_what_a_process_writes_in_two_pieces() -> None:
    """the stdout of a process"""
    code = f"import os, sys\nfor half in ({KEY[:5]!r}, {KEY[5:]!r}):\n os.write(1, half.encode()); sys.stdin.read(1)"
    async with started([sys.executable, "-c", code], {}) as process:
        assert process.stdin
        assert process.stdout
        with anyio.fail_after(30):
            assert await process.stdout.receive() == KEY[:5].encode()
            await process.stdin.send(b"\n")
            assert await process.stdout.receive() == KEY[5:].encode()
            await process.stdin.send(b"\n")
            await process.wait()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(json.dumps({"key": KEY}).replace("/", r"\/"), id="in JSON"),
        pytest.param(quote(KEY, safe=""), id="in a URL"),
        *(
            pytest.param(base64.b64encode(b"x" * n + KEY.encode() + b"xy").decode(), id=f"in base64, {n}")
            for n in range(4)
        ),
        pytest.param(base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(), id="in base64 for URLs"),
        *(
            pytest.param(secret, id=name)
            for name, secret in (
                ("the caller's key", CALLER_KEY),
                ("the service account", CLIENT_CREDENTIALS),
                ("the device code", DEVICE_CODE),
                ("the token over HTTP", HTTP_TOKEN),
                ("the refresh token", REFRESH_TOKEN),
                ("the wrong key", WRONG_KEY),
            )
        ),
    ],
)
def test_a_secret_in_any_form(written: str) -> None:
    """an answer"""
    look_at("an answer", f"before {written} after")


@pytest.mark.anyio
async def test_a_minted_token(emulator: Emulator) -> None:
    """an answer"""
    look_at("an answer", emulator.mint_token())


def test_a_secret_in_a_file_of_the_tests_own(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'api_key = "{KEY}"')
    with (tmp_path / "data").open("ab") as file:
        file.write(KEY.encode())


@pytest.mark.shows_secrets("it is what this is about")
def test_a_secret_that_is_shown_on_purpose() -> None:
    print(KEY)  # noqa: T201


@pytest.mark.anyio
async def test_a_secret_that_goes_where_it_belongs(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        assert not (await client.call_tool("house-chat", {"prompt": "Hi"})).is_error


def test_a_test_after_another_that_leaked() -> None:
    assert KEY
