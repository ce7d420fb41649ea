"""The file that `bl login` writes, in every known state."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from blaxel_mcp.settings.login_file import (
    MAX_LOGIN_FILE_BYTES,
    LoginEntry,
    LoginFile,
    default_login_path,
    read_login_file,
)
from tests.support.canaries import MARKER

CANARY = f"{MARKER}-do-not-show"


def no_pause(_seconds: float) -> None:
    """Do not wait before the second reading."""


def written(home: Path, content: str | bytes) -> Path:
    path = home / "config.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(home: Path, content: str | bytes) -> LoginFile:
    return read_login_file(written(home, content), pause=no_pause)


def read_entry(home: Path, credentials: str) -> LoginEntry:
    login = read(home, f"workspaces:\n- name: acme\n  credentials: {credentials}\n")
    assert login.problem is None
    return login.entries["acme"]


def test_login_file_lies_where_blaxels_cli_puts_it() -> None:
    assert default_login_path(Path("/home/ada")) == Path("/home/ada/.blaxel/config.yaml")


def test_every_key_that_the_cli_writes_is_read(home: Path) -> None:
    path = written(
        home,
        """
context:
  workspace: acme
workspaces:
- name: acme
  id: ws-1
  env: dev
  credentials:
    apiKey: key-of-acme
    access_token: access-of-acme
    refresh_token: refresh-of-acme
    expires_in: 7200
    device_code: device-of-acme
    client_credentials: pair-of-acme
- name: beta
  credentials:
    apiKey: key-of-beta
tracking: true
""",
    )
    assert read_login_file(path, pause=no_pause) == LoginFile(
        path=path,
        current_workspace="acme",
        entries={
            "acme": LoginEntry(
                name="acme",
                env="dev",
                api_key=SecretStr("key-of-acme"),
                client_credentials=SecretStr("pair-of-acme"),
                access_token=SecretStr("access-of-acme"),
                refresh_token=SecretStr("refresh-of-acme"),
                device_code=SecretStr("device-of-acme"),
            ),
            "beta": LoginEntry(name="beta", api_key=SecretStr("key-of-beta")),
        },
    )


@pytest.mark.parametrize("spelling", ["client_credentials", "clientCredentials"])
def test_client_credentials_are_read_in_both_spellings(home: Path, spelling: str) -> None:
    assert read_entry(home, f"{{{spelling}: pair}}").client_credentials == SecretStr("pair")


def test_an_empty_spelling_does_not_hide_the_other(home: Path) -> None:
    entry = read_entry(home, '{client_credentials: "", clientCredentials: pair}')
    assert entry.client_credentials == SecretStr("pair")


@pytest.mark.parametrize("unused", ['""', '"  "', "0", "null", "~", "${BL_API_KEY}", "$BL_API_KEY"])
def test_what_the_cli_leaves_unused_is_absent(home: Path, unused: str) -> None:
    login = read(
        home,
        f"""
context: {{workspace: {unused}}}
workspaces:
- name: acme
  env: {unused}
  credentials: {{apiKey: {unused}, access_token: {unused}, refresh_token: {unused}, device_code: {unused}}}
""".replace("${BL_API_KEY}", '"${BL_API_KEY}"'),
    )
    assert login == LoginFile(path=login.path, entries={"acme": LoginEntry(name="acme")})


def test_the_first_entry_of_a_name_counts(home: Path) -> None:
    login = read(
        home,
        "workspaces: [{name: acme, credentials: {apiKey: first}}, {name: acme, credentials: {apiKey: second}}]",
    )
    assert login.entries == {"acme": LoginEntry(name="acme", api_key=SecretStr("first"))}


def test_a_missing_file_is_no_problem_and_is_not_waited_for(home: Path) -> None:
    pauses: list[float] = []
    path = home / "none" / "config.yaml"
    assert read_login_file(path, pause=pauses.append) == LoginFile(path)
    assert pauses == []


def test_a_path_through_a_file_counts_as_missing(home: Path) -> None:
    path = written(home, "") / "config.yaml"
    assert read_login_file(path, pause=no_pause) == LoginFile(path)


@pytest.mark.parametrize("content", ["", "---\n", "tracking: true\n", "workspaces: []\n", "workspaces:\n"])
def test_a_file_without_workspaces_is_no_problem(home: Path, content: str) -> None:
    login = read(home, content)
    assert login == LoginFile(login.path)


def test_a_byte_order_mark_is_read_over(home: Path) -> None:
    assert read(home, b"\xef\xbb\xbfcontext: {workspace: acme}\n").current_workspace == "acme"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(f"a: [{CANARY}", "it is not valid YAML at line 1, column 28", id="unclosed"),
        pytest.param(f"a: b\n{CANARY}: c: d", "it is not valid YAML at line 2, column 27", id="second line"),
        pytest.param(f"a: !python/name:{CANARY} x", "it is not valid YAML at line 1, column 4", id="foreign tag"),
        pytest.param(f"a: !!int {CANARY}", "it is not valid YAML", id="word tagged as a number"),
        pytest.param("a: !!int ''", "it is not valid YAML", id="nothing tagged as a number"),
        pytest.param(f"a: !!timestamp {CANARY}", "it is not valid YAML", id="word tagged as a time"),
        pytest.param(f"a: !!bool {CANARY}", "it is not valid YAML", id="word tagged as a truth value"),
        pytest.param("a: 2026-13-45", "it is not valid YAML", id="impossible date"),
        pytest.param("[" * 1_000, "it is not valid YAML", id="nested without end"),
        pytest.param("a: \x00", "it is not valid YAML", id="control character"),
        pytest.param(f"{CANARY}: caf\xe9".encode("latin-1"), "it is not UTF-8 text", id="latin-1"),
        pytest.param(
            "#" * (MAX_LOGIN_FILE_BYTES + 1), f"it is larger than {MAX_LOGIN_FILE_BYTES} bytes", id="too large"
        ),
        pytest.param(CANARY, "its top level is not a table", id="text"),
        pytest.param(f"[{CANARY}]", "its top level is not a table", id="list"),
        pytest.param(f"context: {CANARY}", "context is not a table", id="context"),
        pytest.param("context: {workspace: 7}", "context.workspace is not text", id="numeric workspace"),
        pytest.param(f"workspaces: {CANARY}", "workspaces is not a list", id="workspaces"),
        pytest.param("workspaces: {a: 1}", "workspaces is not a list", id="workspaces as a table"),
        pytest.param(f"workspaces: [{CANARY}]", "workspaces[0] is not a table; workspaces[0] has no name", id="entry"),
        pytest.param("workspaces: [{env: dev}]", "workspaces[0] has no name", id="nameless entry"),
    ],
)
def test_a_broken_file_gives_a_problem_that_quotes_nothing(home: Path, content: str | bytes, problem: str) -> None:
    login = read(home, content)
    assert login == LoginFile(login.path, problem=problem)


def test_a_broken_entry_leaves_the_others_usable(home: Path) -> None:
    login = read(
        home,
        f"workspaces: [7, {{name: acme, credentials: {CANARY}}}, {{name: beta, credentials: {{apiKey: [1]}}}}, "
        "{name: gamma, credentials: {apiKey: key}}]",
    )
    assert login.entries == {
        "acme": LoginEntry(name="acme"),
        "beta": LoginEntry(name="beta"),
        "gamma": LoginEntry(name="gamma", api_key=SecretStr("key")),
    }
    assert login.problem == (
        "workspaces[0] is not a table; workspaces[0] has no name; workspaces[1].credentials is not a table; "
        "workspaces[2].credentials.apiKey is not text"
    )


@pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions elsewhere")
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_can_change_is_not_used(home: Path, mode: int) -> None:
    path = written(home, "context: {workspace: theirs}\nworkspaces:\n- name: theirs\n  credentials: {apiKey: x}\n")
    path.chmod(mode)

    login = read_login_file(path, pause=no_pause)

    assert (login.entries, login.current_workspace) == ({}, None)
    assert login.problem == f"it can be changed by other users. Run `chmod go-w {path}`"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_used(home: Path) -> None:
    path = written(home, "workspaces:\n- name: theirs\n  credentials: {apiKey: x}\n")
    os.chown(path, 12345, 12345)

    login = read_login_file(path, pause=no_pause)

    assert login.entries == {}
    assert login.problem is not None
    assert login.problem.startswith("it belongs to the user with id 12345")


def test_a_directory_in_its_place_is_a_problem(home: Path) -> None:
    login = read_login_file(home, pause=no_pause)
    assert login.entries == {}
    assert login.problem is not None
    assert login.problem.startswith("it cannot be read (")


@pytest.mark.parametrize(
    "half",
    ["", "workspaces:\n- name: acme\n  credentials: {apiKey: ", "context: {workspace: acme}\n"],
    ids=["emptied", "broken", "cut before the workspaces"],
)
def test_a_file_caught_half_written_is_read_once_again(home: Path, half: str) -> None:
    path = written(home, half)

    def finish_writing(_seconds: float) -> None:
        path.write_text("context: {workspace: acme}\nworkspaces: [{name: acme, credentials: {apiKey: key}}]\n")

    assert read_login_file(path, pause=finish_writing) == LoginFile(
        path, "acme", {"acme": LoginEntry(name="acme", api_key=SecretStr("key"))}
    )


def test_a_file_that_stays_broken_is_read_no_more_than_twice(home: Path) -> None:
    pauses: list[float] = []
    assert read_login_file(written(home, "a: ["), pause=pauses.append).problem is not None
    assert len(pauses) == 1
    assert pauses[0] < 1


def test_a_whole_file_is_not_waited_for(home: Path) -> None:
    pauses: list[float] = []
    read_login_file(written(home, "workspaces: [{name: acme}]"), pause=pauses.append)
    assert pauses == []


def test_no_secret_is_in_the_text_of_a_login_file(home: Path) -> None:
    login = read(
        home,
        f"workspaces: [{{name: acme, credentials: {{apiKey: {CANARY}, client_credentials: {CANARY}, "
        f"access_token: {CANARY}, refresh_token: {CANARY}, device_code: {CANARY}}}}}]",
    )
    assert CANARY not in repr(login)
    assert CANARY not in str(login)
