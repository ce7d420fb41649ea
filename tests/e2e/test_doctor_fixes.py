"""Each command that `doctor` prints as a fix is carried out here: the same check then passes."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.cli.main import main
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import Configuration, load_settings, named_settings_file
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.doctor.checks import CheckContext, Finding
from blaxel_mcp.setup.doctor.runner import PLAN, run_checks
from blaxel_mcp.setup.install.clients import client_named, user_dirs
from blaxel_mcp.setup.install.document import client_states
from tests.support.canaries import KEY

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are a POSIX shell's"),
]

SERVER = [sys.executable, "-m", "blaxel_mcp"]
WRAPPED = ["sh", "-c", 'echo hello; exec "$@"', "sh", *SERVER]

Check = Callable[[str], Awaitable[Finding]]


@pytest.fixture
def check(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Check:
    """A healthy set-up whose settings file leads to the emulator, and a function that runs one of its checks."""
    file = default_settings_path()
    file.parent.mkdir(parents=True)
    file.write_text(f'run_url = "{emulator.run_url}"\napi_url = "{emulator.api_url}"\n')
    file.chmod(0o600)
    monkeypatch.setenv("BL_WORKSPACE", "demo")
    monkeypatch.setenv("BL_API_KEY", KEY)
    monkeypatch.delenv("SSL_CERT_DIR")

    async def run(name: str) -> Finding:
        environ = dict(os.environ)
        config, problem = Configuration(Settings()), None
        try:
            config = load_settings(environ=environ)
        except ConfigurationError as error:
            problem = error
        context = _context(config, problem, environ)
        group = name.split(":", 1)[0]
        ids = {"client": "clients", "model": "models"}
        plan = [entry for entry in PLAN if entry.id in needed(ids.get(group, group))]
        with anyio.fail_after(50):
            async with context.runtime.connected():
                findings = await run_checks(plan, context)
        return next(finding for finding in findings if finding.id == name)

    return run


def _context(config: Configuration, problem: ConfigurationError | None, environ: dict[str, str]) -> CheckContext:
    return CheckContext(
        runtime=build_runtime(config),
        problem=problem,
        variables=environ,
        serve=("serve",),
        named_file=named_settings_file(None, environ),
        clients=client_states(user_dirs(environ)),
    )


def needed(name: str) -> set[str]:
    """Return a check and all that it depends on."""
    (found,) = (entry for entry in PLAN if entry.id == name)
    return {name}.union(*(needed(other) for other in found.needs))


async def carry_out(command: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Run a command as a user does who pastes it; NAME is the workspace."""
    words = shlex.split(command.replace("NAME", "demo"))
    match words:
        case ["export", assignment]:
            name, _, value = assignment.partition("=")
            monkeypatch.setenv(name, value)
        case ["unset", name]:
            monkeypatch.delenv(name)
        case ["bl", "login", workspace]:
            log_in(home, workspace)
        case ["blaxel-mcp", *arguments]:
            assert await anyio.to_thread.run_sync(main, arguments) == 0, command
        case _:
            await anyio.to_thread.run_sync(lambda: subprocess.run(command, shell=True, check=True))  # noqa: S602 - as printed


def log_in(home: Path, workspace: str) -> None:
    """Write what Blaxel's CLI writes when somebody logs in with a key."""
    file = home / ".blaxel" / "config.yaml"
    file.parent.mkdir()
    entry = {"name": workspace, "credentials": {"apiKey": KEY}}
    file.write_text(json.dumps({"context": {"workspace": workspace}, "workspaces": [entry]}))
    file.chmod(0o600)


def commands(text: str) -> list[str]:
    """Return the commands of a fix: the first one, and those after a `then`."""
    first, *others = re.split(r", then (?=`)", text)
    return [found[1] for part in (first, *others) if (found := re.search("`(.+?)`", part))]


async def fix(check: Check, name: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Carry out the fix of a broken set-up, and require that the check passes."""
    broken = await check(name)
    assert broken.outcome in {"failed", "warning"}, broken
    assert commands(broken.result.fix), broken

    for command in commands(broken.result.fix):
        await carry_out(command, monkeypatch, home)

    assert (await check(name)).outcome == "ok", broken


def entry(client: str, words: list[str], env: Mapping[str, str]) -> None:
    """Write an entry `mine` into a client's file."""
    row = client_named(client)
    file = row.file(user_dirs(os.environ))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({row.key: {"mine": {"command": words[0], "args": words[1:], "env": dict(env)}}}))


async def test_a_settings_file_that_is_missing(check: Check, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    text = default_settings_path().read_text()
    run_url, api_url = re.findall('"(.+?)"', text)
    monkeypatch.setenv("BL_RUN_URL", run_url)
    monkeypatch.setenv("BL_API_URL", api_url)
    monkeypatch.setenv("BLAXEL_MCP_CONFIG", str(home / "my settings.toml"))

    await fix(check, "settings", monkeypatch, home)


@pytest.mark.parametrize("of_folder", [False, True], ids=["file", "folder"])
async def test_a_settings_file_that_others_can_change(
    check: Check, monkeypatch: pytest.MonkeyPatch, home: Path, of_folder: bool
) -> None:
    file = default_settings_path()
    (file.parent if of_folder else file).chmod(0o777)

    await fix(check, "settings", monkeypatch, home)


async def test_a_key_that_others_can_read(check: Check, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    file = default_settings_path()
    file.write_text(f'api_key = "{KEY}"\n{file.read_text()}')
    file.chmod(0o644)
    warned = await check("settings")

    assert warned.outcome == "warning"
    await carry_out(commands(warned.result.message)[0], monkeypatch, home)

    assert (await check("settings")).outcome == "ok"


async def test_no_workspace(check: Check, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("BL_WORKSPACE")

    await fix(check, "workspace", monkeypatch, home)


async def test_no_credentials(check: Check, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("BL_API_KEY")

    await fix(check, "credentials", monkeypatch, home)


async def test_an_expired_login(check: Check, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("BL_API_KEY")
    emulator.token_lifetime = -60
    log_in(home, "demo")
    file = home / ".blaxel" / "config.yaml"
    credentials = {"access_token": emulator.mint_token()}
    file.write_text(json.dumps({"workspaces": [{"name": "demo", "credentials": credentials}]}))
    expired = await check("token")

    assert expired.outcome == "failed"
    file.unlink()
    file.parent.rmdir()
    for command in commands(expired.result.fix):
        await carry_out(command, monkeypatch, home)

    assert (await check("token")).outcome == "ok"


async def test_certificates_that_are_missing(check: Check, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/none/such.pem")

    await fix(check, "certificates", monkeypatch, home)


async def test_a_broken_ledger(check: Check, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    default_ledger().parent.mkdir(parents=True)
    default_ledger().write_bytes(b"this is no ledger" * 500)

    await fix(check, "ledger", monkeypatch, home)


REFERENCE = {"BL_API_KEY": "${env:BL_API_KEY}"}


@pytest.mark.shows_secrets("some of the fixes write the key into the entry")
@pytest.mark.parametrize(
    ("source", "broken"),
    [
        pytest.param("variable", ("cursor", ["bin/blaxel-mcp"], {}), id="a relative program"),
        pytest.param("login", ("cursor", ["/none/blaxel-mcp"], {}), id="a program that is gone"),
        pytest.param(
            "nothing", ("cursor", [*SERVER, "--config", "/none/such.toml"], {}), id="a settings file that is gone"
        ),
        pytest.param("variable", ("cursor", WRAPPED, {}), id="a wrapper that prints"),
        pytest.param("variable", ("cursor", SERVER, {}), id="a client that passes variables on, without the key"),
        pytest.param("nothing", ("cursor", SERVER, REFERENCE), id="a reference to a key that is not there"),
        pytest.param("variable", ("claude-desktop", SERVER, {}), id="a client that passes no variable on"),
        pytest.param("login", ("claude-desktop", SERVER, {}), id="a client that passes nothing on, and a login"),
        pytest.param("nothing", ("claude-desktop", SERVER, {}), id="a client that passes nothing on, and no key"),
        pytest.param(
            "variable", ("claude-desktop", SERVER, {"BL_API_KEY": "${BL_API_KEY}"}), id="a placeholder that stays"
        ),
        pytest.param(
            "login", ("claude-desktop", SERVER, {"BL_API_KEY": "${BL_API_KEY}"}), id="a placeholder, and a login"
        ),
        pytest.param(
            "nothing",
            ("claude-desktop", SERVER, {"BL_WORKSPACE": "${BL_WORKSPACE}"}),
            id="a placeholder for the workspace",
        ),
        pytest.param("nothing", ("zed", ["/none/blaxel-mcp"], {}), id="a client that passes its environment on"),
    ],
)
async def test_an_entry_of_a_client(
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    source: str,
    broken: tuple[str, list[str], dict[str, str]],
) -> None:
    if source != "variable":
        monkeypatch.delenv("BL_API_KEY")
    if source == "login":
        log_in(home, "demo")
    entry(*broken)
    name = f"client:{broken[0]}:mine"

    for _ in range(2):
        # The first fix may reveal a second problem: without credentials, a program that runs again has none.
        finding = await check(name)
        if finding.outcome == "ok":
            break
        for command in commands(finding.result.fix):
            await carry_out(command, monkeypatch, home)

    assert (await check(name)).outcome == "ok"
