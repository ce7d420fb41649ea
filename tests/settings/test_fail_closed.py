"""Settings that are there and shut nothing: an error at the start; on a running server, an edit without effect."""

import json
import os
import re
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.settings.schema import AccessSettings, Settings
from blaxel_mcp.settings.toml_file import file_signature
from tests.support.canaries import HTTP_TOKEN

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what must not be listened on just so
HOSTED = {"HOST": EVERYWHERE, "PORT": "80"}
"""What a platform sets."""

RANDOM = "5f0c9a1e7b3d4826a0be91d27c64f38b"
ISSUER = {"issuer": "https://login.example.com", "audience": "https://models.example.com/mcp"}

posix_only = pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions elsewhere")


def problems(content: str = "", environ: dict[str, str] | None = None, **http: Any) -> list[str]:
    """The lines of the message after the first."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(overrides={"http": http} if http else None, environ=environ or {}, config_file=_file(content))
    return re.sub(r"settings\.toml:\d+", "settings.toml", str(caught.value)).splitlines()[1:]


def _file(content: str) -> Path:
    path = Path.home() / "settings.toml"
    path.write_text(content)
    path.chmod(0o600)
    return path


# Who may call


@pytest.mark.parametrize(
    ("http", "key", "needed"),
    [
        ({"bearer_tokens": [RANDOM]}, "bearer_tokens", "token"),
        ({"auth": "platform", "bearer_tokens": [RANDOM]}, "bearer_tokens", "token"),
        ({"auth": "caller", "bearer_tokens": [RANDOM]}, "bearer_tokens", "token"),
        ({"auth": "oauth", **ISSUER, "bearer_tokens": [RANDOM]}, "bearer_tokens", "token"),
        ({"issuer": "https://login.example.com"}, "issuer", "oauth"),
        ({"audience": "a"}, "audience", "oauth"),
        ({"scopes": ["models:call"]}, "scopes", "oauth"),
        ({"jwks_url": "https://login.example.com/keys"}, "jwks_url", "oauth"),
        ({"auth": "token", "bearer_tokens": [RANDOM], "scopes": ["models:call"]}, "scopes", "oauth"),
        ({"auth": "platform", "jwks_url": "https://login.example.com/keys"}, "jwks_url", "oauth"),
    ],
    ids=str,
)
@pytest.mark.parametrize("source", ["command line", "variable", "another source"])
def test_a_key_without_its_auth_is_an_error(http: dict[str, Any], key: str, needed: str, source: str) -> None:
    auth = http.get("auth")
    state = f'http.auth is "{auth}"' if auth else "http.auth is not set"
    end = f'has no effect: {state}; set http.auth to "{needed}", or remove http.{key}'
    if source == "command line":
        assert problems(**http) == [f"http.{key} on the command line {end}"]
    elif source == "variable":
        assert problems(environ={"BLAXEL_MCP_HTTP": json.dumps(http)}) == [f"BLAXEL_MCP_HTTP {end}"]
    else:
        rest = {name: value for name, value in http.items() if name != key}
        (problem,) = problems(f"[http]\n{key} = {json.dumps(http[key])}", **rest)
        assert problem == f"http.{key} in {Path.home() / 'settings.toml'} {end}"


@pytest.mark.parametrize(
    "http",
    [
        {"auth": "token", "bearer_tokens": [RANDOM, HTTP_TOKEN]},
        {"auth": "oauth", **ISSUER, "scopes": ["a"], "jwks_url": "https://login.example.com/keys"},
        {"auth": "caller"},
        {"auth": "platform"},
        {"bearer_tokens": [], "scopes": []},
    ],
    ids=str,
)
@pytest.mark.parametrize("environ", [{}, {"BL_CLOUD": "true", **HOSTED}], ids=["here", "Blaxel"])
def test_keys_that_agree_are_taken(http: dict[str, Any], environ: dict[str, str]) -> None:
    settings = load_settings(overrides={"http": http}, environ=environ).settings
    assert settings.http.auth == http.get("auth")


@pytest.mark.parametrize("value", ["true", "TRUE", " 1 "])
def test_no_variable_of_the_platform_says_who_may_call(value: str) -> None:
    config = load_settings(environ={"BL_CLOUD": value, **HOSTED})
    assert config.settings.http.auth is None
    assert "http.auth" not in config.sources


@pytest.mark.parametrize("auth", [None, "platform"])
@pytest.mark.parametrize("host", [EVERYWHERE, "::", "127.0.0.1"])
def test_a_host_of_ones_own_contradicts_that_of_blaxel(auth: str | None, host: str) -> None:
    environ = {"BL_CLOUD": "true", **HOSTED}
    (by_flag,) = problems(environ=environ, host=host, auth=auth)
    (by_variable,) = problems(environ={**environ, "BLAXEL_MCP_HTTP__HOST": host}, auth=auth)
    assert by_flag.startswith("http.host on the command line contradicts BL_CLOUD")
    assert by_variable.startswith("BLAXEL_MCP_HTTP__HOST contradicts BL_CLOUD")


def test_on_blaxel_tokens_need_their_auth_and_then_any_host_is_good() -> None:
    environ = {"BL_CLOUD": "true", "BLAXEL_MCP_HTTP__BEARER_TOKENS": f'["{RANDOM}"]'}
    assert "http.auth is not set" in problems(environ=environ)[0]
    config = load_settings(overrides={"http": {"auth": "token", "host": EVERYWHERE}}, environ=environ)
    assert config.settings.http.auth == "token"


GUESSABLE = [
    *("replace-this-by-what-openssl-prints", "Replace_Me_With_A_Token", "changeme-changeme-1", "your-token-goes-here"),
    *("a" * 32, "1234567890123456", "0123456789abcdef", "abcdefghijklmnop", "password12345678", "ab" * 12),
    *("op://Private/mcp/password", "vault:kv/data/mcp#bearer", "arn:aws:secretsmanager:eu-1:1:mcp", "env:MCP_BEARER_1"),
    *("s3cr3t-x-s3cr3t-x", "MCP_BEARER_TOKEN_1", "fedcba9876543210", "qwertyuiopasdfghjkl", "my-secret-number-1"),
]


@pytest.mark.parametrize("token", GUESSABLE)
def test_a_token_that_anybody_may_try_is_an_error_that_does_not_quote_it(token: str) -> None:
    (problem,) = problems(auth="token", bearer_tokens=[RANDOM, token])
    assert problem.startswith("http.bearer_tokens[1] on the command line could be guessed; use a random token")
    assert token not in problem


def test_a_token_for_two_clients_is_an_error() -> None:
    environ = {"BLAXEL_MCP_HTTP__AUTH": "token", "BLAXEL_MCP_HTTP__BEARER_TOKENS": f'["{RANDOM}", "{RANDOM}"]'}
    (problem,) = problems(environ=environ)
    assert problem.startswith("BLAXEL_MCP_HTTP__BEARER_TOKENS (http.bearer_tokens[1]) repeats another token; give each")


def test_the_token_of_the_documentation_is_one_that_is_rejected() -> None:
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    assert f'bearer_tokens = ["{GUESSABLE[0]}"]' in page


# What may be called, and where


@pytest.mark.parametrize("folder", [".", "./pictures", "pictures", "..", "~other/x", "-", "C:pictures", "a\0b"])
def test_a_folder_that_depends_on_the_working_directory_is_an_error(folder: str) -> None:
    with pytest.raises(ConfigurationError, match=r"files.allowed_dirs\[0\] .* must be an absolute path, or begin with"):
        load_settings(overrides={"files": {"allowed_dirs": [folder]}}, environ={})
    with pytest.raises(ConfigurationError, match=r"files.output_dir .* must be an absolute path, or begin with"):
        load_settings(overrides={"files": {"output_dir": folder}}, environ={})


@pytest.mark.parametrize("url", ["http://run.blaxel.ai", "http://localhost.example.com", "http://10.0.0.1:8000/v0"])
@pytest.mark.parametrize("name", ["run_url", "api_url", "url", "BL_RUN_URL", "BL_API_URL", "BLAXEL_MCP_RUN_URL"])
def test_credentials_leave_this_machine_over_https_only(name: str, url: str) -> None:
    overrides: dict[str, Any] = {} if name.isupper() else {name: url}
    if name == "url":
        overrides = {"models": [{"name": "m", "url": url}]}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(overrides=overrides, environ={name: url} if name.isupper() else {})
    assert f"{name}" in str(caught.value)
    assert "must be an https URL: over http, your credentials could be read on the way" in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:1/v0", "http://[::1]:9"])
def test_on_this_machine_http_will_do(url: str) -> None:
    config = load_settings(overrides={"run_url": url, "models": [{"name": "m", "url": url}]}, environ={})
    assert config.settings.run_url == url


@pytest.mark.parametrize(
    "value",
    ["${SYSTEM}", "$SYSTEM", "$(SYSTEM)", "{{ system }}", "${{ env.SYSTEM }}", "%SYSTEM%", ["${A}"], {"x": "${A}"}],
    ids=str,
)
@pytest.mark.parametrize("source", ["file", "variable"])
def test_a_lock_that_was_not_expanded_is_an_error(value: Any, source: str) -> None:
    models = [{"name": "a"}, {"name": "b", "locked": {"temperature": 0, "system": value}}]
    if source == "variable":
        where = "BLAXEL_MCP_MODELS (models[1].locked.system)"
        found = problems(environ={"BLAXEL_MCP_MODELS": json.dumps(models)})
    else:
        where = f"models[1].locked.system in {Path.home() / 'settings.toml'}"
        text = json.dumps(value).replace(":", "=")
        found = problems(
            f'[[models]]\nname = "a"\n[[models]]\nname = "b"\nlocked = {{ temperature = 0, system = {text} }}\n'
        )
    assert found == [f"{where} is a placeholder that was not expanded; write the value itself"]


@pytest.mark.parametrize(
    "value", ["", "Write ${NAME} where a name is due.", "<eos>", "{}", "100 %", ["<a>", "$"]], ids=str
)
def test_a_lock_of_any_other_text_is_meant(value: Any) -> None:
    models = json.dumps([{"name": "m", "locked": {"stop": value}}])
    assert load_settings(environ={"BLAXEL_MCP_MODELS": models}).settings.models[0].locked == {"stop": value}


@pytest.mark.parametrize("name", ["BLAXEL_ACCESS__MODELS", "BL_MCP_ACCESS__MODELS", "MCP_BLAXEL_ACCESS__MODELS"])
@pytest.mark.parametrize("spelled", [str, str.lower, " {}".format], ids=["as it is", "small", "after a space"])
def test_a_setting_under_another_prefix_is_an_error(name: str, spelled: Callable[[str], str]) -> None:
    variable = spelled(name)
    advice = "is not a setting; did you mean BLAXEL_MCP_ACCESS__MODELS?"
    assert problems(environ={variable: '["cheap"]'}) == [f"{variable} {advice}"]


def test_a_setting_after_a_space_is_an_error() -> None:
    (problem,) = problems(environ={" BLAXEL_MCP_ACCESS__MODELS": '["cheap"]'})
    assert problem.endswith("is not a setting; did you mean BLAXEL_MCP_ACCESS__MODELS?")


@pytest.mark.parametrize("name", ["BLAXEL_HOME", "BLAXEL_API__VERSION", "BL_MCP_SERVER", "BL_FUNCTION__NAME"])
def test_a_variable_that_may_be_anothers_is_left_alone(name: str) -> None:
    assert load_settings(environ={name: "x"}).settings == Settings()


@pytest.mark.parametrize(
    "content", ['{"models": ["cheap"], "models": ["*"]}', '{"models": ["cheap"], "Models": ["*"]}']
)
def test_a_variable_that_says_two_things_is_an_error(content: str) -> None:
    assert problems(environ={"BLAXEL_MCP_ACCESS": content}) == [
        "BLAXEL_MCP_ACCESS is JSON in which an object has a key twice; write each key once"
    ]


def test_null_is_a_value_for_a_model_and_no_value_for_a_setting() -> None:
    models = '[{"name": "m", "locked": {"tools": null}}]'
    assert load_settings(environ={"BLAXEL_MCP_MODELS": models}).settings.models[0].locked == {"tools": None}
    assert problems(environ={"BLAXEL_MCP_BUDGET": '{"calls_per_day": null, "call_per_day": null}'}) == [
        "BLAXEL_MCP_BUDGET (budget.calls_per_day) is null; set a value, or remove it",
        "BLAXEL_MCP_BUDGET (budget.call_per_day) is not a setting; did you mean calls_per_day?",
    ]


@pytest.mark.parametrize("name", ["HTTP", "ACCESS", "BUDGET", "LIMITS", "FILES", "MODELS"])
def test_a_variable_for_a_whole_section_that_is_null_is_an_error(name: str) -> None:
    assert problems(environ={f"BLAXEL_MCP_{name}": "null"}) == [
        f"BLAXEL_MCP_{name} does not set anything; set a value, or remove it"
    ]


def test_all_mistakes_come_at_once_with_their_keys_and_sources() -> None:
    content = f'[http]\nauth = ""\nbearer_tokens = ["{RANDOM}"]\n[budget]\ncalls_per_day = "${{CAP}}"\nusd_day = 1\n'
    environ = {"BLAXEL_MCP_HTTP_AUTH": "token", "BLAXEL_MCP_ACCESS__MODELS": "", "BL_RUN_URL": "http://run.blaxel.ai"}
    file = Path.home() / "settings.toml"
    *first, last = problems(content, environ)
    assert first == [
        "BLAXEL_MCP_ACCESS__MODELS is blank; set a value, or remove it",
        "BLAXEL_MCP_HTTP_AUTH is not a setting; did you mean BLAXEL_MCP_HTTP__AUTH?",
        "BL_RUN_URL must be an https URL: over http, your credentials could be read on the way",
        f"http.auth in {file} is blank; set a value, or remove it",
        f"budget.calls_per_day in {file} contains a placeholder that was not expanded; write the value itself",
        f"budget.usd_day in {file} is not a setting; did you mean usd_per_day?",
    ]
    assert last.startswith(f"http.bearer_tokens in {file} has no effect: http.auth is not set")


def test_a_file_that_cannot_be_read_is_told_beside_the_other_mistakes() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config_file=Path.home() / "none.toml", environ={"BLAXEL_MCP_LIMITS__MAX_QUEUE": ""})
    lines = str(caught.value).splitlines()
    assert lines[1] == "BLAXEL_MCP_LIMITS__MAX_QUEUE is blank; set a value, or remove it"
    assert lines[2].startswith(f"The settings file {Path.home() / 'none.toml'} cannot be read")


@pytest.mark.parametrize("source", ["--config", "BLAXEL_MCP_CONFIG"])
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        *((blank, "is blank") for blank in ("", "  ", "\u200b")),
        *((name, "contains a placeholder") for name in ("${FILE}", "$FILE", "%FILE%", "{{ file }}", "<file>")),
    ],
)
def test_a_path_of_the_settings_file_that_says_nothing_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, source: str, value: str, fault: str
) -> None:
    # Not even a file of that name in the working directory is meant.
    monkeypatch.chdir(home)
    (home / "${FILE}").write_text("")
    how: dict[str, Any] = {"config_file": value} if source == "--config" else {"environ": {source: value}}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**{"environ": {}, **how})
    assert str(caught.value).startswith(f"{source} {fault}")


# The file of a running server


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_text(" \n")


def _comment_out(path: Path) -> None:
    path.write_text("# [access]\n")


def _keep_the_header(path: Path) -> None:
    path.write_text("[access]\n")


def _make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def _make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def _let_others_write(path: Path) -> None:
    path.chmod(0o666)


EDITS = [
    *(_remove, _empty, _comment_out, _keep_the_header, _make_a_folder, _make_a_link_to_nothing, _make_a_pipe),
    *(_move_the_folder, _let_others_write),
]


@posix_only
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("place", ["default", "--config", "BLAXEL_MCP_CONFIG"])
def test_a_file_that_is_gone_leaves_the_rules_of_a_running_server(
    home: Path, edit: Callable[[Path], None], place: str
) -> None:
    path = platformdirs.user_config_path("blaxel-mcp", appauthor=False) / "config.toml"
    path = path if place == "default" else home / "folder" / "named.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[access]\nmodels = ["cheap"]\n')
    environ = {"BLAXEL_MCP_CONFIG": str(path)} if place == "BLAXEL_MCP_CONFIG" else {}
    config = load_settings(config_file=path if place == "--config" else None, environ=environ)
    for _ in range(2):
        # The first edit is good: what counts is that the file was read at all.
        path.write_text('[access]\nmodels = ["cheap", "dear"]\n')
        config = config.read_again()
    before = file_signature(path)

    edit(path)

    assert file_signature(path) != before
    with pytest.raises(ConfigurationError, match=r"The settings file .*\.toml (cannot be|does not|can be|no longer)"):
        config.read_again()
    assert config.settings.access == AccessSettings(models=("cheap", "dear"))


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_a_file_that_set_nothing_may_stay_so(home: Path, content: str) -> None:
    path = home / "named.toml"
    path.write_text(content)
    config = load_settings(config_file=path, environ={}).read_again()
    assert config.settings == Settings()


def test_a_default_file_may_appear_later_and_then_has_to_stay() -> None:
    path = platformdirs.user_config_path("blaxel-mcp", appauthor=False) / "config.toml"
    config = load_settings(environ={}).read_again()
    path.parent.mkdir(parents=True)
    path.write_text("[limits]\nmax_queue = 3\n")
    config = config.read_again()
    assert config.settings.limits.max_queue == 3
    path.unlink()
    with pytest.raises(ConfigurationError, match="Restore it, or restart the server to run without its settings"):
        config.read_again()


# Whose file it is


def _default_file(content: str = "[limits]\nmax_queue = 3\n") -> Path:
    path = platformdirs.user_config_path("blaxel-mcp", appauthor=False) / "config.toml"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text(content)
    path.chmod(0o600)
    return path


def _told(path: Path, **how: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ={}, **how)
    message = str(caught.value)
    assert str(path) in message
    return message


@posix_only
@pytest.mark.parametrize("named", [True, False], ids=["named", "default"])
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602, 0o664])
def test_a_file_that_others_can_change_is_refused(mode: int, named: bool) -> None:
    path = _default_file()
    path.chmod(mode)
    message = _told(path, config_file=path if named else None)
    fix = f"Run `chmod go-w {shlex.quote(str(path))}`."
    assert message == f"The settings file {path} can be changed by other users. {fix}"


@posix_only
def test_a_file_in_a_folder_in_which_others_can_replace_it_is_refused() -> None:
    path = _default_file()
    for folder, mode, refused in (
        (path.parent, 0o777, True),
        (path.parent, 0o770, True),
        (path.parent, 0o1777, False),
        (path.parent, 0o755, False),
        (path.parent.parent, 0o777, True),
        (path.parent.parent, 0o1777, False),
        (path.parent.parent, 0o775, False),
    ):
        before = stat.S_IMODE(folder.stat().st_mode)
        folder.chmod(mode)
        if refused:
            assert f"is in {folder}, in which other users can replace it. Run `chmod go-w " in _told(path)
        else:
            assert load_settings(environ={}).file == path
        folder.chmod(before)


@posix_only
def test_a_link_does_not_hide_where_the_file_is(home: Path) -> None:
    path = _default_file()
    shared = home / "shared"
    shared.mkdir()
    target = shared / "settings.toml"
    target.write_text("[limits]\nmax_queue = 3\n")
    path.unlink()
    path.symlink_to(target)
    assert load_settings(environ={}).settings.limits.max_queue == 3
    shared.chmod(0o777)
    assert f"is in {shared}, in which other users can replace it" in _told(path)


@posix_only
def test_a_file_of_another_user_is_refused_and_one_of_root_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _default_file()
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4711)
    if owner:
        assert f"belongs to the user with id {owner}: you are not its owner" in _told(path)
    else:
        assert load_settings(environ={}).file == path
        os.chown(path, 4712, -1)
        assert "belongs to the user with id 4712: you are not its owner" in _told(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_root_does_not_read_the_file_of_a_user() -> None:
    path = _default_file()
    os.chown(path, 4712, -1)
    message = _told(path)
    assert "belongs to the user with id 4712: root does not read the settings of another user" in message
    assert f"chown 0 {path}" in message


@posix_only
def test_a_default_file_that_may_not_be_read_is_a_warning_and_a_named_one_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = _default_file()

    def refuse(self: Path, *_mode: Any, **_how: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    config = load_settings(environ={})
    assert (config.file, config.settings) == (None, Settings())
    assert f"The settings file {path} may not be read, and is not used." in config.warnings
    assert "cannot be read (Permission denied)" in _told(path, config_file=path)


@posix_only
@posix_only
def test_a_file_without_an_end_is_an_error() -> None:
    endless = Path("/dev/zero")
    assert _told(endless, config_file=endless).startswith("The settings file /dev/zero is larger than 10485760 bytes. ")


def test_a_default_file_that_is_a_link_to_nothing_or_a_folder_is_an_error() -> None:
    path = _default_file()
    _make_a_link_to_nothing(path)
    assert "cannot be read (No such file or directory)" in _told(path)
    path.unlink()
    path.mkdir()
    assert "cannot be read (Is a directory)" in _told(path)
