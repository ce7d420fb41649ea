"""The secrets of the suite: every credential that it gives to the code holds one marker, which `leaks` looks for.

None of them looks like a credential, and they have what a key in base64 has: what takes out whatever looks like a
key would otherwise hide that a secret of ours was not taken out for being ours.
"""

import base64

from blaxel_mcp.emulator import Emulator

MARKER = "canary-7f3a"
"""Is in every one of them, and in nothing that a test may show."""

KEY = f"{MARKER}/api+1="
"""The API key, which `leading_to` and `variables` give to the code and to the emulator."""

WRONG_KEY = f"{MARKER}/wrong+2="
"""A key that the emulator refuses."""

CALLER_KEY = f"{MARKER}/caller+3="
"""The Blaxel key that a caller over HTTP brings along."""

HTTP_TOKEN = f"{MARKER}-http-token"
"""Lets a caller over HTTP in."""

CLIENT_ID = f"{MARKER}-client"
CLIENT_SECRET = f"{MARKER}/client+secret"
CLIENT_CREDENTIALS = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
"""A service account's, as Blaxel shows them."""

REFRESH_TOKEN = f"{MARKER}-refresh"
DEVICE_CODE = f"{MARKER}-device"
"""Those of `bl login`; the access token is minted."""


class CanaryEmulator(Emulator):
    """An emulator whose access tokens hold the marker too."""

    def mint_token(self) -> str:
        """Return a new access token, the marker at the end of its signature."""
        plain = super().mint_token()
        token = plain + MARKER
        self.tokens[token] = self.tokens.pop(plain)
        return token


def let_in(emulator: Emulator) -> None:
    """Have an emulator accept the secrets of the suite, beside its own."""
    emulator.api_keys |= {KEY, CALLER_KEY}
    emulator.client_credentials[CLIENT_ID] = CLIENT_SECRET
    emulator.refresh_tokens[REFRESH_TOKEN] = DEVICE_CODE
