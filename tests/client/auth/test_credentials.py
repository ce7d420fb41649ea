"""Which credentials win, what an error says when there are none, and that neither shows a secret."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from blaxel_mcp.client.auth.credentials import (
    APIKey,
    ClientCredentials,
    Credentials,
    DeviceLogin,
    KeyCommand,
    ResolvedCredentials,
    basic_authorization,
    missing_credentials,
    resolve_credentials,
)
from blaxel_mcp.settings.loading import Configuration, load_settings
from blaxel_mcp.settings.login_file import LoginEntry, LoginFile
from blaxel_mcp.settings.schema import Settings
from tests.support.canaries import MARKER

CANARY = f"{MARKER}-do-not-show"
LOGIN_PATH = Path("/home/ada/.blaxel/config.yaml")

key, pair, access, refresh, device = (
    SecretStr(f"{CANARY}-{name}") for name in ("key", "pair", "access", "refresh", "device")
)


def with_login(*entries: LoginEntry, workspace: str | None = "acme", problem: str | None = None) -> Configuration:
    login = LoginFile(LOGIN_PATH, workspace, {entry.name: entry for entry in entries}, problem)
    return Configuration(Settings(workspace=workspace), login=login)


def write_login(home: Path, content: str) -> Path:
    path = home / ".blaxel" / "config.yaml"
    path.parent.mkdir()
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("entry", "credentials"),
    [
        pytest.param(
            LoginEntry("acme", api_key=key, client_credentials=pair, access_token=access, refresh_token=refresh),
            APIKey(key),
            id="the key goes before everything",
        ),
        pytest.param(
            LoginEntry("acme", client_credentials=pair, access_token=access, refresh_token=refresh),
            ClientCredentials(pair),
            id="client credentials go before a device login",
        ),
        pytest.param(
            LoginEntry("acme", access_token=access, refresh_token=refresh, device_code=device),
            DeviceLogin(access, refresh, device),
            id="a whole device login",
        ),
        pytest.param(
            LoginEntry("acme", access_token=access),
            DeviceLogin(access, None, None),
            id="an access token without a device code",
        ),
        pytest.param(
            LoginEntry("acme", refresh_token=refresh),
            DeviceLogin(None, refresh, None),
            id="a refresh token alone",
        ),
    ],
)
def test_a_login_entry_gives_its_best_credentials(entry: LoginEntry, credentials: Credentials) -> None:
    assert resolve_credentials(with_login(entry), None) == ResolvedCredentials(
        credentials, f"bl login file ({LOGIN_PATH}), workspace acme", "acme"
    )


@pytest.mark.parametrize("entry", [LoginEntry("acme"), LoginEntry("acme", device_code=device)], ids=["empty", "code"])
def test_an_entry_without_a_token_gives_no_credentials(entry: LoginEntry) -> None:
    assert resolve_credentials(with_login(entry), None) is None


def test_the_entry_of_the_workspace_that_is_called_is_used() -> None:
    config = with_login(LoginEntry("acme", api_key=key), LoginEntry("beta", client_credentials=pair))
    assert resolve_credentials(config, "beta") == ResolvedCredentials(
        ClientCredentials(pair), f"bl login file ({LOGIN_PATH}), workspace beta", "beta"
    )


@pytest.mark.parametrize("workspace", ["gamma", None])
def test_an_entry_of_another_workspace_is_never_used(workspace: str | None) -> None:
    config = with_login(LoginEntry("acme", api_key=key), workspace=None)
    assert resolve_credentials(config, workspace) is None


@pytest.mark.parametrize("workspace", [None, "acme", "beta"])
def test_credentials_in_the_settings_go_before_the_login_file_for_every_workspace(workspace: str | None) -> None:
    login = LoginFile(LOGIN_PATH, "acme", {"acme": LoginEntry("acme", api_key=pair)})
    config = Configuration(Settings(workspace="acme", api_key=key), login=login, sources={"api_key": "BL_API_KEY"})
    assert resolve_credentials(config, workspace) == ResolvedCredentials(APIKey(key), "BL_API_KEY")


@pytest.mark.parametrize(
    ("settings", "credentials"),
    [
        pytest.param(
            Settings(api_key=key, client_credentials=pair, api_key_command=("op",)), APIKey(key), id="key first"
        ),
        pytest.param(
            Settings(client_credentials=pair, api_key_command=("op",)), ClientCredentials(pair), id="then the pair"
        ),
        pytest.param(Settings(api_key_command=("op", "read")), KeyCommand(("op", "read")), id="then the command"),
    ],
)
def test_settings_give_their_best_credentials(settings: Settings, credentials: Credentials) -> None:
    resolved = resolve_credentials(Configuration(settings), "acme")
    assert resolved is not None
    assert resolved.credentials == credentials


@pytest.mark.parametrize(
    ("file", "environ", "source"),
    [
        pytest.param('api_key = "k"', {"BL_API_KEY": "e"}, "BL_API_KEY", id="Blaxel's variable"),
        pytest.param('api_key = "k"', {"BLAXEL_MCP_API_KEY": "e"}, "BLAXEL_MCP_API_KEY", id="our variable"),
        pytest.param('api_key = "k"', {}, "api_key in {file}", id="key in the file"),
        pytest.param('client_credentials = "k"', {}, "client_credentials in {file}", id="pair in the file"),
        pytest.param('api_key_command = ["k"]', {}, "api_key_command in {file}", id="command in the file"),
        pytest.param("", {}, "bl login file ({login}), workspace acme", id="login file"),
    ],
)
def test_the_source_names_the_winner(home: Path, file: str, environ: dict[str, str], source: str) -> None:
    login = write_login(home, "context: {workspace: acme}\nworkspaces: [{name: acme, credentials: {apiKey: k}}]")
    path = home / "config.toml"
    path.write_text(file)
    resolved = resolve_credentials(load_settings(config_file=path, environ=environ), None)
    assert resolved is not None
    assert resolved.source == source.format(file=path, login=login)


def test_client_credentials_as_blaxel_shows_them_go_into_the_header_verbatim() -> None:
    encoded = base64.b64encode(b"the-id:the-secret").decode()
    assert basic_authorization(ClientCredentials(SecretStr(f" {encoded}\n"))) == f"Basic {encoded}"


@pytest.mark.parametrize("raw", ["the-id:the-secret", "the-id:s:e:c", "id:sécret"])
def test_a_raw_id_and_secret_are_encoded_for_the_header(raw: str) -> None:
    header = basic_authorization(ClientCredentials(SecretStr(raw)))
    assert header.startswith("Basic ")
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == raw


@pytest.mark.parametrize(
    "credentials",
    [APIKey(key), ClientCredentials(pair), DeviceLogin(access, refresh, device)],
    ids=["key", "pair", "device login"],
)
def test_no_credentials_show_themselves(credentials: Credentials) -> None:
    resolved = ResolvedCredentials(credentials, "BL_API_KEY")
    assert CANARY not in f"{credentials} {credentials!r} {resolved} {resolved!r}"


@pytest.mark.parametrize(
    ("config", "workspace", "finding"),
    [
        pytest.param(with_login(workspace=None), None, "has no workspaces", id="nothing at all"),
        pytest.param(
            with_login(problem="it is not valid YAML"), None, "cannot be used: it is not valid YAML", id="broken file"
        ),
        pytest.param(
            with_login(LoginEntry("beta", api_key=key), LoginEntry("gamma", api_key=key)),
            None,
            "has no entry for it, only for: beta, gamma",
            id="only other workspaces",
        ),
        pytest.param(
            with_login(LoginEntry("acme", api_key=key)), "beta", "has no entry for it, only for: acme", id="a model's"
        ),
        pytest.param(
            with_login(*(LoginEntry(f"ws-{number}", api_key=key) for number in range(9))),
            None,
            "has no entry for it, only for: ws-0, ws-1, ws-2, ws-3, ws-4, ...",
            id="many other workspaces",
        ),
    ],
)
def test_missing_credentials_say_what_the_login_file_lacks(
    config: Configuration, workspace: str | None, finding: str
) -> None:
    assert f"the bl login file ({LOGIN_PATH}) {finding}." in missing_credentials(config, workspace).message


@pytest.mark.parametrize(
    ("config", "finding"),
    [
        pytest.param(
            with_login(LoginEntry("acme")),
            f"the entry for workspace acme in the bl login file ({LOGIN_PATH}) has none",
            id="empty entry",
        ),
        pytest.param(
            with_login(LoginEntry("acme", api_key=key), workspace=None),
            f"no workspace is selected from the bl login file ({LOGIN_PATH}), which has: acme",
            id="no workspace chosen",
        ),
    ],
)
def test_missing_credentials_say_what_is_wrong_with_the_choice(config: Configuration, finding: str) -> None:
    assert finding in missing_credentials(config).message


def test_missing_credentials_are_a_whole_message_with_the_ways_to_give_them(home: Path) -> None:
    login = home / ".blaxel" / "config.yaml"
    config = load_settings(environ={"BL_WORKSPACE": "acme", "BL_API_KEY": "${BL_API_KEY}"})
    assert resolve_credentials(config, None) is None
    error = missing_credentials(config)
    assert error.code == "configuration_error"
    assert str(error) == (
        "There are no Blaxel credentials for workspace acme: BL_API_KEY, BL_CLIENT_CREDENTIALS and the settings "
        "api_key, client_credentials and api_key_command are not set, and "
        f"the bl login file ({login}) has no workspaces. Unexpanded placeholders are in: BL_API_KEY. "
        "Set BL_API_KEY in this server's environment or api_key in its settings file, or run "
        "`bl login acme`; `blaxel-mcp demo` needs no credentials."
    )


def test_missing_credentials_show_no_secret() -> None:
    config = with_login(LoginEntry("beta", api_key=key, device_code=device))
    error = missing_credentials(config)
    assert CANARY not in f"{error} {error!r} {vars(error)}"
