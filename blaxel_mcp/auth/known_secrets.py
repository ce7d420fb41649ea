"""Our secrets, found and taken out in whatever upstream sends back."""

import json
from collections import deque

from pydantic import SecretStr

# Shorter strings are found in ordinary text, and taking those out would garble answers.
_MIN_REDACTED_CHARS = 8
# Tokens that came and went; past that many renewals they have long expired.
_REMEMBERED_SPELLINGS = 64


class KnownSecrets:
    """Finds our secrets in upstream's bytes: those in the settings, and the tokens of late."""

    def __init__(self) -> None:
        self._kept: set[bytes] = set()
        self._issued: deque[bytes] = deque(maxlen=_REMEMBERED_SPELLINGS)

    def keep(self, secret: str) -> None:
        """Look for a secret from now on."""
        self._kept.update(_spellings(secret))

    def remember(self, *secrets: SecretStr | None) -> None:
        """Look for tokens until enough others have followed them."""
        for secret in secrets:
            for spelling in _spellings(secret.get_secret_value() if secret is not None else ""):
                if spelling in self._issued:
                    self._issued.remove(spelling)
                self._issued.append(spelling)

    def redact(self, data: bytes) -> bytes:
        """Replace each secret; the longest first, since one may be a part of another."""
        for spelling in sorted({*self._kept, *self._issued}, key=len, reverse=True):
            data = data.replace(spelling, b"[redacted]")
        return data

    def redact_text(self, text: str) -> str:
        """Do the same for text."""
        return self.redact(text.encode(errors="replace")).decode()


def _spellings(secret: str) -> set[bytes]:
    """Return the forms in which a secret may come back: plain, and escaped by one or another JSON writer."""
    if len(secret) < _MIN_REDACTED_CHARS:
        return set()
    escaped = json.dumps(secret)[1:-1]
    return {text.encode(errors="replace") for text in (secret, escaped, escaped.replace("/", r"\/"))}
