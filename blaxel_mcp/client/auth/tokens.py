"""Access tokens: what is known of one, and when its time has come to be renewed."""

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

# A call may run for ten minutes by default and its token is chosen when it starts: with less than
# that left, the token could expire during the call. Blaxel's Python SDK has the same margin.
RENEWAL_MARGIN_SECONDS = 600.0

# The lifetime that Blaxel documents for access tokens, for a reply that names none.
DEFAULT_LIFETIME_SECONDS = 7200.0

_BELIEVABLE_SECONDS = 1e11
_JWT_PARTS = 3
_BEARER_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; times are seconds since the epoch, infinite when nothing is known."""

    value: SecretStr
    renew_at: float = math.inf
    expires_at: float = math.inf


def is_bearer_value(value: str) -> bool:
    """Tell whether a header can carry the value: visible ASCII, at least one character."""
    return _BEARER_VALUE.fullmatch(value) is not None


def stored_token(value: str) -> Token:
    """Return a token found on disk; its life is what its JWT claims say, unknown otherwise."""
    issued, expires = _claimed_times(value)
    if expires is None:
        return Token(SecretStr(value))
    lifetime = expires - issued if issued is not None and issued < expires else math.inf
    return Token(SecretStr(value), expires - _margin(lifetime), expires)


def issued_token(value: str, expires_in: object, asked_at: float) -> Token:
    """Return a token fresh from the endpoint; its life is `expires_in`, else what its JWT claims say."""
    lifetime = _seconds(expires_in) or _claimed_lifetime(value, asked_at) or DEFAULT_LIFETIME_SECONDS
    expires = asked_at + lifetime
    return Token(SecretStr(value), expires - _margin(lifetime), expires)


def json_object(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in the bytes, an empty one when they hold anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _margin(lifetime: float) -> float:
    return min(RENEWAL_MARGIN_SECONDS, lifetime / 2)


def _claimed_lifetime(value: str, asked_at: float) -> float | None:
    """Return a fresh JWT's lifetime; between its own two times, where it has both, our clock does not matter."""
    issued, expires = _claimed_times(value)
    if expires is None:
        return None
    return _seconds(expires - (asked_at if issued is None else issued))


def _claimed_times(value: str) -> tuple[float | None, float | None]:
    """Return the `iat` and `exp` of a JWT, unverified: they only tell when to renew it."""
    parts = value.split(".")
    if len(parts) != _JWT_PARTS:
        return None, None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return None, None
    claims = json_object(payload)
    return _seconds(claims.get("iat")), _seconds(claims.get("exp"))


def _seconds(value: object) -> float | None:
    """Return a positive, finite, believable number; JSON may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _BELIEVABLE_SECONDS:
        return None
    return float(value)
