"""The credentials of the tests. Each of them contains one marker, which `leaks` looks for.

They have the characters of base64, and do not look like a credential: the redaction of what looks like one would
otherwise hide that a known secret was not redacted.
"""

import base64

from blaxel_mcp.emulator import Emulator

MARKER = "canary-7f3a"
"""Part of each credential, and of nothing else that a test shows."""

KEY = f"{MARKER}/api+1="
"""The API key; `leading_to` and `variables` give it to the code and to the emulator."""

WRONG_KEY = f"{MARKER}/wrong+2="
"""A key that the emulator rejects."""

CALLER_KEY = f"{MARKER}/caller+3="
"""The Blaxel key that a caller over HTTP sends."""

HTTP_TOKEN = f"{MARKER}-http-token"
"""A bearer token that authenticates callers over HTTP."""

CLIENT_ID = f"{MARKER}-client"
CLIENT_SECRET = f"{MARKER}/client+secret"
CLIENT_CREDENTIALS = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
"""The credentials of a service account, as Blaxel shows them."""

REFRESH_TOKEN = f"{MARKER}-refresh"
DEVICE_CODE = f"{MARKER}-device"
"""The credentials of `bl login`; the emulator mints the access token."""


class CanaryEmulator(Emulator):
    """An emulator whose access tokens contain the marker too."""

    def mint_token(self) -> str:
        """Return a new access token with the marker at the end of its signature."""
        plain = super().mint_token()
        token = plain + MARKER
        self.tokens[token] = self.tokens.pop(plain)
        return token


def let_in(emulator: Emulator) -> None:
    """Let an emulator accept the credentials of the tests, in addition to its own."""
    emulator.api_keys |= {KEY, CALLER_KEY}
    emulator.client_credentials[CLIENT_ID] = CLIENT_SECRET
    emulator.refresh_tokens[REFRESH_TOKEN] = DEVICE_CODE
