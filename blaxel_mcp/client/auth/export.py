"""Credentials as environment variables, for `blaxel-mcp install --with-key`."""

from blaxel_mcp.client.auth.credentials import APIKey, ClientCredentials, KeyCommand, ResolvedCredentials
from blaxel_mcp.client.auth.secret_values import unusable_credential
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError


def entry_variables(resolved: ResolvedCredentials) -> dict[str, str]:
    """Return the variable that passes the credentials to a server: `BL_API_KEY` or `BL_CLIENT_CREDENTIALS`.

    Its value is unwrapped, to be written to the client's file and nowhere else.

    Raises:
        ConfigurationError: The credentials cannot be exported: the tokens of a login expire, a command
            prints the key anew each time, and some values cannot be sent in a header.
    """
    match resolved.credentials:
        case APIKey(key):
            name, value = "BL_API_KEY", key.get_secret_value().strip()
        case ClientCredentials(credentials):
            name, value = "BL_CLIENT_CREDENTIALS", credentials.get_secret_value().strip()
        case KeyCommand():
            raise _not_exportable(f"The key comes from a command ({resolved.source}), which each server runs itself")
        case _:
            raise _not_exportable(f"The credentials are a login ({resolved.source}), whose tokens expire")
    if not is_bearer_value(value):
        raise unusable_credential(resolved.source)
    return {name: value}


def _not_exportable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{reason}, so there is no key to write.", hint="Omit --with-key: the server finds these credentials by itself."
    )
