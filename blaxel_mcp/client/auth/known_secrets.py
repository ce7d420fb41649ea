"""Our secrets, found and taken out in whatever upstream sends back."""

from collections import OrderedDict

from pydantic import SecretStr

from blaxel_mcp.client.auth.secret_encodings import spellings, without_escapes

# Tokens that came and went; past that many renewals they have long expired.
_REMEMBERED = 16

_Replacements = tuple[tuple[bytes, bytes], ...]


class KnownSecrets:
    """Finds our secrets in upstream's bytes: those in the settings, and the tokens of late."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}
        self._issued: OrderedDict[str, dict[bytes, bytes]] = OrderedDict()
        self._all: _Replacements = ()
        self._narrow: _Replacements = ()

    def keep(self, secret: str) -> None:
        """Look for a secret from now on."""
        self._kept.update(spellings(secret))
        self._sort()

    def remember(self, *secrets: SecretStr | None) -> None:
        """Look for tokens until enough others have followed them."""
        for secret in secrets:
            if secret is not None:
                value = secret.get_secret_value()
                self._issued[value] = spellings(value)
                self._issued.move_to_end(value)
        while len(self._issued) > _REMEMBERED:
            self._issued.popitem(last=False)
        self._sort()

    def redact(self, data: bytes) -> bytes:
        """Replace each secret, in whatever spelling."""
        plain = without_escapes(data)
        if plain is not data and any(spelling in plain for spelling, _ in self._narrow):
            data = plain
        # Most data has no zeros in it, which all that is in UTF-16 has.
        for spelling, instead in self._all if b"\0" in data else self._narrow:
            # Looking costs half of what replacing nothing does.
            if spelling in data:
                data = data.replace(spelling, instead)
        return data

    def begun_in(self, data: bytes) -> int:
        """How many bytes at the end of data that goes on may be the beginning of a secret."""
        longest = len(self._narrow[0][0]) if self._narrow else 0
        tail = data[-longest:] if longest else b""
        return max((_begun(spelling, tail) for spelling, _ in self._narrow), default=0)

    def redact_text(self, text: str) -> str:
        """Do the same for text."""
        return self.redact(text.encode(errors="replace")).decode()

    def _sort(self) -> None:
        found = dict(item for known in (self._kept, *self._issued.values()) for item in known.items())
        # The longest first, since one may be a part of another.
        self._all = tuple(sorted(found.items(), key=lambda item: len(item[0]), reverse=True))
        self._narrow = tuple(item for item in self._all if b"\0" not in item[0])


def _begun(spelling: bytes, tail: bytes) -> int:
    """How many bytes at the end of a text are the beginning of a secret, and not the whole of it."""
    place = tail.find(spelling[:1])
    while place >= 0:
        left = len(tail) - place
        if left < len(spelling) and spelling.startswith(tail[place:]):
            return left
        place = tail.find(spelling[:1], place + 1)
    return 0
