"""Access tokens in the form that the platform's token endpoint issues."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class AccessToken:
    """The state of an issued token.

    Args:
        expires_at: Unix time from which it is refused.
        revoked: Whether it was revoked before that.
    """

    expires_at: float
    revoked: bool = False


def sign_jwt(claims: dict[str, Any], key: bytes) -> str:
    """Return the claims as a compact JWT with an HMAC-SHA-256 signature (RFC 7519)."""
    header = _base64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    payload = _base64url(json.dumps(claims).encode())
    signature = hmac.new(key, f"{header}.{payload}".encode(), hashlib.sha256).digest()
    return f"{header}.{payload}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
