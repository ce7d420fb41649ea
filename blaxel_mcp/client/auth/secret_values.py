"""The secret strings inside credentials: those that headers carry, and all those to redact."""

import base64
from collections.abc import Iterator

from blaxel_mcp.client.auth.credentials import APIKey, ClientCredentials, Credentials, DeviceLogin, KeyCommand
from blaxel_mcp.client.auth.secret_encodings import MIN_CHARS
from blaxel_mcp.core.exceptions import ConfigurationError


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


def unusable_credential(source: str) -> ConfigurationError:
    """Return the error for a credential from `source` that cannot be sent in a header."""
    return ConfigurationError(
        f"The credential from {source} cannot be sent: it is empty or contains a space, a line break or a character "
        "that is not ASCII.",
        hint="Copy it again, completely and on one line.",
    )
