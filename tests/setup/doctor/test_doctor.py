"""`blaxel-mcp doctor`: a healthy set-up passes whole, and each broken one ends in one failure with a fix."""

import json
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import pytest

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.setup.doctor.checks import CheckContext, report
from blaxel_mcp.setup.doctor.runner import CALLS, PLAN, Check, run_checks
from tests.support.canaries import CLIENT_CREDENTIALS, KEY, MARKER, WRONG_KEY
from tests.support.doctoring import Examined, dating, examine, lead_to, listening

pytestmark = pytest.mark.anyio

WITHOUT_SERVERS = [check for check in PLAN if check.id not in {"server", "footprint", "clients"}]
PROXY_PASSWORD = f"{MARKER}-proxy-password"


Look = Callable[..., Any]


@pytest.fixture
def look(capfdbinary: pytest.CaptureFixture[bytes]) -> Look:
    """The same checks in this process, less those that start a server, which take most of the command's time."""

    async def run(plan: Sequence[Check] = WITHOUT_SERVERS) -> Examined:
        environ = dict(os.environ)
        context = CheckContext(runtime=build_runtime(load_settings(environ=environ)), problem=None, variables=environ)
        with anyio.fail_after(30):
            async with context.runtime.connected():
                findings = await run_checks(plan, context)
        out, err = capfdbinary.readouterr()
        text = json.dumps(report(findings)) + (out + err).decode()
        return Examined(int(not report(findings)["ok"]), report(findings), text)

    return run


@pytest.fixture
def variables(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that leads to the emulator, in which a test can break one thing."""
    lead_to(emulator, monkeypatch)
    return monkeypatch


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param('workspace = "demo', ("not valid TOML at line 1, column", "Fix each line"), id="bad TOML"),
        pytest.param("[limits]\ntmeout = 3\n", ("did you mean timeout_seconds?", "Fix each line"), id="an unknown key"),
        pytest.param(
            '[[models]]\nname = "a"\napi = "chatt"',
            ("is not the name of an API; did you mean chat-completions?", "Fix each line"),
            id="an API that there is not",
        ),
    ],
)
async def test_settings_that_cannot_be_used_are_the_one_failure(
    variables: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
    text: str,
    told: tuple[str, str],
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    variables.delenv("BLAXEL_MCP_MODELS")

    examined = await examine(capfdbinary, "--config", str(file))

    found, fix = told
    assert fix in examined.fix_of_the_only_failure("settings")
    assert found in examined.check("settings")["found"]
    assert examined.ids("ok") == ["proxy", "certificates", "versions"]


@pytest.mark.usefixtures("variables")
async def test_a_settings_file_that_is_not_there_is_written_by_init(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    examined = await examine(capfdbinary, "--config", str(tmp_path / "none.toml"))

    fix = examined.fix_of_the_only_failure("settings")
    init = f"blaxel-mcp init --config {tmp_path}/none.toml"
    assert fix == f"Create it with `{init}`, or without asking Blaxel with `{init} --empty`."


@pytest.mark.usefixtures("variables")
async def test_a_settings_file_that_cannot_even_be_looked_at_is_reported_with_the_reason(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    examined = await examine(capfdbinary, "--config", f"/{'a' * 300}.toml")

    assert "Name an existing file with --config" in examined.fix_of_the_only_failure("settings")
    assert "cannot be read (File name too long)" in examined.check("settings")["found"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BLAXEL_MCP_WORKSPCE", "demo", "did you mean BLAXEL_MCP_WORKSPACE?"),
        ("BLAXEL_MCP_CONFIG", "", "BLAXEL_MCP_CONFIG is blank"),
    ],
)
async def test_a_variable_that_says_nothing_is_a_failure(
    variables: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], name: str, value: str, told: str
) -> None:
    variables.setenv(name, value)

    examined = await examine(capfdbinary)

    assert examined.fix_of_the_only_failure("settings")
    assert told in examined.check("settings")["found"]


async def test_a_placeholder_for_a_credential_is_a_warning(variables: pytest.MonkeyPatch, look: Look) -> None:
    variables.setenv("BLAXEL_MCP_API_KEY", "${KEY}")

    examined = await look()

    assert (examined.code, examined.ids("warning")) == (0, ["settings"])
    assert "BLAXEL_MCP_API_KEY is a placeholder" in examined.check("settings")["found"]


async def test_without_credentials_the_fix_names_the_ways_to_give_them(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.delenv("BL_API_KEY")

    fix = (await look()).fix_of_the_only_failure("credentials")

    assert "Set BL_API_KEY" in fix
    assert "bl login demo" in fix


async def test_without_a_workspace_nothing_else_fails(variables: pytest.MonkeyPatch, look: Look) -> None:
    variables.delenv("BL_WORKSPACE")

    assert "`export BL_WORKSPACE=NAME`" in (await look()).fix_of_the_only_failure("workspace")


async def test_a_wrong_key_fails_where_it_is_refused_and_is_told_by_its_place(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.setenv("BL_API_KEY", WRONG_KEY)

    examined = await look()

    assert "The credentials came from BL_API_KEY." in examined.fix_of_the_only_failure("access")


async def test_a_key_that_no_header_can_carry_fails_before_anything_is_sent(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.setenv("BL_API_KEY", f"{KEY} and a word")

    examined = await look()

    assert examined.fix_of_the_only_failure("token") == "Copy it again, completely and on one line."


async def test_a_command_that_prints_no_key_is_named(variables: pytest.MonkeyPatch, look: Look) -> None:
    variables.delenv("BL_API_KEY")
    variables.setenv("BLAXEL_MCP_API_KEY_COMMAND", '["false"]')

    examined = await look()

    examined.fix_of_the_only_failure("token")
    assert "'false'" in examined.check("token")["found"]


@pytest.mark.parametrize("known", [pytest.param(True, id="good"), pytest.param(False, id="revoked")])
async def test_client_credentials_are_exchanged(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look, known: bool
) -> None:
    if not known:
        emulator.client_credentials.clear()
    variables.delenv("BL_API_KEY")
    variables.setenv("BL_CLIENT_CREDENTIALS", CLIENT_CREDENTIALS)

    examined = await look()

    assert MARKER not in examined.text
    if known:
        assert examined.code == 0
        told = r"access token from client credentials, valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        assert re.match(told, examined.check("token")["found"])
    else:
        assert "they may be revoked" in examined.fix_of_the_only_failure("token")


async def test_an_expired_login_without_a_way_to_renew_it_says_how_to_log_in(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look, home: Path
) -> None:
    variables.delenv("BL_API_KEY")
    emulator.token_lifetime = -60
    log_in(home, emulator.mint_token())

    assert "Run `bl login demo`" in (await look()).fix_of_the_only_failure("token")


async def test_a_login_tells_until_when_its_token_is_good(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look, home: Path
) -> None:
    variables.delenv("BL_API_KEY")
    log_in(home, emulator.mint_token())

    examined = await look()

    assert examined.code == 0
    assert re.search(
        r"from a `bl login` session, valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", examined.check("token")["found"]
    )


def log_in(home: Path, token: str) -> None:
    file = home / ".blaxel" / "config.yaml"
    file.parent.mkdir()
    file.write_text(json.dumps({"workspaces": [{"name": "demo", "credentials": {"access_token": token}}]}))


async def test_a_workspace_that_the_credentials_do_not_reach_is_named_with_its_place(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.setenv("BL_WORKSPACE", "elsewhere")

    examined = await look()

    fix = examined.fix_of_the_only_failure("access")
    assert "Check the workspace name" in fix
    assert "The workspace comes from BL_WORKSPACE." in fix


@pytest.mark.parametrize(("seconds", "said"), [(7500, "2 h 5 min ahead"), (-400, "7 min behind")])
async def test_a_clock_that_is_off_is_told_with_the_command_that_sets_it(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look, seconds: float, said: str
) -> None:
    async with dating(emulator, seconds) as url:
        variables.setenv("BL_API_URL", f"{url}/v0")
        examined = await look()

    assert re.search("timedatectl|sntp|w32tm", examined.fix_of_the_only_failure("clock"))
    assert said in examined.check("clock")["found"]


async def test_a_host_that_refuses_connections_is_named_with_the_setting(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    port = free_port()
    variables.setenv("BL_API_URL", f"http://127.0.0.1:{port}/v0")

    examined = await look()

    assert "api_url comes from BL_API_URL." in examined.fix_of_the_only_failure("connection")
    assert examined.check("connection")["found"].startswith(
        f"127.0.0.1:{port} could not be reached: it refused the connection"
    )


async def test_a_name_that_is_not_known_fails_once(variables: pytest.MonkeyPatch, look: Look) -> None:
    variables.setenv("BL_API_URL", "https://api.acme.invalid/v0")

    examined = await look()

    assert "api_url comes from BL_API_URL." in examined.fix_of_the_only_failure("names")
    assert "api.acme.invalid could not be reached: its name could not be resolved" in examined.check("names")["found"]


async def test_a_server_that_speaks_no_tls_is_told_from_one_that_is_not_there(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look
) -> None:
    variables.setenv("BL_API_URL", emulator.api_url.replace("http:", "https:"))

    examined = await look()

    assert "Check that the URL's port speaks https." in examined.fix_of_the_only_failure("connection")


async def test_a_server_that_speaks_no_http_is_no_blaxel(variables: pytest.MonkeyPatch, look: Look) -> None:
    async def greet(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"220 mail.example ESMTP\r\n")

    async with listening(greet) as address:
        variables.setenv("BL_API_URL", f"http://{address}/v0")
        examined = await look()

    assert "Check run_url and api_url" in examined.fix_of_the_only_failure("connection")


async def test_a_proxy_that_refuses_is_told_by_its_variable_without_its_password(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    async def refuse(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with listening(refuse) as address:
        variables.setenv("HTTPS_PROXY", f"http://me:{PROXY_PASSWORD}@{address}")
        variables.setenv("BL_API_URL", "https://api.acme.invalid/v0")
        variables.setenv("BL_RUN_URL", "https://run.acme.invalid")
        examined = await look()

    assert "Check HTTPS_PROXY" in examined.fix_of_the_only_failure("connection")
    assert examined.check("names") == {
        "id": "names",
        "title": "Host names",
        "outcome": "skipped",
        "found": "the proxy resolves the host names",
        "fix": "",
    }
    assert f"HTTPS_PROXY=http://***@{address}" in examined.check("proxy")["found"]


@pytest.mark.parametrize("file", ["/none/such.pem", f"/{'a' * 300}.pem"])
async def test_certificates_that_are_not_there_are_told_by_their_variable(
    file: str, variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.setenv("SSL_CERT_FILE", file)

    assert "`unset SSL_CERT_FILE`" in (await look()).fix_of_the_only_failure("certificates")


async def test_a_control_plane_that_may_not_be_asked_is_not_asked(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look
) -> None:
    variables.setenv("BLAXEL_MCP_DISCOVERY__ENABLED", "false")

    examined = await look()

    assert (examined.code, examined.ids("skipped")) == (0, ["access", "clock"])
    assert examined.check("model:house-chat")["outcome"] == "ok"
    assert [request.path for request in emulator.requests] == ["/"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"enabled": False}, ("failed", "It is disabled in Blaxel.", "Enable it"), id="disabled"),
        pytest.param({"status": "FAILED"}, ("failed", "Its status is FAILED.", "Deploy it again"), id="failed"),
        pytest.param({"status": "DEPLOYING"}, ("warning", "once that is DEPLOYED", "Wait for it"), id="on its way"),
    ],
)
@pytest.mark.usefixtures("variables")
async def test_a_model_that_cannot_answer_is_told_by_its_state(
    emulator: Emulator, look: Look, change: dict[str, Any], told: tuple[str, str, str]
) -> None:
    emulator.models["house-chat"] = replace(emulator.models["house-chat"], **change)

    check = (await look()).check("model:house-chat")

    outcome, found, fix = told
    assert check["outcome"] == outcome
    assert found in check["found"]
    assert fix in check["fix"]


async def test_a_model_that_there_is_not_ends_in_the_nearest_name_and_the_place_of_its_entry(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.setenv("BLAXEL_MCP_MODELS", '[{"name": "house-chat"}, {"name": "hose-embed"}]')

    examined = await look()

    fix = examined.fix_of_the_only_failure("model:hose-embed")
    assert fix == ("Did you mean 'house-embed'? Fix `name` in models[1] of BLAXEL_MCP_MODELS, or remove the entry.")


async def test_a_model_of_the_workspace_that_is_disabled_is_a_warning_unless_it_was_asked_for(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look
) -> None:
    variables.delenv("BLAXEL_MCP_MODELS")
    emulator.models["house-chat"] = replace(emulator.models["house-chat"], enabled=False)

    examined = await look()

    assert (examined.code, examined.ids("warning")) == (0, ["model:house-chat"])
    assert 'discovery.exclude = ["house-chat"]' in examined.check("model:house-chat")["fix"]


async def test_a_model_that_access_keeps_from_being_called_is_told_with_the_setting(
    variables: pytest.MonkeyPatch, look: Look
) -> None:
    variables.setenv("BLAXEL_MCP_ACCESS__MODELS", '["other-*"]')

    assert "the setting is `access.models`" in (await look()).fix_of_the_only_failure("model:house-chat")


async def test_a_url_that_gets_no_credentials_is_a_warning(variables: pytest.MonkeyPatch, look: Look) -> None:
    variables.setenv("BLAXEL_MCP_MODELS", '[{"name": "house-chat", "url": "http://127.0.0.1:9/x"}]')

    examined = await look()

    assert (examined.code, examined.ids("warning")) == (0, ["model:house-chat"])
    assert "no credentials are sent there" in examined.check("model:house-chat")["found"]


async def test_call_sends_one_request_to_each_model_that_can_be_called(
    variables: pytest.MonkeyPatch, emulator: Emulator, look: Look
) -> None:
    names = ["house-chat", "house-embed", "house-ears", "fault-500", "missing-one"]
    apis = ["chat-completions", "embeddings", "transcriptions", "chat-completions", "raw"]
    entries = [{"name": name, "api": api} for name, api in zip(names, apis, strict=True)]
    variables.setenv("BLAXEL_MCP_MODELS", json.dumps(entries))

    examined = await look([*WITHOUT_SERVERS, CALLS])

    calls = {check["id"]: check["outcome"] for check in examined.report["checks"] if check["id"].startswith("call:")}
    assert calls == {
        "call:house-chat": "ok",
        "call:house-embed": "ok",
        "call:house-ears": "skipped",
        "call:fault-500": "failed",
    }
    assert re.search(r"answered in \d+\.\d s, \d+ tokens", examined.check("call:house-chat")["found"])
    posted = sorted(request.path for request in emulator.requests if request.method == "POST")
    assert posted == [
        "/demo/models/fault-500/v1/chat/completions",
        "/demo/models/house-chat/v1/chat/completions",
        "/demo/models/house-embed/v1/embeddings",
    ]


@pytest.mark.usefixtures("variables")
async def test_a_broken_ledger_ends_in_the_command_that_makes_room_for_a_new_one(look: Look) -> None:
    ledger = default_ledger()
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"this is no ledger" * 500)

    fix = (await look()).fix_of_the_only_failure("ledger")

    assert fix.startswith(f"Run `mv {ledger} {ledger}.broken`;")
    await anyio.run_process(fix.split("`")[1])
    assert (await look()).code == 0


async def test_a_budget_that_is_used_up_is_a_warning(variables: pytest.MonkeyPatch, look: Look) -> None:
    variables.setenv("BLAXEL_MCP_BUDGET__CALLS_PER_DAY", "0")

    examined = await look()

    assert (examined.code, examined.ids("warning")) == (0, ["ledger"])
    assert "0 of 0 calls, 0 tokens, 0.000000 USD, so calls are refused until" in examined.check("ledger")["found"]
