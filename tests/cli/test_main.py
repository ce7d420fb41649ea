"""The command line: results on stdout, everything else on stderr, exit codes that a script can use."""

import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from blaxel_mcp import __version__
from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import KEY, WRONG_KEY


class Finished(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def run(*words: str) -> Finished:
        try:
            code = main(words)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Finished(code, out.decode(errors="replace"), err.decode())

    return run


HELLO = json.dumps({"messages": [{"role": "user", "content": "What is 6 * 7?"}]})


@pytest.mark.usefixtures("platform")
def test_run_prints_the_answer_and_nothing_else(run: Run) -> None:
    finished = run("run", "house-chat", "--path", "/v1/chat/completions", "--data", HELLO)

    assert (finished.code, finished.err) == (0, "")
    assert "42" in json.loads(finished.out)["choices"][0]["message"]["content"]


def test_run_takes_its_data_from_a_file_or_from_standard_input(
    platform: Emulator, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "body.json"
    file.write_text(HELLO)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HELLO.encode())))

    assert run("run", "house-chat", "--data", f"@{file}").code == 0
    assert run("run", "house-chat", "--data", "-").code == 0
    bodies = [json.loads(request.body) for request in platform.requests if request.body]
    assert bodies == [{"model": "gpt-4o-mini", **json.loads(HELLO)}] * 2


@pytest.mark.usefixtures("platform")
def test_run_prints_the_text_of_a_stream_and_the_answer_of_what_cannot_stream(run: Run) -> None:
    streamed = run("run", "house-chat", "--data", HELLO, "--stream")
    plain = run("run", "house-classifier", "--data", '{"inputs": "a lovely day"}', "--stream")

    assert (streamed.code, streamed.out) == (0, "6 * 7 = 42\n")
    assert json.loads(plain.out)[0]["label"] == "POSITIVE"


def test_run_sends_method_path_and_parameters_as_given(platform: Emulator, run: Run) -> None:
    run("run", "house-chat", "--method", "get", "--path", "/v1/models", "--param", "a=1", "--param", "a=x=y")

    assert platform.requests[-1].method == "GET"
    assert platform.requests[-1].raw_path == b"/demo/models/house-chat/v1/models?a=1&a=x%3Dy"


@pytest.mark.usefixtures("platform")
def test_run_writes_a_binary_answer_as_it_is(run: Run) -> None:
    finished = run("run", "fault-png")

    assert finished.code == 0
    assert finished.out[1:4] == "PNG"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param(["run", "fault-500"], 1, "upstream_error", id="the request failed"),
        pytest.param(["run", "fault-slow-30s", "--timeout", "0.3"], 1, "timeout", id="the deadline"),
        pytest.param(["run", "a/b"], 2, "cannot be the name of a model", id="a wrong name"),
        pytest.param(["run", "x", "--data", "{"], 2, "is not JSON", id="data that is not JSON"),
        pytest.param(["run", "x", "--data", "@/none/such"], 2, "/none/such", id="a file that is not there"),
        pytest.param(["run", "x", "--param", "a"], 2, "NAME=VALUE", id="a parameter without a value"),
        pytest.param(["run", "x", "--timeout", "-1"], 2, "--timeout", id="a deadline in the past"),
        pytest.param(["run", "x", "--timeout", "soon"], 2, "--timeout", id="a deadline that is no number"),
        pytest.param(["run"], 2, "MODEL", id="no model"),
        pytest.param(["--config", "/none/such.toml", "models"], 2, "/none/such.toml", id="no such settings file"),
        pytest.param(["walk"], 2, "walk", id="no such command"),
        pytest.param(["models", "--workspace", " "], 2, "--workspace is blank", id="a blank workspace"),
        pytest.param(["calls", "show", ""], 2, "calls show ID", id="a blank id"),
        pytest.param(["emulator", "--upstream", ""], 2, "is not an HTTP URL", id="a blank upstream"),
        pytest.param(["emulator", "--upstream", "http://"], 2, "is not an HTTP URL", id="an upstream without a host"),
        pytest.param(["emulator", "--upstream", "http://[::1"], 2, "is not an HTTP URL", id="half a host as upstream"),
        pytest.param(["emulator", "--upstream", "http://a:b"], 2, "is not an HTTP URL", id="no port of an upstream"),
    ],
)
@pytest.mark.usefixtures("platform")
def test_a_failure_is_told_on_stderr_with_the_exit_code_for_its_kind(
    run: Run, words: list[str], code: int, told: str
) -> None:
    finished = run(*words)

    assert (finished.code, finished.out) == (code, "")
    assert told in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.usefixtures("platform")
def test_models_prints_a_table_with_the_source_of_the_credentials(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_MODELS", '[{"name": "house-chat", "api": "chat-completions", "tool": "ask"}]')

    finished = run("models")

    assert (finished.code, finished.err) == (0, "")
    assert "BL_API_KEY" in finished.out
    assert KEY not in finished.out
    row = next(line for line in finished.out.splitlines() if "house-chat" in line)
    assert row.split() == ["house-chat", "ask", "chat-completions", "/v1/chat/completions", "DEPLOYED"]


@pytest.mark.usefixtures("platform")
def test_models_without_any_says_how_to_configure_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_DISCOVERY__ENABLED", "false")

    finished = run("models")

    assert finished.code == 0
    assert "add [[models]] entries to the settings file, or set discovery.enabled = true" in finished.out


def test_models_of_an_empty_workspace_says_where_they_are_made(platform: Emulator, run: Run) -> None:
    platform.models.clear()

    finished = run("models")

    assert finished.code == 0
    assert "Workspace demo has no model that discovery.include and discovery.exclude let through" in finished.out


UNREADABLE = pytest.mark.parametrize(
    ("variables", "cause"),
    [
        pytest.param({"BL_API_KEY": WRONG_KEY}, "The credentials came from BL_API_KEY.", id="a wrong key"),
        pytest.param({"BL_WORKSPACE": "elsewhere"}, "Check the workspace name", id="a wrong workspace"),
        pytest.param({"BL_WORKSPACE": ""}, "No Blaxel workspace is set", id="no workspace"),
        pytest.param({"BL_API_KEY": ""}, "There are no Blaxel credentials for workspace demo", id="no credentials"),
        pytest.param({"BL_API_URL": "http://127.0.0.1:9/v0"}, "127.0.0.1:9 could not be reached", id="no network"),
        pytest.param(
            {"BL_API_KEY": "", "BLAXEL_MCP_API_KEY_COMMAND": '["no-such-program"]'},
            "The command 'no-such-program'",
            id="a key command that is not installed",
        ),
    ],
)


@UNREADABLE
@pytest.mark.usefixtures("platform")
def test_models_of_a_workspace_that_cannot_be_read_is_a_failure_with_its_cause(
    run: Run, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cause: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    text, as_json = run("models"), run("models", "--json")

    assert (text.code, as_json.code) == (1, 1)
    assert (text.out, text.err.count(cause)) == ("", 1)
    assert text.err.startswith("blaxel-mcp: ")
    listing = json.loads(as_json.out)
    assert listing["models"] == []
    assert [cause in note for note in listing["notes"]] == [True]


@UNREADABLE
@pytest.mark.usefixtures("platform")
def test_models_that_are_configured_are_listed_although_their_state_is_unknown(
    run: Run, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cause: str
) -> None:
    monkeypatch.setenv("BLAXEL_MCP_MODELS", '[{"name": "house-chat"}, {"name": "house-embed"}]')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    finished = run("models")

    assert finished.code == 1
    assert (finished.out + finished.err).count(cause) == 1
    assert "house-embed" in finished.out


@pytest.mark.usefixtures("platform")
def test_models_as_json_has_the_whole_listing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_MODELS", json.dumps([{"name": f"m-{number}"} for number in range(60)]))
    monkeypatch.setenv("BLAXEL_MCP_DISCOVERY__ENABLED", "false")

    listing = json.loads(run("models", "--json").out)

    assert (listing["total"], len(listing["models"])) == (60, 60)
    assert (listing["workspace"], listing["credentials"]) == ("demo", "BL_API_KEY")


def test_with_demo_no_account_is_needed(run: Run) -> None:
    finished = run("--demo", "run", "house-chat", "--data", HELLO)

    assert finished.code == 0
    assert "42" in finished.out
    listing = run("models", "--demo").out
    assert "house-classifier" in listing
    assert "credentials  api_key of --demo\n" in listing


def test_version_and_help_go_to_stdout(run: Run) -> None:
    assert run("--version") == run("-V") == Finished(0, f"blaxel-mcp {__version__}\n", "")
    assert run("help") == run("--help")
    assert run("help", "usage") == run("usage", "--help")
    assert all(command in run("--help").out for command in ("serve", "run", "models", "demo", "emulator"))


@pytest.mark.usefixtures("platform")
def test_warnings_about_settings_go_to_stderr(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_API_KEY", "${KEY}")

    finished = run("models", "--log-format", "json")

    assert "BLAXEL_MCP_API_KEY" in json.loads(finished.err)["message"]
    assert finished.code == 0


@pytest.mark.usefixtures("platform")
def test_with_a_json_log_an_error_is_a_json_line_too(run: Run) -> None:
    finished = run("run", "fault-500", "--log-format", "json")

    line = json.loads(finished.err)
    assert (finished.code, line["level"]) == (1, "error")
    assert line["message"].startswith("upstream_error: Blaxel answered 500")


def test_doctor_reports_a_settings_file_in_no_home_directory(run: Run) -> None:
    finished = run("doctor", "--config", "~no-such-user-here/config.toml")

    assert (finished.code, finished.err) == (1, "")
    assert "config.toml is in a home directory that does not exist." in finished.out


def test_with_demo_every_model_of_the_emulator_can_be_used(run: Run) -> None:
    listing = json.loads(run("models", "--demo", "--json").out)

    assert listing["total"] == 12
    assert {model["status"] for model in listing["models"]} == {"DEPLOYED"}
    assert all(model["path"] for model in listing["models"])


def test_a_playground_on_a_taken_port_names_its_own_options_only(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = run("playground", "--demo", "--no-open", "--port", str(taken.getsockname()[1]))

    assert finished.code == 2
    assert "Choose another port with --port" in finished.err
    assert "--host" not in finished.err


def test_a_call_of_the_demo_is_in_no_ledger_and_no_audit_file(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "audited"
    folder.mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[audit]\nfile = "{folder / "audit.log"}"\n[budget]\nledger = "{folder / "ledger.sqlite3"}"\n')

    assert run("run", "house-chat", "--demo", "--config", str(config), "Hi").code == 0

    assert list(folder.iterdir()) == []


def test_the_faults_of_the_emulator_are_listed(run: Run) -> None:
    names = run("emulator", "--list-faults").out.split()

    assert {"fault-429", "fault-slow-Ns", "fault-stream-cut", "fault-first-N-KIND"} <= set(names)
