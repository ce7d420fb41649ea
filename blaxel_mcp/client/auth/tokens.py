"""Access tokens: their lifetime, and the time to renew them."""

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

RENEWAL_MARGIN_SECONDS = 600.0
"""The default timeout of a call, whose token must not expire while it runs; Blaxel's Python SDK has the same margin."""

DEFAULT_LIFETIME_SECONDS = 7200.0
"""The lifetime that Blaxel documents for access tokens, for a reply without one."""

_MAX_PLAUSIBLE_SECONDS = 1e11
_JWT_PARTS = 3
_BEARER_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; times are in seconds since the epoch, infinite if unknown."""

    value: SecretStr
    renew_at: float = math.inf
    expires_at: float = math.inf


def is_bearer_value(value: str) -> bool:
    """Return whether the value can be sent in a header: visible ASCII, at least one character."""
    return _BEARER_VALUE.fullmatch(value) is not None


def stored_token(value: str) -> Token:
    """Return a token from disk; its lifetime is in its JWT claims, otherwise unknown."""
    issued, expires = _claimed_times(value)
    if expires is None:
        return Token(SecretStr(value))
    lifetime = expires - issued if issued is not None and issued < expires else math.inf
    return Token(SecretStr(value), expires - _margin(lifetime), expires)


def issued_token(value: str, expires_in: object, asked_at: float) -> Token:
    """Return a token that the endpoint has just issued.

    Its lifetime is the reply's `expires_in`, any JSON value, otherwise in its JWT claims. `asked_at` is in seconds
    since the epoch.
    """
    lifetime = _seconds(expires_in)
    if lifetime is None:
        issued, expires = _claimed_times(value)
        # The difference of the token's own two times does not depend on this machine's clock.
        lifetime = None if expires is None else _seconds(expires - (asked_at if issued is None else issued))
    lifetime = lifetime or DEFAULT_LIFETIME_SECONDS
    expires_at = asked_at + lifetime
    return Token(SecretStr(value), expires_at - _margin(lifetime), expires_at)


def json_object(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in the bytes; an empty one if they are anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _margin(lifetime: float) -> float:
    return min(RENEWAL_MARGIN_SECONDS, lifetime / 2)


def _claimed_times(value: str) -> tuple[float | None, float | None]:
    """Return the `iat` and `exp` of a JWT, unverified: they only decide when to renew it."""
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
    """Return a JSON value that is a plausible number of seconds; None for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MAX_PLAUSIBLE_SECONDS:
        return None
    return float(value)
