"""Sources of settings, their precedence, and the messages for mistakes in them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from pydantic import SecretStr

from blaxel_mcp.apis import APIS
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.redaction import SHOWN_CHARS
from blaxel_mcp.settings.limits import LimitSettings
from blaxel_mcp.settings.loading import Configuration, load_settings
from blaxel_mcp.settings.login_file import LoginFile, read_login_file
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import AccessSettings, Settings
from blaxel_mcp.settings.types import API_NAMES
from tests.support.canaries import MARKER

CANARY = f"{MARKER}-do-not-show"
HIDDEN = "*" * len(CANARY)
PLACEHOLDERS = [
    "${NAME}",
    "${env:NAME}",
    "${input:name}",
    "${user_config.name}",
    "$NAME",
    "  ${NAME} ",
    '"${NAME}"',
    "Bearer ${NAME}",
]
EMPTY = ["", "  ", "\n", '""', "''", "Bearer "]

posix_only = pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions elsewhere")


def write_file(home: Path, content: str | bytes, *, mode: int = 0o600) -> Path:
    path = home / "named.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def write_login(home: Path, content: str) -> Path:
    path = home / ".blaxel" / "config.yaml"
    path.parent.mkdir()
    path.write_text(content)
    return path


def load(home: Path, content: str, environ: Mapping[str, str] | None = None, **overrides: Any) -> Configuration:
    return load_settings(overrides=overrides, config_file=write_file(home, content), environ=environ or {})


def problems(home: Path, content: str = "", environ: Mapping[str, str] | None = None, **overrides: Any) -> list[str]:
    """Return the lines of the message after the first, with FILE for the path of the file."""
    with pytest.raises(ConfigurationError) as caught:
        load(home, content, environ, **overrides)
    first, *rest = str(caught.value).split("\n")
    assert first == "The settings cannot be used:"
    assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.__context__!r}"
    return [re.sub(rf"{re.escape(str(home / 'named.toml'))}(:\d+)?", "FILE", line) for line in rest]


# The order of the sources


def test_without_any_source_every_setting_is_its_default() -> None:
    config = load_settings(environ={})
    assert config == Configuration(Settings(), LoginFile(config.login.path))


def test_the_environment_of_the_process_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BL_WORKSPACE", "acme")
    assert load_settings().settings.workspace == "acme"
    assert load_settings(environ={}).settings.workspace is None


@pytest.mark.parametrize(
    ("missing", "winner", "source"),
    [
        pytest.param(0, "from-flag", "command line", id="command line"),
        pytest.param(1, "from-ours", "BLAXEL_MCP_WORKSPACE", id="our variable"),
        pytest.param(2, "from-blaxel", "BL_WORKSPACE", id="Blaxel's variable"),
        pytest.param(3, "from-file", "FILE", id="file"),
        pytest.param(4, "from-login", "bl login file (LOGIN)", id="login file"),
    ],
)
def test_the_first_source_that_gives_the_workspace_wins(home: Path, missing: int, winner: str, source: str) -> None:
    login = write_login(home, "context: {workspace: from-login}\nworkspaces: [{name: from-login}]")
    ours = {"BLAXEL_MCP_WORKSPACE": "from-ours"} if missing < 2 else {}
    blaxels = {"BL_WORKSPACE": "from-blaxel"} if missing < 3 else {}
    path = write_file(home, 'workspace = "from-file"' if missing < 4 else "")
    overrides = {"workspace": "from-flag" if missing < 1 else None}
    config = load_settings(overrides=overrides, config_file=path, environ=ours | blaxels)
    assert config.settings.workspace == winner
    assert config.sources == {"workspace": source.replace("FILE", str(path)).replace("LOGIN", str(login))}


def test_a_section_is_put_together_from_all_sources(home: Path) -> None:
    config = load(
        home,
        "[limits]\ntimeout_seconds = 1\nconnect_seconds = 2\nmax_response_bytes = 3\n",
        {"BLAXEL_MCP_LIMITS__CONNECT_SECONDS": "20", "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS": "10"},
        limits={"timeout_seconds": 100},
    )
    assert config.settings.limits == LimitSettings(timeout_seconds=100, connect_seconds=20, max_response_bytes=3)
    assert config.sources == {
        "limits.timeout_seconds": "command line",
        "limits.connect_seconds": "BLAXEL_MCP_LIMITS__CONNECT_SECONDS",
        "limits.max_response_bytes": str(config.file),
    }


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        pytest.param("BLAXEL_MCP_WORKSPACE", " acme\r\n", Settings(workspace="acme"), id="text"),
        pytest.param("BLAXEL_MCP_API_KEY", "k", Settings(api_key=SecretStr("k")), id="secret"),
        pytest.param(
            "BLAXEL_MCP_API_KEY_COMMAND", '["op", "read"]', Settings(api_key_command=("op", "read")), id="words"
        ),
        pytest.param(
            "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS",
            "1.5",
            Settings(limits=LimitSettings(timeout_seconds=1.5)),
            id="number",
        ),
        pytest.param(
            "BLAXEL_MCP_ACCESS__MODELS", '["gpt-*"]', Settings(access=AccessSettings(models=("gpt-*",))), id="list"
        ),
        pytest.param(
            "BLAXEL_MCP_ACCESS", '{"paths": ["/v1/*"]}', Settings(access=AccessSettings(paths=("/v1/*",))), id="section"
        ),
        pytest.param(
            "BLAXEL_MCP_MODELS",
            '[{"name": "m", "defaults": {"n": ""}}]',
            Settings(models=(ModelSettings(name="m", defaults={"n": ""}),)),
            id="tables",
        ),
        pytest.param("BL_WORKSPACE", "acme", Settings(workspace="acme"), id="BL_WORKSPACE"),
        pytest.param("BL_API_KEY", "k", Settings(api_key=SecretStr("k")), id="BL_API_KEY"),
        pytest.param(
            "BL_CLIENT_CREDENTIALS", "p", Settings(client_credentials=SecretStr("p")), id="BL_CLIENT_CREDENTIALS"
        ),
        pytest.param("BL_API_URL", "https://a/v0/", Settings(api_url="https://a/v0"), id="BL_API_URL"),
        pytest.param("BL_RUN_URL", "http://[::1]:8000", Settings(run_url="http://[::1]:8000"), id="BL_RUN_URL"),
        pytest.param("BL_API_VERSION", "2027-01-01", Settings(api_version="2027-01-01"), id="BL_API_VERSION"),
    ],
)
def test_a_variable_sets_its_key(variable: str, value: str, expected: Settings) -> None:
    config = load_settings(environ={variable: value})
    assert config.settings == expected
    assert set(config.sources.values()) == {variable}
    assert config.warnings == ()


def test_a_variable_of_one_key_goes_before_that_of_its_whole_section() -> None:
    environ = {
        "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS": "5",
        "BLAXEL_MCP_LIMITS": '{"timeout_seconds": 1, "connect_seconds": 2}',
    }
    config = load_settings(environ=environ)
    assert config.settings.limits == LimitSettings(timeout_seconds=5, connect_seconds=2)
    assert config.sources == {
        "limits.timeout_seconds": "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS",
        "limits.connect_seconds": "BLAXEL_MCP_LIMITS",
    }


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BLAXEL_MCP_WORKSPCE", "WORKSPACE"),
        ("BLAXEL_MCP_LIMITS__TIMEOUT", "LIMITS__TIMEOUT_SECONDS"),
        ("BLAXEL_MCP_HTTP__AUHT", "HTTP__AUTH"),
        ("BLAXEL_MCP_ACCESS__MODEL", "ACCESS__MODELS"),
        ("BLAXEL_MCP_BUDGET__CALL_PER_DAY", "BUDGET__CALLS_PER_DAY"),
        ("blaxel_mcp_http__auth", "HTTP__AUTH"),
        ("Blaxel_Mcp_Access__Models", "ACCESS__MODELS"),
        ("BLAXEL_MCP_HTTP__auth", "HTTP__AUTH"),
        ("BLAXEL_MCP_HTTP_AUTH", "HTTP__AUTH"),
        ("BLAXEL_MCP_BUDGET_CALLS_PER_DAY", "BUDGET__CALLS_PER_DAY"),
        ("BLAXEL_MCP__HTTP__AUTH", "HTTP__AUTH"),
        ("BLAXELMCP_HTTP__AUTH", "HTTP__AUTH"),
        ("BLAXEL-MCP_HTTP.AUTH", "HTTP__AUTH"),
        ("BLAXEL_MCP_CONFIG_FILE", "CONFIG"),
        ("blaxel_mcp_config", "CONFIG"),
        ("BLAXEL_MCP_ACCESS__MODELS__0", "ACCESS__MODELS"),
        ("BLAXEL_MCP_PORT", "HTTP__PORT"),
        ("BLAXEL_MPC_ACCESS__MODELS", "ACCESS__MODELS"),
        ("BALXEL_MCP_HTTP__BEARER_TOKENS", "HTTP__BEARER_TOKENS"),
    ],
)
def test_an_unknown_variable_of_ours_is_an_error_with_the_nearest(home: Path, name: str, meant: str) -> None:
    assert problems(home, environ={name: CANARY}) == [f"{name} is not a setting; did you mean BLAXEL_MCP_{meant}?"]


def test_an_unknown_variable_that_is_near_nothing_is_to_be_removed(home: Path) -> None:
    assert problems(home, environ={"BLAXEL_MCP_QQQQ": CANARY}) == ["BLAXEL_MCP_QQQQ is not a setting; remove it"]


@pytest.mark.parametrize("name", ["MYAPP_HTTP__PORT", "TRAEFIK_HTTP__HOST", "MCPHUB_BUDGET__LEDGER", "HTTP__AUTH"])
def test_a_variable_of_another_program_is_left_alone(name: str) -> None:
    assert load_settings(environ={name: "1"}).settings == Settings()


@pytest.mark.parametrize("service", ["BLAXEL_MCP", "BLAXEL_MCP_SERVER"])
def test_what_a_cluster_sets_for_a_service_of_our_name_is_left_alone(service: str) -> None:
    environ = {
        f"{service}_SERVICE_HOST": "10.0.0.7",
        f"{service}_SERVICE_PORT": "8000",
        f"{service}_SERVICE_PORT_HTTP": "8000",
        f"{service}_PORT": "tcp://10.0.0.7:8000",
        f"{service}_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        f"{service}_PORT_8000_TCP_PROTO": "tcp",
        f"{service}_PORT_8000_TCP_PORT": "8000",
        f"{service}_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    config = load_settings(environ=environ)
    assert (config.settings, config.warnings) == (Settings(), ())


def test_variables_of_others_are_left_alone() -> None:
    config = load_settings(environ={"BL_NAME": "x", "WORKSPACE": "x", "BLAXEL_WORKSPACE": "x", "PATH": "/bin"})
    assert (config.settings, config.warnings) == (Settings(), ())


# Blaxel's environments

DEV = {"api_url": "https://api.blaxel.dev/v0", "run_url": "https://run.blaxel.dev"}
LOCAL = {"api_url": "http://localhost:8080/v0", "run_url": "https://run.blaxel.dev"}


@pytest.mark.parametrize(
    ("name", "urls"),
    [("prod", {}), ("dev", DEV), ("local", LOCAL), ("", {}), ("staging", DEV)],
    ids=["prod", "dev", "local", "empty", "unknown"],
)
def test_bl_env_chooses_the_base_urls(name: str, urls: dict[str, Any]) -> None:
    config = load_settings(environ={"BL_ENV": name})
    assert config.settings == Settings(**urls)
    assert config.sources == dict.fromkeys(urls, "BL_ENV")


def test_an_unknown_bl_env_is_a_warning() -> None:
    assert load_settings(environ={"BL_ENV": "staging"}).warnings == (
        "BL_ENV does not name one of Blaxel's environments (prod, dev, local); the .dev URLs are used.",
    )


def test_a_url_of_its_own_goes_before_bl_env() -> None:
    config = load_settings(environ={"BL_ENV": "dev", "BL_RUN_URL": "https://run", "BLAXEL_MCP_API_URL": "https://api"})
    assert config.settings == Settings(run_url="https://run", api_url="https://api")


def test_bl_env_prod_takes_nothing_from_the_file(home: Path) -> None:
    config = load(home, 'run_url = "https://mine"', {"BL_ENV": "prod"})
    assert config.settings.run_url == "https://mine"


@pytest.mark.parametrize(
    ("environ", "file", "urls"),
    [
        pytest.param({}, "", DEV, id="alone"),
        pytest.param({"BL_ENV": ""}, "", DEV, id="beside an empty BL_ENV"),
        pytest.param({"BL_ENV": "prod"}, "", {}, id="under BL_ENV"),
        pytest.param({"BL_WORKSPACE": "beta"}, "", LOCAL, id="of the workspace that is chosen"),
        pytest.param({"BL_WORKSPACE": "gamma"}, "", {}, id="of no workspace"),
        pytest.param({}, 'api_url = "https://a"', {**DEV, "api_url": "https://a"}, id="under a URL in the file"),
    ],
)
def test_the_login_entrys_environment_counts_where_bl_env_is_unset(
    home: Path, environ: dict[str, str], file: str, urls: dict[str, str]
) -> None:
    write_login(home, "context: {workspace: acme}\nworkspaces: [{name: acme, env: dev}, {name: beta, env: local}]")
    settings = load(home, file, environ).settings
    expected = Settings.model_validate({"workspace": environ.get("BL_WORKSPACE", "acme"), **urls})
    assert settings == expected


# What counts as absent


@pytest.mark.parametrize("value", EMPTY + PLACEHOLDERS)
@pytest.mark.parametrize(
    "variable", ["BLAXEL_MCP_WORKSPACE", "BL_WORKSPACE", "BL_API_KEY", "BL_ENV", "BLAXEL_MCP_API_KEY_COMMAND"]
)
def test_an_empty_or_unexpanded_variable_counts_as_absent(variable: str, value: str) -> None:
    config = load_settings(environ={variable: value})
    assert (config.settings, config.sources) == (Settings(), {})
    assert config.unexpanded == ((variable,) if value in PLACEHOLDERS else ())
    assert config.warnings == tuple(
        f"{where} is a placeholder that was not expanded, and counts as unset." for where in config.unexpanded
    )


@pytest.mark.parametrize("value", EMPTY + PLACEHOLDERS)
def test_an_empty_or_unexpanded_value_lets_the_next_source_speak(home: Path, value: str) -> None:
    config = load(home, 'workspace = "acme"', {"BLAXEL_MCP_WORKSPACE": value, "BL_WORKSPACE": value}, workspace=value)
    assert config.settings.workspace == "acme"


def test_placeholders_in_the_file_and_on_the_command_line_are_named_with_their_key(home: Path) -> None:
    config = load(
        home,
        'api_key = "${BL_API_KEY}"\ntools = { prefix = "$PREFIX" }\n[[models]]\nname = "m"\ntitle = "${TITLE}"\n',
        {},
        run_url="${input:url}",
    )
    assert config.settings == Settings(models=(ModelSettings(name="m"),))
    file = config.file
    assert config.unexpanded == (
        "run_url on the command line",
        f"api_key in {file}",
        f"tools.prefix in {file}",
        f"models[0].title in {file}",
    )


@pytest.mark.parametrize("value", ["$name", "a$NAME", "${A}${B}", "$", "$$NAME", "x ${NAME}"])
def test_text_that_is_more_than_a_placeholder_is_a_value(value: str) -> None:
    config = load_settings(environ={"BL_API_KEY": value})
    assert config.settings.api_key == SecretStr(value)
    assert config.warnings == ()


@pytest.mark.parametrize("table", ["defaults", "input_schema"])
def test_what_is_meant_for_a_model_is_never_taken_for_absent(home: Path, table: str) -> None:
    config = load(
        home, f'[[models]]\nname = "m"\n{table} = {{ stop = "", user = "${{USER}}", deep = {{ x = "$X" }} }}\n'
    )
    assert getattr(config.settings.models[0], table) == {"stop": "", "user": "${USER}", "deep": {"x": "$X"}}
    assert config.warnings == ()


# Credentials are one group

KEYS = ("api_key", "client_credentials", "api_key_command")


@pytest.mark.parametrize(
    ("overrides", "environ", "file", "kept"),
    [
        pytest.param(
            {"api_key_command": ["c"]},
            {"BLAXEL_MCP_API_KEY": "k", "BL_API_KEY": "k"},
            'api_key = "k"',
            {"api_key_command": "command line"},
            id="command line",
        ),
        pytest.param(
            {},
            {"BLAXEL_MCP_CLIENT_CREDENTIALS": "p", "BL_API_KEY": "k"},
            'api_key = "k"',
            {"client_credentials": "BLAXEL_MCP_CLIENT_CREDENTIALS"},
            id="our variables",
        ),
        pytest.param(
            {},
            {"BL_CLIENT_CREDENTIALS": "p"},
            'api_key = "k"\napi_key_command = ["c"]',
            {"client_credentials": "BL_CLIENT_CREDENTIALS"},
            id="Blaxel's variables",
        ),
        pytest.param({}, {}, 'api_key_command = ["c"]', {"api_key_command": "FILE"}, id="file"),
        pytest.param(
            {},
            {"BL_API_KEY": "k", "BL_CLIENT_CREDENTIALS": "p"},
            "",
            {"api_key": "BL_API_KEY", "client_credentials": "BL_CLIENT_CREDENTIALS"},
            id="two in one source",
        ),
        pytest.param(
            {}, {"BLAXEL_MCP_API_KEY": "${KEY}"}, 'api_key = "k"', {"api_key": "FILE"}, id="a placeholder hides nothing"
        ),
    ],
)
def test_the_first_source_with_credentials_hides_those_of_all_later_ones(
    home: Path, overrides: dict[str, Any], environ: dict[str, str], file: str, kept: dict[str, str]
) -> None:
    config = load(home, file, environ, **overrides)
    assert config.sources == {key: source.replace("FILE", str(config.file)) for key, source in kept.items()}
    assert {key for key in KEYS if getattr(config.settings, key) is not None} == set(kept)


def test_credentials_of_the_login_file_stay_out_of_the_settings(home: Path) -> None:
    path = write_login(home, "context: {workspace: acme}\nworkspaces: [{name: acme, credentials: {apiKey: k}}]")
    config = load_settings(environ={})
    assert config.settings == Settings(workspace="acme")
    assert config.login == read_login_file(path)


# The file


@posix_only
def test_the_files_place_is_the_argument_then_the_variable_then_the_default(home: Path) -> None:
    paths = [
        home / "argument.toml",
        home / "variable.toml",
        platformdirs.user_config_path("blaxel-mcp", appauthor=False),
    ]
    paths[2] /= "config.toml"
    paths[2].parent.mkdir(parents=True)
    for path in paths:
        path.write_text(f'workspace = "{path.stem}"')
    environ = {"BLAXEL_MCP_CONFIG": "~/variable.toml"}
    assert load_settings(config_file=Path("~/argument.toml"), environ=environ).file == paths[0]
    assert load_settings(environ=environ).file == paths[1]
    assert load_settings(environ={}).file == paths[2]


def test_a_relative_file_is_remembered_by_its_absolute_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(home, 'api_key = "k"')
    monkeypatch.chdir(home)
    config = load_settings(config_file=Path("named.toml"), environ={})
    assert config.file == home / "named.toml"
    assert config.place("api_key") == f"api_key in {home / 'named.toml'}"


@pytest.mark.parametrize("named_by", ["argument", "variable"])
def test_a_file_that_was_named_has_to_exist(home: Path, named_by: str) -> None:
    path = home / "none.toml"
    argument = path if named_by == "argument" else None
    environ = {"BLAXEL_MCP_CONFIG": str(path)} if named_by == "variable" else {}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config_file=argument, environ=environ)
    assert str(caught.value) == (
        f"The settings file {path} cannot be read (No such file or directory). "
        "Name an existing file with --config or BLAXEL_MCP_CONFIG, or write one with `blaxel-mcp init`."
    )


@posix_only
def test_a_file_in_a_home_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config_file=Path("~no-such-user-here/config.toml"), environ={})
    assert str(caught.value) == (
        "The settings file ~no-such-user-here/config.toml is in a home directory that does not exist."
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(
            f'a = 1\n"{CANARY}" 2',
            f"""is not valid TOML at line 2, column 27: expected '=' after a key in a key/value pair.
    "{HIDDEN}" *
                              ^""",
            id="no equals sign",
        ),
        pytest.param(
            f'api_key = "{CANARY}',
            f"""is not valid TOML at line 1, column 35: unterminated string.
    api_key = "{HIDDEN}
                                      ^""",
            id="open string",
        ),
        pytest.param(
            "[limits\ntimeout_seconds = 3",
            """is not valid TOML at line 1, column 8: expected ']' at the end of a table declaration.
    [limits
           ^""",
            id="open table",
        ),
        pytest.param(
            f"{CANARY}-a = 1\n{CANARY}-a = 2",
            f"""is not valid TOML at line 2, column 30: cannot overwrite a value.
    {HIDDEN}** = *
                                 ^""",
            id="twice, at the end",
        ),
        pytest.param(
            f'api_key = [{" " * 500}"{CANARY}',
            f"""is not valid TOML at line 1, column 536: unterminated string.
    {" " * 15}"{HIDDEN}
    {" " * 39}^""",
            id="long line",
        ),
        pytest.param(b'a = 1\nb = "caf\xe9"', "is not UTF-8 text at line 2, column 9.", id="latin-1"),
        pytest.param("a = " + "1" * 10_000, "is not valid TOML.", id="endless number"),
        pytest.param("a = " + "[" * 100_000, "is not valid TOML.", id="endless nesting"),
    ],
)
def test_a_file_that_is_not_toml_is_reported_with_its_place_and_no_value(
    home: Path, content: str | bytes, problem: str
) -> None:
    path = write_file(home, content)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config_file=path, environ={})
    assert str(caught.value) == f"The settings file {path} {problem}"
    assert caught.value.__context__ is None


def test_a_byte_order_mark_and_windows_line_ends_are_read_over(home: Path) -> None:
    path = write_file(home, b'\xef\xbb\xbfworkspace = "acme"\r\n[limits]\r\nconnect_seconds = 2\r\n')
    config = load_settings(config_file=path, environ={})
    assert config.settings == Settings(workspace="acme", limits=LimitSettings(connect_seconds=2))


@posix_only
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
@pytest.mark.parametrize(
    "content",
    [
        f'api_key = "{CANARY}"',
        f'client_credentials = "{CANARY}"',
        f'[workspaces.acme]\napi_key = "{CANARY}"',
        f'[http]\nauth = "token"\nbearer_tokens = ["{CANARY}-of-a-caller"]',
        f'[shared]\nurl = "redis://127.0.0.1:6379/0"\nkey = "{CANARY}-that-encrypts-answers"',
    ],
    ids=["api_key", "client_credentials", "of a workspace", "bearer_tokens", "shared.key"],
)
def test_a_file_with_credentials_that_others_can_read_is_a_warning(home: Path, mode: int, content: str) -> None:
    path = write_file(home, content, mode=mode)
    assert load_settings(config_file=path, environ={}).warnings == (
        f"{path} contains credentials that other users can access; run `chmod 600 {path}`.",
    )


@posix_only
@pytest.mark.parametrize(
    ("content", "mode"),
    [('api_key = "k"', 0o600), ('api_key = "k"', 0o400), ('workspace = "acme"', 0o644), ('api_key = "${K}"', 0o644)],
    ids=["private", "read-only", "no credentials", "a placeholder"],
)
def test_a_file_with_nothing_to_hide_or_well_hidden_is_no_such_warning(home: Path, content: str, mode: int) -> None:
    path = write_file(home, content, mode=mode)
    assert not any("chmod" in warning for warning in load_settings(config_file=path, environ={}).warnings)


# Mistakes


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param('workspce = "x"', "workspce in FILE is not a setting; did you mean workspace?", id="top"),
        pytest.param(
            "[limits]\ntmeout = 1",
            "limits.tmeout in FILE is not a setting; did you mean timeout_seconds?",
            id="section",
        ),
        pytest.param(
            '[[models]]\nname = "a"\n[[models]]\nname = "b"\ntitel = "x"',
            "models[1].titel in FILE is not a setting; did you mean title?",
            id="model",
        ),
        pytest.param(
            '[[models]]\nname = "a"\nprice = { input = 1, output = 1, outputs = 1 }',
            "models[0].price.outputs in FILE is not a setting; did you mean output?",
            id="table in a model",
        ),
        pytest.param(
            "[discovery]\nqqq = 1",
            "discovery.qqq in FILE is not a setting; "
            "valid keys: enabled, include, exclude, workspaces, refresh_seconds",
            id="near nothing",
        ),
        *(
            pytest.param(
                f"{table}run_url = 'https://run.blaxel.ai'",
                f"{place}.run_url in FILE is not a setting there, but at the top level; write it above the first table",
                id=f"below {place}",
            )
            for table, place in (('[[models]]\nname = "m"\n', "models[0]"), ("[limits]\n", "limits"))
        ),
        pytest.param(
            "[quotas]\ncalls_per_day = 1",
            "quotas in FILE is not a setting; valid keys: " + ", ".join(Settings.model_fields),
            id="section near nothing",
        ),
        pytest.param(
            '_env_file = ".env"',
            "_env_file in FILE is not a setting; did you mean files?",
            id="an argument of the settings library",
        ),
        pytest.param('workspce = ""', "workspce in FILE is not a setting; did you mean workspace?", id="empty"),
        pytest.param(
            "[limits]\ntmeout = '${T}'",
            "limits.tmeout in FILE is not a setting; did you mean timeout_seconds?",
            id="unexpanded",
        ),
        pytest.param(
            '"limits.timeout_seconds" = 5',
            "limits.timeout_seconds in FILE is not a setting; valid keys: " + ", ".join(Settings.model_fields),
            id="a dot in quotes",
        ),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_or_all_known_keys(home: Path, content: str, problem: str) -> None:
    assert problems(home, content) == [problem]


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ('"\\u001b[31mred\\u001b[0m"', "[31mred[0m"),
        ('"two\\nlines"', "two lines"),
        (f'"{"k" * 100_000}"', f"{'k' * (SHOWN_CHARS - 1)}…"),
        (f'"{CANARY} sk-{"a1" * 20}"', f"{CANARY} [redacted]"),
    ],
    ids=["escapes", "lines", "long", "secret"],
)
def test_a_key_of_any_text_is_shown_on_one_short_line(home: Path, key: str, shown: str) -> None:
    path = write_file(home, f"{key} = 1\n[[models]]\nname = 'm'\n{key} = 1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config_file=path, environ={})

    places = [line.partition(" in ")[0] for line in str(caught.value).split("\n")]
    assert places == ["The settings cannot be used:", shown, f"models[0].{shown}"]


NOT_A_URL = "must be an http(s) URL with no user name, query or fragment"
NOT_A_HEADER = "must be 1 to 128 letters, digits, '.', '_' or '-'"
NOT_A_LIST = 'must be a list, such as ["first", "second"]'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(f'workspace = "{CANARY} x"', f"workspace in FILE {NOT_A_HEADER}", id="workspace"),
        pytest.param("workspace = 5", "workspace in FILE must be a valid string", id="type"),
        pytest.param(f'api_version = "{CANARY}/"', f"api_version in FILE {NOT_A_HEADER}", id="version"),
        pytest.param(f'run_url = "{CANARY}"', f"run_url in FILE {NOT_A_URL}", id="no URL"),
        pytest.param(f'run_url = "https://me:{CANARY}@x"', f"run_url in FILE {NOT_A_URL}", id="password in a URL"),
        pytest.param(f'api_url = "https://x/?{CANARY}"', f"api_url in FILE {NOT_A_URL}", id="query in a URL"),
        pytest.param('api_url = "https://${HOST}/v0"', f"api_url in FILE {NOT_A_URL}", id="placeholder in a URL"),
        pytest.param(f'api_url = "https://x:{CANARY}"', f"api_url in FILE {NOT_A_URL}", id="port in a URL"),
        pytest.param(f'api_key = ["{CANARY}"]', "api_key in FILE must be a valid string", id="secret"),
        pytest.param(f'api_key_command = "{CANARY}"', f"api_key_command in FILE {NOT_A_LIST}", id="no words"),
        pytest.param(
            "api_key_command = []",
            "api_key_command in FILE must not be empty",
            id="no word",
        ),
        pytest.param(f'url_source = "{CANARY}"', "url_source in FILE must be 'auto', 'metadata' or 'run'", id="choice"),
        pytest.param(f'limits = "{CANARY}"', "limits in FILE must be a table", id="no section"),
        pytest.param(f'[access]\nmodels = "{CANARY}"', f"access.models in FILE {NOT_A_LIST}", id="no list"),
        pytest.param("[access]\npaths = [1]", "access.paths[0] in FILE must be a valid string", id="element of a list"),
        pytest.param(
            f'[limits]\ntimeout_seconds = "{CANARY}"',
            "limits.timeout_seconds in FILE must be a valid number",
            id="number",
        ),
        pytest.param(
            "[limits]\ntimeout_seconds = 0", "limits.timeout_seconds in FILE must be greater than 0", id="bound"
        ),
        pytest.param(
            "[limits]\ntimeout_seconds = inf", "limits.timeout_seconds in FILE must be a finite number", id="infinite"
        ),
        pytest.param(
            f"[limits]\ndetach_after_seconds = {10**400}",
            'limits.detach_after_seconds in FILE must be "auto" or a number of seconds, 0 or more',
            id="beyond a float",
        ),
        pytest.param(f'models = ["{CANARY}"]', "models[0] in FILE must be a table", id="no table"),
        pytest.param(
            '[models]\nname = "m"', "models in FILE must be a list of tables, each under [[models]]", id="one bracket"
        ),
        pytest.param('workspace = { name = "" }', "workspace in FILE must be a valid string", id="table for a text"),
        pytest.param(
            "[[limits]]\nmax_queue = 5",
            "limits in FILE must be one table, under [limits] in single brackets",
            id="twice",
        ),
        pytest.param("[[models]]\n", "models[0].name in FILE is required", id="nameless model"),
        pytest.param('[[models]]\nname = "${NAME}"', "models[0].name in FILE is required", id="unexpanded name"),
        pytest.param(
            f'[[models]]\nname = "m"\ntool = "{CANARY} x"',
            "models[0].tool in FILE must be 1 to 40 letters, digits, '_' or '-'",
            id="tool name",
        ),
        pytest.param(
            f'[[models]]\nname = "m"\nworkspace = "{CANARY}\\n"',
            f"models[0].workspace in FILE {NOT_A_HEADER}",
            id="workspace of a model",
        ),
        pytest.param(
            '[workspaces."two words"]\napi_key = "x"',
            f"workspaces.two words in FILE {NOT_A_HEADER}",
            id="name of a table",
        ),
        pytest.param(
            '[[models]]\nname = "m"\nprice = { input = -1, output = 1 }',
            "models[0].price.input in FILE must be greater than or equal to 0",
            id="price",
        ),
    ],
)
def test_a_wrong_value_is_told_by_its_key_and_what_was_expected(home: Path, content: str, problem: str) -> None:
    assert problems(home, content) == [problem]


NOT_JSON = "has a value that JSON does not have, such as a date or nan; write a date as text"
TOO_DEEP = "nests more than 100 levels deep"


@pytest.mark.parametrize("key", ["defaults", "locked", "input_schema"])
@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("= { x = 2026-01-01 }", NOT_JSON),
        ("= { x = [12:00:00] }", NOT_JSON),
        ("= { x = nan }", NOT_JSON),
        ("= { x = { y = -inf } }", NOT_JSON),
        (f".{'x.' * 100}y = 1", TOO_DEEP),
        (f".{'x.' * 5000}y = 1", TOO_DEEP),
    ],
    ids=lambda value: value[:20],
)
def test_a_table_for_a_body_that_json_cannot_hold_is_an_error(
    home: Path, key: str, assignment: str, fault: str
) -> None:
    content = f'[[models]]\nname = "m"\n{key}{assignment}\n'

    assert problems(home, content) == [f"models[0].{key} in FILE {fault}"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('[{"name": "m", "locked": {"x": "\\ud800"}}]', f"BLAXEL_MCP_MODELS (models[0].locked) {NOT_JSON}"),
        ('[{"name": "m", "defaults": {"x": NaN}}]', f"BLAXEL_MCP_MODELS (models[0].defaults) {NOT_JSON}"),
        ("[" * 100_000, 'BLAXEL_MCP_MODELS must be JSON, such as [{"name": "gpt-4o-mini"}]'),
    ],
    ids=["half a character", "no number", "deep"],
)
def test_a_variable_for_a_body_that_json_cannot_hold_is_an_error(home: Path, value: str, problem: str) -> None:
    assert problems(home, environ={"BLAXEL_MCP_MODELS": value}) == [problem]


@pytest.mark.parametrize(
    "key",
    [
        *(f"limits.{name}" for name in LimitSettings.model_fields if not name.endswith("_seconds")),
        *("tools.max_tools", "budget.calls_per_day", "budget.tokens_per_day", "files.max_bytes", "audit.max_bytes"),
    ],
)
def test_a_number_that_computers_do_not_count_to_is_an_error(home: Path, key: str) -> None:
    assert problems(home, f"{key} = {10**25}") == [f"{key} in FILE must be less than or equal to {2**53}"]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS", CANARY, "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS must be a valid number"),
        ("BLAXEL_MCP_DISCOVERY__ENABLED", CANARY, "BLAXEL_MCP_DISCOVERY__ENABLED must be a valid boolean"),
        ("BLAXEL_MCP_API_KEY_COMMAND", CANARY, f"BLAXEL_MCP_API_KEY_COMMAND {NOT_A_LIST}"),
        (
            "BLAXEL_MCP_ACCESS__MODELS",
            CANARY,
            'BLAXEL_MCP_ACCESS__MODELS must be JSON, such as ["first", "second"]',
        ),
        ("BLAXEL_MCP_MODELS", CANARY, 'BLAXEL_MCP_MODELS must be JSON, such as [{"name": "gpt-4o-mini"}]'),
        ("BLAXEL_MCP_LIMITS", CANARY, 'BLAXEL_MCP_LIMITS must be JSON, such as {"timeout_seconds": ...}'),
        ("BLAXEL_MCP_LIMITS", f'"{CANARY}"', "BLAXEL_MCP_LIMITS must be a table"),
        ("BLAXEL_MCP_LIMITS", "[{}]", "BLAXEL_MCP_LIMITS must be a table"),
        (
            "BLAXEL_MCP_LIMITS",
            f'{{"tmeout": "{CANARY}"}}',
            "BLAXEL_MCP_LIMITS (limits.tmeout) is not a setting; did you mean timeout_seconds?",
        ),
        (
            "BLAXEL_MCP_LIMITS",
            '{"timeout_seconds": 0}',
            "BLAXEL_MCP_LIMITS (limits.timeout_seconds) must be greater than 0",
        ),
        ("BLAXEL_MCP_MODELS", f'[{{"title": "{CANARY}"}}]', "BLAXEL_MCP_MODELS (models[0].name) is required"),
        ("BL_RUN_URL", CANARY, f"BL_RUN_URL {NOT_A_URL}"),
        ("BL_WORKSPACE", f"{CANARY} x", f"BL_WORKSPACE {NOT_A_HEADER}"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(home: Path, variable: str, value: str, problem: str) -> None:
    assert problems(home, environ={variable: value}) == [problem]


def test_a_section_that_is_no_table_is_told_beside_a_variable_of_its_keys(home: Path) -> None:
    environ = {"BLAXEL_MCP_LIMITS": "5", "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS": "5"}
    assert problems(home, environ=environ) == ["BLAXEL_MCP_LIMITS must be a table"]


def test_a_wrong_flag_is_told_by_its_key(home: Path) -> None:
    assert problems(home, limits={"timeout_seconds": CANARY}, qqqq=CANARY) == [
        "qqqq on the command line is not a setting; valid keys: " + ", ".join(Settings.model_fields),
        "limits.timeout_seconds on the command line must be a valid number",
    ]


def test_a_wrong_workspace_in_the_login_file_is_told_only_when_it_is_used(home: Path) -> None:
    login = write_login(home, f"context: {{workspace: {CANARY} x}}\nworkspaces: [{{name: acme}}]")
    assert problems(home) == [f"workspace in bl login file ({login}) {NOT_A_HEADER}"]
    assert load(home, "", {"BL_WORKSPACE": "acme"}).settings.workspace == "acme"


MISTAKES = """\
workspace = "two words"
http = { prot = 1 }
[limits] # the deadline
tmeout = 3
[[models]]
name = "m"
[models.price]
inptu = 1
[[models]]
name = "n"
api = "chat"
price = { outptu = 1 }
[[models]]
name = "m"
[tools]
prefix = "a b"
"""


def test_every_mistake_of_a_file_comes_at_once_with_its_line_and_the_nearest_key(home: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(home, MISTAKES)

    file = home / "named.toml"
    lines = str(caught.value).replace(str(file), "FILE").splitlines()[1:]
    assert sorted(lines, key=lambda line: int(line.split(":")[1].split()[0])) == [
        f"workspace in FILE:1 {NOT_A_HEADER}",
        "http.prot in FILE:2 is not a setting; did you mean port?",
        "limits.tmeout in FILE:4 is not a setting; did you mean timeout_seconds?",
        "models[0].price.inptu in FILE:8 is not a setting; did you mean input?",
        "models[1].api in FILE:11 is not the name of an API; did you mean chat-completions?",
        "models[1].price.outptu in FILE:12 is not a setting; did you mean output?",
        "models[2] in FILE:13 has the same name and workspace as models[0]; a model can have only one entry",
        "tools.prefix in FILE:16 must be at most 20 letters, digits, '_' or '-'",
    ]


def test_an_api_that_resembles_none_gets_the_list_of_all(home: Path) -> None:
    (problem,) = problems(home, '[[models]]\nname = "m"\napi = "zzz"\n')

    assert problem == (
        f"models[0].api in FILE is not the name of an API; valid names: {', '.join(api.name for api in APIS)}; "
        "`raw` speaks any other"
    )


def test_the_settings_know_the_apis_that_there_are() -> None:
    assert tuple(api.name for api in APIS) == API_NAMES


def test_all_problems_of_all_sources_are_told_at_once(home: Path) -> None:
    content = f'workspace = "{CANARY} x"\nworkspce = "x"\n[limits]\nconnect_seconds = -1\n'
    assert problems(home, content, {"BL_API_URL": CANARY, "BLAXEL_MCP_TOOLS__MAX_TOOLS": "x"}) == [
        "BLAXEL_MCP_TOOLS__MAX_TOOLS must be a valid integer",
        f"BL_API_URL {NOT_A_URL}",
        "workspce in FILE is not a setting; did you mean workspace?",
        f"workspace in FILE {NOT_A_HEADER}",
        "limits.connect_seconds in FILE must be greater than 0",
    ]


@pytest.mark.parametrize("second", ["", 'workspace = "acme"'], ids=["both by default", "one by name"])
def test_a_model_with_two_entries_is_an_error(home: Path, second: str) -> None:
    content = f'workspace = "acme"\n[[models]]\nname = "m"\n[[models]]\nname = "n"\n[[models]]\nname = "m"\n{second}\n'
    assert problems(home, content) == [
        "models[2] in FILE has the same name and workspace as models[0]; a model can have only one entry"
    ]


def test_a_name_may_stand_for_a_model_in_each_of_two_workspaces(home: Path) -> None:
    config = load(home, '[[models]]\nname = "m"\n[[models]]\nname = "m"\nworkspace = "beta"\n')
    assert [model.workspace for model in config.settings.models] == [None, "beta"]


def test_a_broken_login_file_is_a_warning(home: Path) -> None:
    path = write_login(home, f"{CANARY}: [")
    config = load_settings(environ={})
    assert len(config.warnings) == 1
    assert config.warnings[0].startswith(f"The bl login file ({path}) cannot be used as it is: it is not valid YAML")
    assert CANARY not in config.warnings[0]


@posix_only
def test_a_user_without_a_home_has_no_login_file_and_still_starts(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def no_home(_cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.chdir(home)
    write_login(home, "context: {workspace: of-someone-else}")
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    config = load_settings(environ={})
    assert config == Configuration(
        settings=Settings(),
        login=LoginFile(Path("~/.blaxel/config.yaml"), problem="this user has no home directory"),
        warnings=(
            "The bl login file (~/.blaxel/config.yaml) cannot be used as it is: this user has no home directory.",
        ),
    )


def test_no_secret_is_in_the_text_of_a_configuration(home: Path) -> None:
    write_login(home, f"context: {{workspace: acme}}\nworkspaces: [{{name: acme, credentials: {{apiKey: {CANARY}}}}}]")
    config = load(home, f'client_credentials = "{CANARY}"', {"BL_CLIENT_CREDENTIALS": CANARY, "BL_API_KEY": CANARY})
    assert config.settings.api_key is not None
    assert CANARY not in f"{config} {config!r}"


# A configuration made by hand


def test_a_configuration_made_by_hand_consults_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_login(home, "context: {workspace: acme}\nworkspaces: [{name: acme, credentials: {apiKey: k}}]")
    monkeypatch.setenv("BL_WORKSPACE", "acme")
    config = Configuration(Settings(api_key=SecretStr("k")))
    assert config == Configuration(Settings(api_key=SecretStr("k")), LoginFile(Path("~/.blaxel/config.yaml")))
    assert config.place("api_key") == "api_key"


def test_a_configuration_made_by_hand_takes_its_login_and_labels() -> None:
    login = LoginFile(Path("/login"))
    config = Configuration(Settings(), login=login, sources={"api_key": "command line"})
    assert config.login is login
    assert config.place("api_key") == "api_key on the command line"


@pytest.mark.skipif(os.name != "posix", reason="/dev/null is POSIX's")
def test_a_user_whose_home_is_no_folder_has_no_files_and_still_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null/home")

    config = load_settings(environ={})

    assert (config.settings, config.file, config.login.entries, config.login.problem) == (Settings(), None, {}, None)


@pytest.mark.parametrize("ledger", ["led.sqlite3", "./led.sqlite3", "below/led.sqlite3"])
def test_a_relative_ledger_lies_in_the_settings_files_folder_wherever_the_server_starts(
    ledger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "config.toml").write_text(f'[budget]\nledger = "{ledger}"\n', encoding="utf-8")
    found = set()
    for place in (folder, tmp_path, Path("/")):
        monkeypatch.chdir(place)
        file = Path(os.path.relpath(folder / "config.toml"))
        by_file = load_settings(config_file=file, environ={})
        by_variable = load_settings(config_file=file, environ={"BLAXEL_MCP_BUDGET__LEDGER": ledger})
        found |= {by_file.settings.budget.ledger, by_variable.settings.budget.ledger}

    assert {os.path.normpath(str(path)) for path in found} == {os.path.normpath(folder / ledger)}


@pytest.mark.parametrize("ledger", [":memory:", "~/led.sqlite3", "/var/led.sqlite3"])
def test_another_ledger_is_what_it_says(ledger: str) -> None:
    config = load_settings(environ={"BLAXEL_MCP_BUDGET__LEDGER": ledger})

    assert config.settings.budget.ledger == ledger


@pytest.mark.parametrize("key", ["run_url", "api_url"])
@pytest.mark.parametrize("port", ["65536", "99999"])
def test_a_port_that_there_cannot_be_is_an_error_of_the_settings(key: str, port: str) -> None:
    with pytest.raises(ConfigurationError, match=f"BL_{key.upper()} must have a port of at most 65535"):
        load_settings(environ={f"BL_{key.upper()}": f"http://127.0.0.1:{port}/v0"})
    with pytest.raises(ConfigurationError, match="must have a port of at most 65535"):
        load_settings(environ={"BLAXEL_MCP_MODELS": f'[{{"name": "m", "url": "https://x.test:{port}/v1"}}]'})
