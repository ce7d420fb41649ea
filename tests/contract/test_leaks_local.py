"""Secrets inside this process: in the log, in the `repr` of objects, and in messages about settings.

`leaks` checks after every test that none has leaked; these tests state that there was an occasion.
"""

import ast
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from blaxel_mcp.cli.main import main
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.logs import LogFormat, configure_logging, line_formatter
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import Configuration, load_settings
from blaxel_mcp.settings.login_file import read_login_file
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import Settings
from tests.support.canaries import CLIENT_CREDENTIALS, DEVICE_CODE, HTTP_TOKEN, KEY, REFRESH_TOKEN
from tests.support.connecting import connect, error_of, leading_to, receipt_of
from tests.support.leaks import look_at
from tests.support.sources import trees, walked

FORMATS = get_args(LogFormat)
REDACTED = "[redacted]"


# The log


class Bug(httpx.AsyncBaseTransport):
    """A transport that fails unexpectedly, with all headers in its exception."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"{request.headers.raw}") from ValueError(request.headers.raw[-1])


@contextmanager
def logged(log_format: LogFormat) -> Iterator[io.StringIO]:
    """Collect what the server would write to stderr."""
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
def test_anything_that_looks_like_a_credential_is_not_logged(log_format: LogFormat) -> None:
    with logged(log_format) as log:
        logging.getLogger("some.library").warning("sent %s", {"Authorization": "Bearer abcdef0123456789"})

    assert "abcdef" not in log.getvalue()
    assert REDACTED in log.getvalue()


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_request_logs_of_libraries_are_not_written(
    log_format: LogFormat, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging("debug", log_format)
    for library in ("httpx", "httpcore.http11", "mcp.server", "hpack"):
        logging.getLogger(library).info("headers %s", KEY)

    assert capfd.readouterr().err == ""


# Tracebacks


SHOW_LOCALS = {"capture_locals", "show_locals", "tracebacks_show_locals"}
SHOWERS = {"rich.traceback", "rich.logging", "cgitb", "faulthandler", "pdb", "bdb"}


def test_no_traceback_shows_variables() -> None:
    found = []
    for file, tree in trees().items():
        for node in walked(tree):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            module = {node.module} if isinstance(node, ast.ImportFrom) else set()
            keyword = {node.arg} if isinstance(node, ast.keyword) else set()
            found += [(file.name, name) for name in ((names | module) & SHOWERS) | (keyword & SHOW_LOCALS)]

    assert found == []


def test_a_command_that_fails_unexpectedly_shows_no_variables(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(dict[str, str]):
        """An environment that cannot be read, and whose error quotes its content."""

        def get(self, name: str, *default: Any) -> Any:
            if name.startswith("BLAXEL_MCP"):
                raise RuntimeError(f"api_key={KEY}")
            return super().get(name, *default)

    monkeypatch.setattr("os.environ", Breaks(os.environ))

    code = main(["models"])

    written = capfd.readouterr().err
    assert (code, "RuntimeError: api_key=[redacted]" in written) == (1, True)


# Representations of objects


def login(home: Path) -> Configuration:
    file = home / ".blaxel" / "config.yaml"
    file.parent.mkdir(exist_ok=True)
    credentials = {"refresh_token": REFRESH_TOKEN, "device_code": DEVICE_CODE}
    entry = {"name": "demo", "credentials": credentials}
    file.write_text(json.dumps({"context": {"workspace": "demo"}, "workspaces": [entry]}))
    return Configuration(Settings(workspace="demo"), login=read_login_file(file))


def things_in(thing: object, seen: dict[int, object]) -> None:
    """Collect an object and what it refers to: objects of this project and the HTTP library, and containers."""
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
async def test_no_repr_shows_a_secret(emulator: Emulator, home: Path, kind: str) -> None:
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
        response = await app.client.send(request, timeout_seconds=30)
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
        "DirectTransport",
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


@pytest.mark.parametrize(
    ("file", "said"),
    [
        pytest.param(f'api_key = "{KEY}"\nworkspcae = "demo"\n', "did you mean workspace?", id="a typo beside a key"),
        pytest.param(f'api_kye = "{KEY}"', "did you mean api_key?", id="a typo in the key's own name"),
        pytest.param(f'api_key = "{KEY}', "is not valid TOML", id="a missing quotation mark"),
    ],
)
def test_an_error_in_the_settings_file_does_not_quote_its_values(
    home: Path, capfd: pytest.CaptureFixture[str], file: str, said: str
) -> None:
    path = home / "config.toml"
    path.write_text(file)

    assert main(["models", "--log-level", "debug", "--config", str(path)]) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param("BLAXEL_MCP_HTTP", f'{{"bearer_tokens": ["{KEY}"', "must be JSON", id="half a table"),
        pytest.param("BLAXEL_MCP_API_KEY_COMMAND", KEY, "must be", id="a key instead of a command"),
        pytest.param("BL_WORKSPACE", KEY, "must be 1 to 128", id="a key instead of a workspace"),
        pytest.param("BL_RUN_URL", f"https://{HTTP_TOKEN}@x.example", "no user name", id="a key in a URL"),
    ],
)
def test_an_error_in_a_variable_does_not_quote_its_value(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)

    assert main(["models", "--log-level", "debug"]) == 2
    assert said in capfd.readouterr().err


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
def test_a_secret_in_a_file_that_others_can_read_is_a_warning(
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
async def test_a_failing_key_command_is_reported_without_its_output(
    emulator: Emulator, tmp_path: Path, script: str
) -> None:
    file = tmp_path / "key.py"
    file.write_text(script)
    config = leading_to(emulator, api_key=None, api_key_command=[sys.executable, str(file)])
    async with connect(config) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == "configuration_error"
    assert emulator.requests == []
