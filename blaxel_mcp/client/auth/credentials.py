"""Which credentials a call to a workspace is made with."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.login_file import LoginEntry

# An error names at most so many of the workspaces that the login file does have.
_NAMED_WORKSPACES = 5


@dataclass(frozen=True, slots=True)
class APIKey:
    """A key that is itself the bearer token."""

    key: SecretStr


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A service account's credentials, exchanged for an access token."""

    value: SecretStr


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """A command, as words, whose output is the API key."""

    command: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """The tokens that `bl login` obtained in a browser, and where it keeps them."""

    access_token: SecretStr | None
    refresh_token: SecretStr | None
    device_code: SecretStr | None
    workspace: str
    path: Path


Credentials = APIKey | ClientCredentials | KeyCommand | DeviceLogin


@dataclass(frozen=True, slots=True)
class ResolvedCredentials:
    """Credentials and a label that says where they came from, never what they are."""

    credentials: Credentials
    source: str


def resolve_credentials(config: Configuration, workspace: str | None) -> ResolvedCredentials | None:
    """Choose the credentials for a workspace.

    Credentials in the settings win whatever the workspace; else the login file's entry for that
    very workspace is used. This is the order of Blaxel's Python SDK, core/authentication. An
    entry for another workspace is never used.

    Args:
        config: The settings and the login file.
        workspace: The workspace that is called; None stands for the one in the settings.

    Returns:
        The credentials and their source, or None when there are none.
    """
    explicit = _from_settings(config)
    if explicit is not None:
        return explicit
    entry = config.login.entries.get(workspace or config.settings.workspace or "")
    credentials = _from_entry(entry, config.login.path) if entry is not None else None
    if entry is None or credentials is None:
        return None
    return ResolvedCredentials(credentials, f"bl login file ({config.login.path}), workspace {entry.name}")


def _from_settings(config: Configuration) -> ResolvedCredentials | None:
    settings = config.settings
    if settings.api_key is not None:
        return ResolvedCredentials(APIKey(settings.api_key), config.place("api_key"))
    if settings.client_credentials is not None:
        credentials = ClientCredentials(settings.client_credentials)
        return ResolvedCredentials(credentials, config.place("client_credentials"))
    if settings.api_key_command is not None:
        return ResolvedCredentials(KeyCommand(settings.api_key_command), config.place("api_key_command"))
    return None


def _from_entry(entry: LoginEntry, path: Path) -> Credentials | None:
    if entry.api_key is not None:
        return APIKey(entry.api_key)
    if entry.client_credentials is not None:
        return ClientCredentials(entry.client_credentials)
    if entry.access_token is None and entry.refresh_token is None:
        return None
    return DeviceLogin(entry.access_token, entry.refresh_token, entry.device_code, entry.name, path)


def missing_credentials(config: Configuration, workspace: str | None = None) -> ConfigurationError:
    """Make the error for a call that has no credentials: what was looked for, and how to give it.

    Args:
        config: The settings and the login file.
        workspace: The workspace that is called; None stands for the one in the settings.
    """
    name = workspace or config.settings.workspace
    message = f"There are no Blaxel credentials for {f'workspace {name}' if name else 'any workspace'}: "
    message += "BL_API_KEY, BL_CLIENT_CREDENTIALS and the settings api_key, client_credentials and "
    message += f"api_key_command are absent, and {_login_finding(config, name)}."
    if config.unexpanded:
        message += f" Placeholders that nothing has expanded are in: {', '.join(config.unexpanded)}."
    return ConfigurationError(
        message,
        hint="Set BL_API_KEY in the environment of this server, or api_key in its settings file, or run "
        f"`bl login {name or 'WORKSPACE'}`; `blaxel-mcp demo` needs no credentials.",
    )


def _login_finding(config: Configuration, workspace: str | None) -> str:
    login = config.login
    where = f"the bl login file ({login.path})"
    if workspace in login.entries:
        return f"the entry for workspace {workspace} in {where} holds none"
    if login.problem:
        return f"{where} is of no use: {login.problem}"
    if not login.entries:
        return f"{where} has no workspaces"
    more = ["..."] if len(login.entries) > _NAMED_WORKSPACES else []
    others = ", ".join([*list(login.entries)[:_NAMED_WORKSPACES], *more])
    if workspace is None:
        return f"no workspace is chosen among those in {where}: {others}"
    return f"{where} has no entry for it, only for: {others}"
