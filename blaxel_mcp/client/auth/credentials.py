"""The credentials of a workspace, from the settings or the login file, and the secret strings inside them."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import SecretStr

from blaxel_mcp.client.auth.known_secrets import MIN_CHARS
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.layers import exact_place
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.login_file import LoginEntry, LoginFile
from blaxel_mcp.settings.schema import Settings, WorkspaceSettings

_NAMED_WORKSPACES = 5
"""Workspaces of the login file that an error names at most."""


@dataclass(frozen=True, slots=True)
class APIKey:
    """An API key, which is itself the bearer token."""

    value: SecretStr


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Client credentials of a service account, exchanged for an access token."""

    value: SecretStr


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """A command, as a list of words, that prints the API key."""

    command: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """The tokens that `bl login` obtained in a browser."""

    access_token: SecretStr | None
    refresh_token: SecretStr | None
    device_code: SecretStr | None


Credentials = APIKey | ClientCredentials | KeyCommand | DeviceLogin


@dataclass(frozen=True, slots=True)
class ResolvedCredentials:
    """Credentials, and a label of their source that never includes a value.

    `login_workspace` is the workspace that has them in the login file; None if they are from elsewhere.
    """

    credentials: Credentials
    source: str
    login_workspace: str | None = None


def resolve_credentials(config: Configuration, workspace: str | None) -> ResolvedCredentials | None:
    """Return the credentials for a workspace, by default that of the settings; None if there are none.

    The credentials in the workspace's own `[workspaces.NAME]` take precedence, then the top-level ones, then the login
    file's entry of this workspace, never that of another one. Blaxel's Python SDK has the same order
    (core/authentication). A workspace with a table never uses the top-level credentials: a placeholder in it that was
    not expanded must not lead to another key.
    """
    settings, name = config.settings, workspace or config.settings.workspace or ""
    own = settings.workspaces.get(name)
    if configured := next(_of_table(settings if own is None else own), None):
        key, credentials = configured
        source = config.place(key) if own is None else _place_in_table(config, name, key)
        return ResolvedCredentials(credentials, source)
    login = credentials_in(config.login, name)
    source = f"bl login file ({config.login.path}), workspace {name}"
    return ResolvedCredentials(login, source, name) if login else None


def credentials_in(login: LoginFile, workspace: str) -> Credentials | None:
    """Return the credentials that the login file has for a workspace; None if there are none."""
    entry = login.entries.get(workspace)
    return next(_of_entry(entry), None) if entry else None


def all_credentials(config: Configuration) -> Iterator[Credentials]:
    """Yield all credentials in the settings and the login file, also those without precedence."""
    tables: list[Settings | WorkspaceSettings] = [config.settings, *config.settings.workspaces.values()]
    for table in tables:
        yield from (credentials for _, credentials in _of_table(table))
    for entry in config.login.entries.values():
        yield from _of_entry(entry)


def _of_table(table: Settings | WorkspaceSettings) -> Iterator[tuple[str, Credentials]]:
    """Yield the credentials in a table of the settings, each with its key, by precedence."""
    if table.api_key is not None:
        yield "api_key", APIKey(table.api_key)
    if table.client_credentials is not None:
        yield "client_credentials", ClientCredentials(table.client_credentials)
    if table.api_key_command is not None:
        yield "api_key_command", KeyCommand(table.api_key_command)


def _of_entry(entry: LoginEntry) -> Iterator[Credentials]:
    """Yield the credentials in an entry of the login file, by precedence."""
    if entry.api_key is not None:
        yield APIKey(entry.api_key)
    if entry.client_credentials is not None:
        yield ClientCredentials(entry.client_credentials)
    if entry.access_token is not None or entry.refresh_token is not None:
        yield DeviceLogin(entry.access_token, entry.refresh_token, entry.device_code)


def _place_in_table(config: Configuration, workspace: str, *key: str) -> str:
    return exact_place(config.sources.get("workspaces", "the settings"), ("workspaces", workspace, *key))


def missing_credentials(config: Configuration, workspace: str | None = None) -> ConfigurationError:
    """Return the error for a call without credentials: where they were looked for, and how to set them."""
    name = workspace or config.settings.workspace
    unexpanded = f" Unexpanded placeholders are in: {', '.join(config.unexpanded)}." if config.unexpanded else ""
    if name in config.settings.workspaces:
        where = _place_in_table(config, name)
        return ConfigurationError(
            f"There are no Blaxel credentials for workspace {name}: {where} has none, and "
            f"{_login_problem(config.login, name)}.{unexpanded}",
            hint=f"Set `api_key` or another credential in [workspaces.{name}], or run `bl login {name}`; "
            "remove the table to use the top-level credentials.",
        )
    return ConfigurationError(
        f"There are no Blaxel credentials for {f'workspace {name}' if name else 'any workspace'}: "
        "BL_API_KEY, BL_CLIENT_CREDENTIALS and the settings api_key, client_credentials and api_key_command "
        f"are not set, and {_login_problem(config.login, name)}.{unexpanded}",
        hint="Set BL_API_KEY in this server's environment or api_key in its settings file, or run "
        f"`bl login {name or 'WORKSPACE'}`; `blaxel-mcp demo` needs no credentials.",
    )


def _login_problem(login: LoginFile, workspace: str | None) -> str:
    """Return why the login file has no credentials for the workspace, as a clause."""
    file = f"the bl login file ({login.path})"
    if workspace in login.entries:
        return f"the entry for workspace {workspace} in {file} has none"
    if login.problem:
        return f"{file} cannot be used: {login.problem}"
    if not login.entries:
        return f"{file} has no workspaces"
    more = ["..."] if len(login.entries) > _NAMED_WORKSPACES else []
    names = ", ".join([*list(login.entries)[:_NAMED_WORKSPACES], *more])
    if workspace is None:
        return f"no workspace is selected from {file}, which has: {names}"
    return f"{file} has no entry for it, only for: {names}"


def basic_authorization(credentials: ClientCredentials) -> str:
    """Return the `Authorization` header for the token endpoint.

    Blaxel shows the credentials as base64 of `id:secret`, which is sent unchanged. A raw `id:secret`,
    which Blaxel's Go SDK accepts as well, is encoded first. Only the raw form contains a colon.
    """
    value = credentials.value.get_secret_value().strip()
    if ":" in value:
        value = base64.b64encode(value.encode()).decode("ascii")
    return f"Basic {value}"


def own_secrets(credentials: Credentials) -> Iterator[str]:
    """Yield every secret string of the credentials that is known before the first token exchange."""
    match credentials:
        case APIKey(key):
            yield key.get_secret_value().strip()
        case ClientCredentials(value):
            yield value.get_secret_value().strip()
            encoded = basic_authorization(credentials).removeprefix("Basic ")
            yield encoded
            yield from _id_and_secret(encoded)
        case KeyCommand():
            pass
        case DeviceLogin(access_token, refresh_token, device_code):
            for secret in (access_token, refresh_token, device_code):
                yield secret.get_secret_value().strip() if secret is not None else ""


def _id_and_secret(encoded: str) -> tuple[str, ...]:
    """Return the secret inside client credentials, and the id if it is one too; empty for anything but two texts."""
    try:
        identifier, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except ValueError:
        return ()
    if not (colon and identifier.isprintable() and secret.isprintable()):
        return ()
    # An id of digits or of a few letters is not secret, and occurs in answers as a number or a word.
    return (secret,) if identifier.isdecimal() or len(identifier) < MIN_CHARS else (identifier, secret)


def sendable_value(credentials: APIKey | ClientCredentials, source: str) -> str:
    """Return the value of credentials from `source`; raises ConfigurationError if it cannot be sent in a header."""
    value = credentials.value.get_secret_value().strip()
    if is_bearer_value(value):
        return value
    raise ConfigurationError(
        f"The credential from {source} cannot be sent: it is empty or contains a space, a line break or a character "
        "that is not ASCII.",
        hint="Copy it again, completely and on one line.",
    )


def entry_variables(resolved: ResolvedCredentials) -> dict[str, str]:
    """Return the variable that passes the credentials to a server: `BL_API_KEY` or `BL_CLIENT_CREDENTIALS`.

    Its value is unwrapped, to be written to the client's file and nowhere else.

    Raises:
        ConfigurationError: The credentials cannot be exported, or not be sent in a header.
    """
    match resolved.credentials:
        case APIKey() as credentials:
            return {"BL_API_KEY": sendable_value(credentials, resolved.source)}
        case ClientCredentials() as credentials:
            return {"BL_CLIENT_CREDENTIALS": sendable_value(credentials, resolved.source)}
        case KeyCommand():
            raise _not_exportable(f"The key comes from a command ({resolved.source}), which each server runs itself")
        case DeviceLogin():
            raise _not_exportable(f"The credentials are a login ({resolved.source}), whose tokens expire")


def _not_exportable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{reason}, so there is no key to write.", hint="Omit --with-key: the server finds these credentials by itself."
    )
