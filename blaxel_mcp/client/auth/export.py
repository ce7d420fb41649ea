"""Credentials as the variables of a client's entry, for a user who wants them written there."""

from blaxel_mcp.client.auth.credentials import APIKey, ClientCredentials, KeyCommand, ResolvedCredentials
from blaxel_mcp.client.auth.secret_values import unusable_credential
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError


def entry_variables(resolved: ResolvedCredentials) -> dict[str, str]:
    """Give the variables that hand the credentials to a server: `BL_API_KEY` or `BL_CLIENT_CREDENTIALS`.

    The values are no longer wrapped, and are for the client's file alone.

    Args:
        resolved: The credentials and where they came from.

    Raises:
        ConfigurationError: They cannot be written down: a login is renewed all the time, a command is asked each
            time, and a value that no header can carry is of no use.
    """
    match resolved.credentials:
        case APIKey(key):
            name, value = "BL_API_KEY", key.get_secret_value().strip()
        case ClientCredentials(credentials):
            name, value = "BL_CLIENT_CREDENTIALS", credentials.get_secret_value().strip()
        case KeyCommand():
            raise _unwritable(f"The key comes from a command ({resolved.source}), which is asked anew at each start")
        case _:
            raise _unwritable(f"The credentials are a login ({resolved.source}), which is renewed all the time")
    if not is_bearer_value(value):
        raise unusable_credential(resolved.source)
    return {name: value}


def _unwritable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{reason}, so there is no key to write.",
        hint="Leave out --with-key: the server finds these credentials by itself.",
    )
