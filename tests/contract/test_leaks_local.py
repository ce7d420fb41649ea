"""Our secrets at home: in the log, in crash reports, in what the code says of itself, in messages about settings.

That none comes out is checked after every test (`leaks`); what is stated here is that there was occasion to.
"""

import ast
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any, get_args

import anyio
import httpx
import pytest
from pydantic import BaseModel, ValidationError

import blaxel_mcp
from blaxel_mcp.cli.main import main
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.logs import LogFormat, configure_logging, line_formatter
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import Configuration, configuration, load_settings
from blaxel_mcp.settings.login_file import read_login_file
from blaxel_mcp.settings.schema import HttpSettings, ModelSettings, Settings
from tests.support.canaries import (
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    HTTP_TOKEN,
    KEY,
    REFRESH_TOKEN,
    WRONG_KEY,
)
from tests.support.connecting import connect, error_of, leading_to, receipt_of
from tests.support.leaks import look_at
from tests.support.processes import SERVE, frame, hello, started, variables

FORMATS = get_args(LogFormat)
REDACTED = "[redacted]"


def call(number: int, model: str, **more: Any) -> bytes:
    return frame("tools/call", number, name="run_model", arguments={"model": model, "data": {"inputs": "x"}, **more})


async def answers(process: anyio.abc.Process, count: int) -> bytes:
    """What a server writes until it has answered so many requests."""
    assert process.stdout
    written = b""
    with anyio.fail_after(30):
        while written.count(b"\n") < count:
            written += await process.stdout.receive()
    return written


# The log


@pytest.mark.anyio
@pytest.mark.parametrize("log_format", FORMATS)
async def test_a_server_that_logs_everything_logs_no_secret(
    emulator: Emulator, log_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [*SERVE, "--log-level", "debug", "--log-format", log_format]
    environment = variables(emulator) | {"PYTHONASYNCIODEBUG": "1"}
    models = ("house-chat", "fault-echo-headers", "fault-401", "fault-500", "fault-drop", "fault-redirect")
    async with started(command, environment, stderr=2) as process:
        assert process.stdin
        await process.stdin.send(hello() + b"".join(call(number, model) for number, model in enumerate(models, 2)))
        written = await answers(process, len(models) + 1)
        await process.stdin.aclose()
        with anyio.fail_after(5):
            await process.wait()

    assert REDACTED.encode() in written
    log = capfd.readouterr().err.splitlines()
    assert any("serving workspace demo with credentials from BL_API_KEY" in line for line in log)
    if log_format == "json":
        assert all(json.loads(line)["level"] for line in log if line.startswith("{"))


@pytest.mark.anyio
@pytest.mark.parametrize("log_format", FORMATS)
async def test_a_server_without_a_good_key_logs_no_secret_either(emulator: Emulator, log_format: str) -> None:
    command = [*SERVE, "--log-level", "debug", "--log-format", log_format]
    environment = variables(emulator) | {"BL_API_KEY": WRONG_KEY, "BLAXEL_MCP_DISCOVERY__ENABLED": "true"}
    async with started(command, environment) as process:
        assert process.stdin
        await process.stdin.send(hello() + call(2, "house-chat") + frame("tools/list", 3))
        assert b"authentication_failed" in await answers(process, 3)


class Bug(httpx.AsyncBaseTransport):
    """A transport that fails in a way that nobody expects, and says all that it knows."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"{request.headers.raw}") from ValueError(request.headers.raw[-1])


@contextmanager
def logged(log_format: LogFormat) -> Iterator[io.StringIO]:
    """What the server would write to stderr meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(line_formatter(log_format))
    logging.getLogger().addHandler(handler)
    try:
        yield stream
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.mark.anyio
@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param({"api_key": KEY}, id="a key"),
        pytest.param({"api_key": None, "client_credentials": CLIENT_CREDENTIALS}, id="in the exchange of a token"),
    ],
)
async def test_an_exception_that_holds_a_secret_is_logged_without_it(
    emulator: Emulator, log_format: LogFormat, credentials: dict[str, Any]
) -> None:
    config = leading_to(emulator, discovery={"enabled": False}, **credentials)
    with logged(log_format) as log:
        async with connect(config, transport=Bug()) as client:
            result = await client.call_tool("run_model", {"model": "house-chat", "data": {}})

    assert receipt_of(result)["call_id"] in log.getvalue()
    assert "RuntimeError" in log.getvalue()
    assert "handle_async_request" in log.getvalue()
    assert REDACTED in log.getvalue()


@pytest.mark.parametrize("log_format", FORMATS)
def test_what_looks_like_a_credential_is_not_logged_whosever_it_is(log_format: LogFormat) -> None:
    with logged(log_format) as log:
        logging.getLogger("some.library").warning("sent %s", {"Authorization": "Bearer abcdef0123456789"})

    assert "abcdef" not in log.getvalue()
    assert REDACTED in log.getvalue()


@pytest.mark.parametrize("log_format", FORMATS)
def test_what_libraries_log_of_their_requests_stays_unwritten(
    log_format: LogFormat, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging("debug", log_format)
    for library in ("httpx", "httpcore.http11", "mcp.server", "hpack"):
        logging.getLogger(library).info("headers %s", KEY)

    assert capfd.readouterr().err == ""


# Crash reports


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32", reason="the signal is POSIX's")
async def test_the_report_of_a_crash_holds_no_secret(emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    environment = variables(emulator) | {"PYTHONFAULTHANDLER": "1"}
    async with started(SERVE, environment, stderr=2) as process:
        assert process.stdin
        await process.stdin.send(hello() + call(2, "fault-slow-30s"))
        await emulator.wait_for(lambda request: "fault-slow" in request.path and request.method == "POST", 20)
        process.send_signal(signal.SIGABRT)
        with anyio.fail_after(5):
            assert await process.wait() == -signal.SIGABRT

    assert "Fatal Python error: Aborted" in capfd.readouterr().err


SHOW_LOCALS = {"capture_locals", "show_locals", "tracebacks_show_locals"}
SHOWERS = {"rich.traceback", "rich.logging", "cgitb", "faulthandler", "pdb", "bdb"}


def test_nothing_of_ours_shows_the_variables_of_a_traceback() -> None:
    found = []
    for file in sorted(Path(blaxel_mcp.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            module = {node.module} if isinstance(node, ast.ImportFrom) else set()
            keyword = {node.arg} if isinstance(node, ast.keyword) else set()
            found += [(file.name, name) for name in ((names | module) & SHOWERS) | (keyword & SHOW_LOCALS)]

    assert found == []


def test_a_command_that_fails_unexpectedly_shows_no_variables(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(dict[str, str]):
        """An environment that cannot be read, and whose error quotes what is in it."""

        def get(self, name: str, *default: Any) -> Any:
            if name.startswith("BLAXEL_MCP"):
                raise RuntimeError(f"api_key={KEY}")
            return super().get(name, *default)

    monkeypatch.setattr("os.environ", Breaks(os.environ))

    code = main(["models"])

    told = capfd.readouterr().err
    assert (code, "RuntimeError: api_key=[redacted]" in told) == (1, True)


# What the code says of itself


def login(home: Path) -> Configuration:
    file = home / ".blaxel" / "config.yaml"
    file.parent.mkdir(exist_ok=True)
    credentials = {"refresh_token": REFRESH_TOKEN, "device_code": DEVICE_CODE}
    entry = {"name": "demo", "credentials": credentials}
    file.write_text(json.dumps({"context": {"workspace": "demo"}, "workspaces": [entry]}))
    return configuration(Settings(workspace="demo"), login=read_login_file(file))


def things_in(thing: object, seen: dict[int, object]) -> None:
    """Collect an object and all that it holds, as far as it is ours, the HTTP library's or a container."""
    if id(thing) in seen or isinstance(thing, str | bytes | type):
        return
    kind = type(thing).__module__.partition(".")[0]
    if kind not in ("blaxel_mcp", "httpx", "builtins", "collections", "types", "functools"):
        return
    seen[id(thing)] = thing
    slots = [name for base in type(thing).__mro__ for name in vars(base).get("__slots__", ())]
    inner = [*vars(thing).values()] if hasattr(thing, "__dict__") else []
    inner += [getattr(thing, name, None) for name in slots]
    inner += [*thing.keys(), *thing.values()] if isinstance(thing, dict) else []
    inner += [*thing] if isinstance(thing, list | tuple | set | frozenset) else []
    for value in inner:
        things_in(value, seen)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["key", "service account", "login", "http tokens"])
async def test_nothing_shows_its_secrets_when_it_is_shown(emulator: Emulator, home: Path, kind: str) -> None:
    common = {"discovery": {"enabled": False}}
    config = {
        "key": lambda: leading_to(emulator, **common),
        "service account": lambda: leading_to(emulator, api_key=None, client_credentials=CLIENT_CREDENTIALS, **common),
        "login": lambda: Configuration(leading_to(emulator, api_key=None, **common).settings, login(home).login),
        "http tokens": lambda: leading_to(emulator, http={"auth": "token", "bearer_tokens": [HTTP_TOKEN]}, **common),
    }[kind]()
    app = build_runtime(config)
    seen: dict[int, object] = {}
    async with app.connected():
        request = APIRequest(method="POST", url=f"{emulator.run_url}/demo/models/fault-echo-headers", workspace="demo")
        response = await app.client.send(request, timeout_seconds=10)
        for thing in (app, config, request, response):
            things_in(thing, seen)
        names = {type(thing).__name__ for thing in seen.values()}
        shown = [
            thing for thing in seen.values() if type(thing).__module__.partition(".")[0] in ("blaxel_mcp", "httpx")
        ]
        look_at("a repr", "\n".join(f"{thing!r}\n{thing}" for thing in shown))

    assert {
        "Runtime",
        "APIClient",
        "Authenticator",
        "WorkspaceAuth",
        "Settings",
        "KnownSecrets",
        "AsyncClient",
    } <= names
    assert b"[redacted]" in response.body


@pytest.mark.anyio
async def test_a_request_of_the_library_and_its_errors_show_no_header(emulator: Emulator) -> None:
    seen: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) > 1:
            raise httpx.ReadError("cut", request=request)
        seen.append(httpx.Response(200, json={}, request=request))
        return httpx.Response(200, json={})

    request = APIRequest(method="POST", url=f"{emulator.run_url}/demo/models/house-chat", workspace="demo")
    async with APIClient(leading_to(emulator), transport=httpx.MockTransport(answer)) as client:
        await client.send(request)
        with pytest.raises(Exception, match="broke off") as caught:
            await client.send(request)

    error: BaseException | None = caught.value
    while error is not None:
        look_at("an exception", f"{error!r} {error} {vars(error)}")
        error = error.__cause__ or error.__context__
    look_at("a request and its response", repr(seen))
    assert seen[0].headers["x-blaxel-authorization"] == f"Bearer {KEY}"


# Settings


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        pytest.param(Settings, {"api_key": [KEY]}, id="a key in a list"),
        pytest.param(Settings, {"client_credentials": {"id": KEY}}, id="client credentials as a table"),
        pytest.param(Settings, {"api_kye": KEY}, id="a typo"),
        pytest.param(Settings, {"run_url": f"https://{HTTP_TOKEN}@x.example"}, id="a URL with a user"),
        pytest.param(Settings, {"workspace": KEY}, id="a key for a workspace"),
        pytest.param(HttpSettings, {"bearer_tokens": [[HTTP_TOKEN]]}, id="a token in a list too many"),
        pytest.param(ModelSettings, {"name": "m", "url": f"https://x.example/?key={KEY}"}, id="a URL with a query"),
        pytest.param(ModelSettings, {"name": "m", "api_key": KEY}, id="a key where it does not belong"),
    ],
)
def test_an_error_about_a_value_does_not_quote_it(model: type[BaseModel], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)

    look_at("a validation error", f"{caught.value} {caught.value!r}")


FILE = f'api_key = "{KEY}"\nworkspcae = "demo"\n'


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("file", "environment", "told"),
    [
        pytest.param(FILE, {}, "did you mean workspace?", id="a typo beside a key"),
        pytest.param(f'api_kye = "{KEY}"', {}, "did you mean api_key?", id="a typo in the key's own name"),
        pytest.param(f'api_key = "{KEY}', {}, "is not valid TOML", id="a quotation mark less"),
        pytest.param("", {"BLAXEL_MCP_HTTP": f'{{"bearer_tokens": ["{KEY}"'}, "must be JSON", id="half a variable"),
        pytest.param("", {"BLAXEL_MCP_API_KEY_COMMAND": KEY}, "must be", id="a key in the place of a command"),
        pytest.param("", {"BL_WORKSPACE": KEY}, "must be 1 to 128", id="a key in the place of a workspace"),
        pytest.param("", {"BL_RUN_URL": f"https://{HTTP_TOKEN}@x.example"}, "no user name", id="a key in a URL"),
    ],
)
async def test_settings_that_cannot_be_used_are_told_without_their_values(
    tmp_path: Path, file: str, environment: dict[str, str], told: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(file)
    command = [*SERVE, "--log-level", "debug", "--config", str(path)]

    async with started(
        command, {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment}, stderr=PIPE
    ) as process:
        assert process.stderr
        with anyio.fail_after(20):
            said = b"".join([chunk async for chunk in process.stderr])
            assert await process.wait() == 2

    assert told in said.decode()


@pytest.mark.parametrize(
    ("setting", "warned"),
    [
        (f'api_key = "{KEY}"', True),
        (f'client_credentials = "{CLIENT_CREDENTIALS}"', True),
        (f'[http]\nauth = "token"\nbearer_tokens = ["{HTTP_TOKEN}"]', True),
        ('workspace = "acme"', False),
        ('api_key_command = ["pass", "blaxel"]', False),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_with_secrets_that_others_can_reach_is_warned_of(
    tmp_path: Path, mode: int, setting: str, *, warned: bool
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(setting)
    path.chmod(mode)

    warnings = load_settings(config_file=path, environ={}).warnings

    expected = f"{path} contains credentials that other users can access; run `chmod 600 {path}`."
    assert warnings == ((expected,) if warned else ())


# The command that prints the key


@pytest.mark.anyio
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(f"print({KEY!r}); raise SystemExit(3)", id="and fails"),
        pytest.param(f"import sys; print({KEY!r}, file=sys.stderr); raise SystemExit(1)", id="on stderr"),
        pytest.param(f"print({KEY!r}, {KEY!r})", id="twice"),
        pytest.param(f"print({KEY!r} + chr(233))", id="with a character that no header takes"),
        pytest.param(f"print({KEY!r} * 2000)", id="without an end"),
    ],
)
async def test_a_key_command_that_fails_is_told_without_its_output(
    emulator: Emulator, tmp_path: Path, script: str
) -> None:
    file = tmp_path / "key.py"
    file.write_text(script)
    config = leading_to(emulator, api_key=None, api_key_command=[sys.executable, str(file)])
    async with connect(config) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == "configuration_error"
    assert emulator.requests == []
