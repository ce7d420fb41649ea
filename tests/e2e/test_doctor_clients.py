"""`doctor` starts the server of each client's entry as that client does, with the variables that it passes on."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.setup.doctor.checks import CheckContext, Finding
from blaxel_mcp.setup.doctor.runner import PLAN, run_checks
from blaxel_mcp.setup.doctor.server import NoHandshakeError, shake_hands
from blaxel_mcp.setup.install.clients import client_named, user_dirs
from blaxel_mcp.setup.install.document import client_states
from tests.support.canaries import KEY, MARKER

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands of these entries are a POSIX shell's"),
]

SERVER = [sys.executable, "-m", "blaxel_mcp"]
CLIENTS = [check for check in PLAN if check.id == "clients"]


def install(client: str, name: str, words: list[str], env: Mapping[str, str]) -> Path:
    """Write an entry into a client's file."""
    row = client_named(client)
    file = row.file(user_dirs(os.environ))
    file.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {row.key: {}}
    document[row.key][name] = {"command": words[0], "args": words[1:], "env": dict(env)}
    file.write_text(json.dumps(document))
    return file


async def look(**environ: str) -> dict[str, Finding]:
    """Return the findings about the clients in this home."""
    environ = {"PATH": os.environ["PATH"], **environ}
    context = CheckContext(
        runtime=build_runtime(load_settings(environ=environ)),
        problem=None,
        variables=environ,
        clients=client_states(user_dirs(environ)),
    )
    settings = [check for check in PLAN if check.id == "settings"]
    with anyio.fail_after(50):
        findings = await run_checks([*settings, *CLIENTS], context)
    assert MARKER not in str(findings)
    return {finding.id: finding for finding in findings if finding.id != "settings"}


def leading_to(emulator: Emulator) -> dict[str, str]:
    return {"BL_RUN_URL": emulator.run_url, "BL_API_URL": emulator.api_url, "BL_WORKSPACE": "demo"}


async def test_an_entry_is_started_with_what_its_client_gives_it(emulator: Emulator) -> None:
    file = install("claude-desktop", "blaxel", SERVER, {**leading_to(emulator), "BL_API_KEY": KEY})

    finding = (await look())["client:claude-desktop:blaxel"]

    assert (finding.outcome, finding.result.fix) == ("ok", "")
    assert finding.result.message.startswith(f"the entry 'blaxel' in {file}: 17 tools in ")


async def test_variables_of_this_shell_do_not_hide_that_the_client_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BL_API_KEY", KEY)
    monkeypatch.setenv("BL_WORKSPACE", "demo")
    install("claude-desktop", "blaxel", SERVER, {"BL_WORKSPACE": "demo"})

    finding = (await look(BL_API_KEY=KEY))["client:claude-desktop:blaxel"]

    assert finding.outcome == "failed"
    assert "has no credentials when Claude Desktop starts it" in finding.result.message
    assert "`blaxel-mcp install claude-desktop --name blaxel --with-key`" in finding.result.fix
    assert "`bl login demo`" in finding.result.fix


@pytest.mark.shows_secrets("the fix writes the key into the entry")
async def test_the_fix_for_a_client_that_passes_no_variables_works_when_pasted(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("claude-desktop", "models", SERVER, leading_to(emulator))
    # Not by variables, of which `install` refuses the URLs of an emulator.
    file = Path.home() / ".config" / "blaxel-mcp" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'run_url = "{emulator.run_url}"\napi_url = "{emulator.api_url}"\n')
    monkeypatch.setenv("BL_API_KEY", KEY)

    finding = (await look(BL_API_KEY=KEY))["client:claude-desktop:models"]
    program, *words = shlex.split(finding.result.fix.split("`")[1])
    code = await anyio.to_thread.run_sync(main, words)

    assert (finding.outcome, program, code) == ("failed", "blaxel-mcp", 0)
    assert (await look())["client:claude-desktop:models"].outcome == "ok"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param(["/none/blaxel-mcp"], "is not an executable program", id="no such program"),
        pytest.param(
            ["sh", "-c", 'echo hello there; exec "$@"', "sh", *SERVER], "printed 'hello there' on", id="a stray line"
        ),
        pytest.param(
            ["sh", "-c", "echo no luck >&2; exit 3", "blaxel-mcp"], 'its last log line: "no luck"', id="it ends"
        ),
        pytest.param(
            ["sh", "-c", "echo hello; read line; exit 3", "blaxel-mcp"],
            "before that it printed 'hello' on standard output",
            id="both",
        ),
    ],
)
async def test_a_broken_entry_fails_with_the_command_that_rewrites_it(words: list[str], found: str) -> None:
    install("claude-desktop", "my models", words, {})

    finding = (await look())["client:claude-desktop:my models"]

    assert finding.outcome == "failed"
    assert found in finding.result.message
    assert finding.result.fix.startswith("Run `blaxel-mcp install claude-desktop --name 'my models'`")


async def test_the_last_log_line_of_a_server_is_quoted_without_its_key() -> None:
    install("claude-desktop", "blaxel", ["sh", "-c", 'echo "key: $BL_API_KEY" >&2', "blaxel-mcp"], {"BL_API_KEY": KEY})

    finding = (await look())["client:claude-desktop:blaxel"]

    assert 'its last log line: "key: [redacted]"' in finding.result.message


@pytest.mark.parametrize("end", ["exit 3", 'exec "$0" "$@"'])
async def test_a_key_that_a_wrapper_prints_is_shown_nowhere(
    emulator: Emulator, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = "no-known-form-of-a-key"
    wrapper = ["sh", "-c", f"echo {'-' * 90} $BL_API_KEY $BL_API_KEY; {end}", *SERVER]
    install("claude-desktop", "blaxel", wrapper, {**leading_to(emulator), "BL_API_KEY": key})

    finding = (await look())["client:claude-desktop:blaxel"]

    assert finding.outcome == "failed"
    assert "[redacted]" in finding.result.message
    assert "no-known-form" not in f"{finding}{caplog.text}"


async def test_a_placeholder_fails_if_the_client_does_not_expand_it(emulator: Emulator) -> None:
    install("claude-desktop", "blaxel", SERVER, {**leading_to(emulator), "BL_API_KEY": "${BL_API_KEY}"})

    finding = (await look(BL_API_KEY=KEY))["client:claude-desktop:blaxel"]

    assert finding.outcome == "failed"
    assert "BL_API_KEY is a placeholder" in finding.result.message
    assert "--with-key" in finding.result.fix


async def test_a_reference_is_expanded_if_the_client_expands_it(emulator: Emulator) -> None:
    install("cursor", "blaxel", SERVER, {**leading_to(emulator), "BL_API_KEY": "${env:BL_API_KEY}"})

    there, absent = await look(BL_API_KEY=KEY), await look()

    assert there["client:cursor:blaxel"].outcome == "ok"
    assert absent["client:cursor:blaxel"].outcome == "warning"
    assert (
        "Run `bl login demo`, then `blaxel-mcp install cursor --name blaxel`"
        in absent["client:cursor:blaxel"].result.fix
    )
    assert "BL_API_KEY refers to a variable that is not set here" in absent["client:cursor:blaxel"].result.message


async def test_an_unreadable_file_fails_and_the_other_clients_are_still_checked(
    emulator: Emulator,
) -> None:
    install("cursor", "blaxel", SERVER, {**leading_to(emulator), "BL_API_KEY": KEY})
    broken = install("claude-desktop", "blaxel", SERVER, {})
    broken.write_text('{"mcpServers": {')

    findings = await look()

    outcomes = {name: finding.outcome for name, finding in findings.items()}
    assert outcomes == {"client:claude-desktop": "failed", "client:cursor:blaxel": "ok"}
    assert str(broken) in findings["client:claude-desktop"].result.message


async def test_without_any_entry_it_says_how_to_add_one() -> None:
    finding = (await look())["clients"]

    assert finding.outcome == "skipped"
    assert "`blaxel-mcp install CLIENT`" in finding.result.fix


async def test_the_command_checks_the_entries_of_this_user(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("cursor", "blaxel", ["/none/blaxel-mcp"], {})
    for name, value in leading_to(emulator).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BL_API_KEY", KEY)

    with anyio.fail_after(50):
        code = await anyio.to_thread.run_sync(main, ["doctor", "--json"])

    checks = json.loads(capsys.readouterr().out)["checks"]
    assert code == 1
    assert [check["id"] for check in checks if check["outcome"] == "failed"] == ["client:cursor:blaxel"]


async def test_a_server_that_never_answers_times_out_and_is_killed(tmp_path: Path) -> None:
    file, seconds = tmp_path / "pid", 1
    file.touch()

    with anyio.fail_after(60):
        # On a busy machine, even a shell may take longer than a second to start.
        while not file.read_text():
            with pytest.raises(NoHandshakeError, match=f"^did not answer within {seconds} s\\.$"):
                await shake_hands(["sh", "-c", f"echo $$ > {file}; exec sleep 90"], {}, seconds=seconds)
            seconds *= 2

    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


async def test_a_variable_that_codex_passes_on_reaches_the_server_and_is_reported_if_unset(
    emulator: Emulator, home: Path
) -> None:
    (home / ".codex").mkdir()
    values = "".join(f"{name} = {json.dumps(value)}\n" for name, value in leading_to(emulator).items())
    (home / ".codex" / "config.toml").write_text(
        f"[mcp_servers.blaxel]\ncommand = {json.dumps(SERVER[0])}\nargs = {json.dumps(SERVER[1:])}\n"
        f'env_vars = ["BL_API_KEY"]\n[mcp_servers.blaxel.env]\n{values}'
    )

    there, absent = await look(BL_API_KEY=KEY), await look()

    assert there["client:codex:blaxel"].outcome == "ok"
    assert absent["client:codex:blaxel"].outcome == "warning"
    assert "BL_API_KEY refers to a variable that is not set here" in absent["client:codex:blaxel"].result.message
