"""A check after every test: no secret of the suite has come out anywhere.

It is a plugin of pytest's. It looks for the marker of `canaries`, as it is, percent-encoded or in base64, in

- what the code logs, at every level, as the server writes it;
- what goes to stdout and stderr, what a test reads with `capsys` and `capfd` included;
- the files below the test's folder, which holds its home too, save those that the test itself has written;
- what an MCP client receives: results, errors, progress and other notifications (`support.connect`, `leaks.Client`);
- what a server process writes (`processes.start`);
- whatever a test hands to `look_at`, such as the output of a command, or an answer over HTTP.

A test that shows a secret on purpose says so: `@pytest.mark.shows_secrets("why")`.
"""

import base64
import inspect
import json
import logging
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mcp
import pytest
from anyio.abc import ByteReceiveStream
from mcp import MCPError
from mcp.shared.dispatcher import CallOptions, Dispatcher, OnNotify, OnNotifyIntercept, OnRequest, ProgressFnT

import blaxel_mcp
from blaxel_mcp.core.logs import QUIET_BELOW_WARNING, line_formatter
from tests.support.canaries import MARKER

_PACKAGE = str(Path(blaxel_mcp.__file__).parent) + os.sep
_AROUND = 60
"""Bytes before and after a secret that are shown of the place where it was found."""


def _forms() -> tuple[bytes, ...]:
    """How the marker may come out: plain, which is how JSON writes it too, percent-encoded, in base64.

    Of base64 there are three forms, by where in a group of three bytes the marker begins; its neighbours have a part
    in the characters at the ends, so these are left off.
    """
    plain = MARKER.encode()
    encoded = [base64.b64encode(bytes(before) + plain) for before in range(3)]
    sure = [text[-(-8 * before // 6) : 8 * (before + len(plain)) // 6] for before, text in enumerate(encoded)]
    return (plain, plain.replace(b"-", b"%2D"), plain.replace(b"-", b"%2d"), *sure)


FORMS = _forms()
_LONGEST = max(map(len, FORMS))


class Watch:
    """What has come out while one test ran.

    Attributes:
        found: Where a secret was found, and the text around it.
        written: The files that the test itself has written, which may hold what it likes.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.written: set[str] = set()

    def look_at(self, where: str, data: bytes) -> None:
        """Look for a secret in what has come out."""
        for form in FORMS:
            place = data.find(form)
            if place >= 0:
                around = data[max(0, place - _AROUND) : place + len(form) + _AROUND]
                self.found.setdefault(where, around.decode(errors="replace"))

    def look_below(self, folder: Path) -> None:
        """Look for a secret in every file below a folder, and in the names of files."""
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                self.look_at("the name of a file", os.fsencode(name))
                # Not to be kept waiting by a pipe, nor to leave the folder.
                if str(path) not in self.written and path.is_file() and not path.is_symlink():
                    with suppress(OSError):
                        self.look_at(f"the file {path.relative_to(folder)}", path.read_bytes())

    def note_opening(self, path: str, *, by_test: bool) -> None:
        """Remember who was the last to write a file."""
        (self.written.add if by_test else self.written.discard)(os.path.abspath(path))  # noqa: PTH100 - links stay


class _NoTest(Watch):
    """What comes out between two tests is nobody's."""

    def look_at(self, where: str, data: bytes) -> None:
        """Do nothing."""

    def note_opening(self, path: str, *, by_test: bool) -> None:
        """Do nothing."""


_NO_TEST = _NoTest()
_watches: list[Watch] = [_NO_TEST]
"""The last one is that of the test which runs."""


def look_at(where: str, data: bytes | str) -> None:
    """Have the test that runs fail if a secret is in what has come out of the code.

    Args:
        where: What it is, for the one who reads of the failure, such as "stdout of `models`".
        data: All of it.
    """
    _watches[-1].look_at(where, data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)


def look_below(folder: Path) -> None:
    """Do the same with the files below a folder, before the code takes them away again."""
    _watches[-1].look_below(folder)


def now_ours(path: Path) -> None:
    """Have a file looked into that the test has made and that the code writes to, such as a log."""
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
    """Look at what is left of a test that is over, and have it fail for what was found in all."""
    report = yield
    if call.when == "teardown" and not item.get_closest_marker("shows_secrets"):
        watch = _watches[-1]
        for title, text in report.sections:
            if title.startswith("Captured std"):
                watch.look_at(title.lower(), text.encode(errors="replace"))
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        if folder:
            watch.look_below(folder)
        if watch.found:
            report.outcome = "failed"
            report.longrepr = "\n".join(("A secret has come out.", *map(_told, watch.found.items())))
    return report


def _told(found: tuple[str, str]) -> str:
    where, around = found
    return f"{where}: ...{around}..."


def _note_opening(event: str, arguments: tuple[Any, ...]) -> None:
    """Learn from Python's audit events which files are opened to be written, by the code or by the test itself."""
    if event != "open" or isinstance(arguments[0], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    frame = inspect.currentframe()
    while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    _watches[-1].note_opening(os.fsdecode(arguments[0]), by_test=frame is None)


class _Lines(logging.Handler):
    """Looks at each record as the server would write it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(line_formatter("text"))

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one."""
        look_at(f"the log of {record.name}", self.format(record))


@pytest.fixture(autouse=True)
def _watched_log() -> Generator[None]:
    """Log everything that the server may log, and look at it."""
    root, lines = logging.getLogger(), _Lines()
    before, level = set(root.handlers), root.level
    for name in QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)
    # Those of a command that ran in this process write to a stderr that is no more.
    for handler in set(root.handlers) - before:
        root.removeHandler(handler)


def _overheard(captured: pytest.CaptureFixture[Any]) -> pytest.CaptureFixture[Any]:
    read = captured.readouterr

    def readouterr() -> Any:
        result = read()
        look_at("stdout", result.out)
        look_at("stderr", result.err)
        return result

    captured.readouterr = readouterr  # type: ignore[method-assign]
    return captured


# What a test reads of its output is in none of its sections.
@pytest.fixture
def capsys(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return _overheard(capsys)


@pytest.fixture
def capfd(capfd: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return _overheard(capfd)


@pytest.fixture
def capsysbinary(capsysbinary: pytest.CaptureFixture[bytes]) -> pytest.CaptureFixture[bytes]:
    return _overheard(capsysbinary)


@pytest.fixture
def capfdbinary(capfdbinary: pytest.CaptureFixture[bytes]) -> pytest.CaptureFixture[bytes]:
    return _overheard(capfdbinary)


# Ears


@dataclass
class Client(mcp.Client):
    """The SDK's client, over any transport; what it receives is looked at."""

    def __post_init__(self) -> None:
        super().__post_init__()
        connect = self._connect

        async def connect_overheard(*arguments: Any) -> Dispatcher[Any]:
            dispatcher = await connect(*arguments)
            _listen_in(dispatcher)
            return dispatcher

        self._connect = connect_overheard

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self


def _listen_in(dispatcher: Dispatcher[Any]) -> None:
    """Look at what a client's end of a connection receives; an in-memory one has no stream to look at."""
    send, run = dispatcher.send_raw_request, dispatcher.run

    async def send_raw_request(
        method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if opts and "on_progress" in opts:
            opts = {**opts, "on_progress": _progress_overheard(opts["on_progress"])}
        try:
            result = await send(method, params, opts)
        except MCPError as error:
            look_at(f"the error of {method}", _json([error.message, error.data]))
            raise
        look_at(f"the result of {method}", _json(result))
        return result

    async def run_overheard(
        on_request: OnRequest, on_notify: OnNotify, on_notify_intercept: OnNotifyIntercept | None = None, **more: Any
    ) -> None:
        def intercept(method: str, params: Mapping[str, Any] | None) -> bool:
            look_at(f"the notification {method}", _json(params))
            return on_notify_intercept(method, params) if on_notify_intercept else False

        await run(on_request, on_notify, intercept, **more)

    vars(dispatcher).update(send_raw_request=send_raw_request, run=run_overheard)


def _progress_overheard(on_progress: ProgressFnT) -> ProgressFnT:
    async def report(progress: float, total: float | None, message: str | None) -> None:
        look_at("progress", message or "")
        await on_progress(progress, total, message)

    return report


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


class Overheard(ByteReceiveStream):
    """A stream of bytes, looked at as it is read, even where a secret comes in two pieces."""

    def __init__(self, where: str, stream: ByteReceiveStream) -> None:
        self._where = where
        self._stream = stream
        self._tail = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what has come, at least one byte."""
        chunk = await self._stream.receive(max_bytes)
        look_at(self._where, self._tail + chunk)
        self._tail = (self._tail + chunk)[-_LONGEST - _AROUND :]
        return chunk

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()
