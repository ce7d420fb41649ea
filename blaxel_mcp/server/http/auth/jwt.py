"""Whether a JWT was made by the issuer, for this server, and still counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.server.http.auth.jwks import JWK, IssuerKeys
from blaxel_mcp.settings.schema import HttpSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a private and a public key: with any other, whoever can check a token could make one."""

LEEWAY_SECONDS = 30
"""How far the issuer's clock and ours may be apart."""

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class TokenRefusedError(Exception):
    """The token does not let its bearer in; the message says why, and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token was made for: `issuer|subject`, and with which scopes."""

    identity: str
    scopes: frozenset[str]


class JwtVerifier:
    """Checks tokens of the issuer and the audience that the settings name.

    Args:
        http: The issuer and the audience.
        keys: The issuer's keys.

    Raises:
        ConfigurationError: one of the two is missing.
    """

    def __init__(self, http: HttpSettings, keys: IssuerKeys) -> None:
        if http.issuer is None or http.audience is None:
            missing = "http.issuer" if http.issuer is None else "http.audience"
            raise ConfigurationError(
                f'http.auth is "oauth", and {missing} is not set.',
                hint="Set http.issuer to the URL of the OAuth server, and http.audience to what its tokens for this "
                "server have as `aud`.",
            )
        self._issuer = http.issuer.rstrip("/")
        self._audience = http.audience
        self._keys = keys

    async def verify(self, token: str) -> Bearer:
        """Whom the token was made for.

        Raises:
            TokenRefusedError: it does not count here.
            KeysUnavailableError: nobody can tell now.
        """
        algorithm, kid = _header(token)
        key = _key(await self._keys.find(kid), algorithm)
        claims = self._claims(token, key, algorithm)
        subject = claims["sub"]
        if not subject:
            raise TokenRefusedError("The token names no subject.")
        return Bearer(f"{self._issuer}|{subject}", _scopes(claims))

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                # Some issuers have a slash at the end of their name, which people leave out.
                issuer=[self._issuer, f"{self._issuer}/"],
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefusedError(_reason(error)) from None


def _header(token: str) -> tuple[str, str | None]:
    """The algorithm and the key id that a token claims to be signed with; nothing of it is proven yet."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, RecursionError):
        raise TokenRefusedError("The token is not a JWT.") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefusedError("The token is not signed with a private key.")
    return algorithm, kid if isinstance(kid, str) else None


def _key(found: Sequence[JWK], algorithm: str) -> jwt.PyJWK:
    """The one key that fits; a token without a key id is taken from an issuer with a single key for it."""
    fitting = [key for key in found if _fits(key, algorithm)]
    if len(fitting) != 1:
        raise TokenRefusedError("The token is signed with a key that the issuer does not have.")
    try:
        return jwt.PyJWK(dict(fitting[0]), algorithm)
    except jwt.PyJWTError:
        raise TokenRefusedError("The token is signed with a key of the issuer's that cannot be used.") from None


def _fits(key: JWK, algorithm: str) -> bool:
    return (
        key.get("kty") == _KEY_TYPES[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes of a token: `scope` as RFC 9068 has it, or `scp` as some issuers do, as words or as a list."""
    return frozenset([*_words(claims.get("scope")), *_words(claims.get("scp"))])


def _words(claim: object) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    return [word for word in claim if isinstance(word, str)] if isinstance(claim, list) else []


_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token was made for another audience."),
    (jwt.InvalidIssuerError, "The token was made by another issuer."),
    (jwt.InvalidSignatureError, "The token's signature is wrong."),
)


def _reason(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"The token has no claim `{error.claim}`."
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "The token cannot be read.")
