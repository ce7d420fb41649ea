"""The strings inside credentials: as a header carries them, and all that would give them away."""

import base64
from collections.abc import Iterator

from blaxel_mcp.client.auth.credentials import APIKey, ClientCredentials, Credentials, DeviceLogin, KeyCommand
from blaxel_mcp.core.exceptions import ConfigurationError


def basic_authorization(credentials: ClientCredentials) -> str:
    """Give the value of the `Authorization` header that the token endpoint expects.

    Blaxel shows the credentials as base64 of `id:secret`, which goes into the header as it
    stands; a raw `id:secret`, which Blaxel's Go SDK takes as well, is encoded first. A colon
    tells them apart, since base64 has none.
    """
    value = credentials.value.get_secret_value().strip()
    if ":" in value:
        value = base64.b64encode(value.encode()).decode("ascii")
    return f"Basic {value}"


def own_secrets(credentials: Credentials) -> Iterator[str]:
    """Yield every string that would give the credentials away, as far as known before the first exchange."""
    match credentials:
        case APIKey(key):
            yield key.get_secret_value().strip()
        case ClientCredentials(value):
            yield value.get_secret_value().strip()
            encoded = basic_authorization(credentials).removeprefix("Basic ")
            yield encoded
            yield from _halves(encoded)
        case KeyCommand():
            pass
        case DeviceLogin(access_token, refresh_token, device_code):
            for secret in (access_token, refresh_token, device_code):
                yield secret.get_secret_value().strip() if secret is not None else ""


def _halves(encoded: str) -> tuple[str, ...]:
    """Return the id and the secret inside client credentials, nothing when it is not two pieces of text."""
    try:
        identifier, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except ValueError:
        return ()
    readable = colon and identifier.isprintable() and secret.isprintable()
    return (identifier, secret) if readable else ()


def unusable_credential(source: str) -> ConfigurationError:
    """Make the error for a credential that no header can carry; `source` says where it came from."""
    return ConfigurationError(
        f"The credential from {source} cannot be sent: it is empty or holds a space, a line break or a character "
        "that is not ASCII.",
        hint="Copy it again, whole and on one line.",
    )
