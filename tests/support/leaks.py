"""A pytest plugin that checks after every test that no credential of the tests has leaked.

It looks for the marker of `canaries`, plain, percent-encoded and in base64, in

- log records of every level, formatted as the server writes them;
- stdout and stderr, including what a test reads with `capsys` and `capfd`;
- the files below the test's folder, which contains its home, except those that the test itself has written;
- every message that an MCP client receives (`connecting.connect`, `Client`);
- the output of server processes (`processes.started`);
- what a test passes to `look_at`, such as the output of a command or an HTTP response.

A test that shows a secret on purpose says so: `@pytest.mark.shows_secrets("why")`.
"""

import base64
import inspect
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import anyio
import mcp
import pytest
from anyio.abc import ByteReceiveStream
from mcp import StdioServerParameters
from mcp.client import Transport
from mcp.client.stdio import stdio_client
from mcp.server import MCPServer, Server
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage

import blaxel_mcp
from blaxel_mcp.core.logs import QUIET_BELOW_WARNING, line_formatter
from tests.support.canaries import MARKER

_PACKAGE = str(Path(blaxel_mcp.__file__).parent) + os.sep
_AROUND = 60
"""Bytes around a secret that a failure shows."""


def _forms() -> tuple[bytes, ...]:
    """Return the marker as it may appear: plain (also in JSON), percent-encoded, in base64.

    There are three forms in base64, one for each place in a group of three bytes where the marker can begin. The
    characters at both ends also depend on the neighbors, so the forms are without them.
    """
    plain = MARKER.encode()
    encoded = [base64.b64encode(bytes(before) + plain) for before in range(3)]
    sure = [text[-(-8 * before // 6) : 8 * (before + len(plain)) // 6] for before, text in enumerate(encoded)]
    return (plain, plain.replace(b"-", b"%2D"), plain.replace(b"-", b"%2d"), *sure)


FORMS = _forms()
_LONGEST = max(map(len, FORMS))


class Watch:
    """The leaks found while one test runs.

    Attributes:
        found: The text around a secret, by the place where it was found.
        written: The files that the test itself has written; they may contain anything.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.written: set[str] = set()

    def look_at(self, where: str, data: bytes) -> None:
        """Search data for a secret."""
        for form in FORMS:
            place = data.find(form)
            if place >= 0:
                around = data[max(0, place - _AROUND) : place + len(form) + _AROUND]
                self.found.setdefault(where, around.decode(errors="replace"))

    def look_below(self, folder: Path) -> None:
        """Search the files below a folder, and their names, for a secret."""
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                self.look_at("the name of a file", os.fsencode(name))
                # A pipe would block, and a link may lead out of the folder.
                if str(path) not in self.written and path.is_file() and not path.is_symlink():
                    with suppress(OSError):
                        self.look_at(f"the file {path.relative_to(folder)}", path.read_bytes())

    def note_opening(self, path: str, *, by_test: bool) -> None:
        """Remember whether the test or the code was the last to write a file."""
        (self.written.add if by_test else self.written.discard)(os.path.abspath(path))  # noqa: PTH100 - links stay


class _NoTest(Watch):
    """The watch between two tests, which finds nothing."""

    def look_at(self, where: str, data: bytes) -> None:
        """Do nothing."""

    def note_opening(self, path: str, *, by_test: bool) -> None:
        """Do nothing."""


_NO_TEST = _NoTest()
_watches: list[Watch] = [_NO_TEST]
"""The last one belongs to the running test."""


def look_at(where: str, data: bytes | str) -> None:
    """Fail the running test if data that came out of the code contains a secret.

    Args:
        where: The place for the failure's text, such as "stdout of `models`".
        data: The whole data.
    """
    _watches[-1].look_at(where, data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)


def look_below(folder: Path) -> None:
    """Do the same with the files below a folder, before the code removes them."""
    _watches[-1].look_below(folder)


def now_ours(path: Path) -> None:
    """Search a file that the test has created and the code writes to, such as a log."""
    _watches[-1].note_opening(str(path), by_test=False)


# The plugin


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shows_secrets(why): the test shows a secret of the suite on purpose")
    sys.addaudithook(_note_opening)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    watch = Watch()
    _watches.append(watch)
    try:
        return (yield)
    finally:
        _watches.remove(watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search what a finished test leaves, and fail it if its watch has found anything."""
    report = yield
    if call.when == "teardown" and not item.get_closest_marker("shows_secrets"):
        watch = _watches[-1]
        for title, text in report.sections:
            if title.startswith("Captured std"):
                watch.look_at(title.lower(), text.encode(errors="replace"))
        if watch.found:
            report.outcome = "failed"
            report.longrepr = "\n".join(
                ("A secret has leaked.", *(f"{where}: ...{around}..." for where, around in watch.found.items()))
            )
    return report


def _note_opening(event: str, arguments: tuple[Any, ...]) -> None:
    """Note from Python's audit events which files are opened for writing, by the code or by the test itself."""
    if event != "open" or isinstance(arguments[0], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    frame = inspect.currentframe()
    while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    _watches[-1].note_opening(os.fsdecode(arguments[0]), by_test=frame is None)


class _Lines(logging.Handler):
    """A handler that searches each record, formatted as the server writes it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(line_formatter("text"))

    def emit(self, record: logging.LogRecord) -> None:
        """Search a record."""
        look_at(f"the log of {record.name}", self.format(record))


@pytest.fixture
def searched_folder(tmp_path: Path) -> Generator[Path]:
    """The test's folder, searched after every other fixture has ended, before pytest removes it."""
    yield tmp_path
    _watches[-1].look_below(tmp_path)


@pytest.fixture(autouse=True)
def _watched_log() -> Generator[None]:
    """Log everything that the server may log, and search it."""
    root, lines = logging.getLogger(), _Lines()
    before, level = set(root.handlers), root.level
    for name in QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)
    # A command that ran in this process leaves a handler that writes to a stderr which no longer exists.
    for handler in set(root.handlers) - before:
        root.removeHandler(handler)


def _searched(captured: pytest.CaptureFixture[Any]) -> pytest.CaptureFixture[Any]:
    read = captured.readouterr

    def readouterr() -> Any:
        result = read()
        look_at("stdout", result.out)
        look_at("stderr", result.err)
        return result

    captured.readouterr = readouterr  # type: ignore[method-assign]
    return captured


# What a test reads of its output is in no section of its report.
@pytest.fixture
def capsys(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return _searched(capsys)


@pytest.fixture
def capfd(capfd: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return _searched(capfd)


@pytest.fixture
def capsysbinary(capsysbinary: pytest.CaptureFixture[bytes]) -> pytest.CaptureFixture[bytes]:
    return _searched(capsysbinary)


@pytest.fixture
def capfdbinary(capfdbinary: pytest.CaptureFixture[bytes]) -> pytest.CaptureFixture[bytes]:
    return _searched(capfdbinary)


# What an MCP client receives


@dataclass
class Client(mcp.Client):
    """The SDK's client over any transport, with every message that it receives searched for secrets.

    It needs public parts of the SDK only. A server in this process is served over the SDK's memory streams, like a
    server process over stdio, and the stream that the client reads is wrapped.
    """

    def __post_init__(self) -> None:
        if isinstance(self.server, Server):
            transport: Transport = _in_memory(self.server)
        elif isinstance(self.server, StdioServerParameters):
            transport = stdio_client(self.server)
        else:
            assert not isinstance(self.server, str | MCPServer)
            transport = self.server
        self.server = _watched(transport)
        super().__post_init__()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self


@asynccontextmanager
async def _in_memory(server: Server[Any]) -> AsyncIterator[tuple[Any, Any]]:
    """Serve in this process until the client closes its stream."""
    async with (
        create_client_server_memory_streams() as (client_streams, server_streams),
        anyio.create_task_group() as group,
    ):
        group.start_soon(server.run, *server_streams, server.create_initialization_options())
        yield client_streams
        await client_streams[1].aclose()


@asynccontextmanager
async def _watched(transport: Transport) -> AsyncIterator[tuple[Any, Any]]:
    async with transport as (receiving, sending):
        yield _WatchedMessages(receiving), sending


class _WatchedMessages:
    """A stream of messages that are searched as they are read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def last_context(self) -> Context | None:
        """The context variables of the sender, which memory streams transport."""
        context: Context | None = getattr(self._stream, "last_context", None)
        return context

    async def receive(self) -> SessionMessage | Exception:
        item: SessionMessage | Exception = await self._stream.receive()
        if isinstance(item, SessionMessage):
            message = item.message
            method = getattr(message, "method", "")
            look_at(
                f"the MCP message {method}" if method else "an MCP response",
                json.dumps(message.model_dump(mode="json"), ensure_ascii=False),
            )
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SearchedBytes(ByteReceiveStream):
    """A stream of bytes that are searched as they are read, also for a secret that arrives in two pieces."""

    def __init__(self, where: str, stream: ByteReceiveStream) -> None:
        self._where = where
        self._stream = stream
        self._tail = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return the bytes that have arrived, at least one."""
        chunk = await self._stream.receive(max_bytes)
        look_at(self._where, self._tail + chunk)
        self._tail = (self._tail + chunk)[-_LONGEST - _AROUND :]
        return chunk

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
