"""OAuth: the verification of JWT access tokens, and the metadata that names the issuer whose tokens are accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
from mcp.server.auth.routes import build_resource_metadata_url
from pydantic import AnyHttpUrl

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.server.http.address import MCP_PATH, Address
from blaxel_mcp.server.http.auth.jwks import JWK, IssuerKeys
from blaxel_mcp.settings.http import HttpSettings

METADATA_PATH = "/.well-known/oauth-protected-resource"

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric algorithms only: with a symmetric one, anyone who can verify a token could also make one."""

LEEWAY_SECONDS = 30
"""Tolerated difference between the issuer's clock and ours."""

_ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""The values of `typ` that make a token an access token (RFC 9068, section 2.1), in lower case."""

_PLAIN_TYPES = frozenset({None, "jwt", "application/jwt"})
"""The values of `typ` that any JWT may have. Most issuers give them to access tokens, and to ID tokens too."""

_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash", "events")
"""Claims that only ID tokens have (OpenID Connect Core, sections 2 and 3.3.2.11), and logout tokens."""

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token is for another audience."),
    (jwt.InvalidIssuerError, "The token is from another issuer."),
    (jwt.InvalidSignatureError, "The token's signature is invalid."),
)


class TokenRefusedError(Exception):
    """The token is not valid here; the message says why, without a part of the token."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """The subject of a valid token; `identity` is `issuer|subject`."""

    identity: str
    scopes: frozenset[str]


class JwtVerifier:
    """Verifies tokens of the issuer and audience in the settings; raises ConfigurationError if one is missing."""

    def __init__(self, http: HttpSettings, keys: IssuerKeys) -> None:
        if http.issuer is None or http.audience is None:
            missing = "http.issuer" if http.issuer is None else "http.audience"
            raise ConfigurationError(
                f'http.auth is "oauth", but {missing} is not set.',
                hint="Set http.issuer to the OAuth server's URL, and http.audience to the `aud` claim of the tokens "
                "that it issues for this server.",
            )
        self._issuer = http.issuer.rstrip("/")
        self._audience = http.audience
        self._keys = keys

    async def verify(self, token: str) -> Bearer:
        """Return the subject of a token; raises TokenRefusedError, or KeysUnavailableError."""
        algorithm, kid, kind = _unverified_header(token)
        key = _signing_key(await self._keys.find(kid), algorithm)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                # Some issuers end their name with a slash, which people omit in settings.
                issuer=[self._issuer, f"{self._issuer}/"],
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.MissingRequiredClaimError as error:
            raise TokenRefusedError(f"The token has no `{error.claim}` claim.") from None
        except jwt.PyJWTError as error:
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "The token is malformed.")
            raise TokenRefusedError(reason) from None
        if kind not in _ACCESS_TOKEN_TYPES:
            _require_no_id_token(claims)
        if not claims["sub"]:
            raise TokenRefusedError("The token has an empty `sub` claim.")
        return Bearer(f"{self._issuer}|{claims['sub']}", _scopes(claims))


def _unverified_header(token: str) -> tuple[str, str | None, str | None]:
    """Return the algorithm and the key id that a token claims to be signed with, and its type in lower case."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, RecursionError):
        raise TokenRefusedError("The token is not a JWT.") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefusedError("The token is not signed with an asymmetric algorithm that this server accepts.")
    kind = header.get("typ")
    if not isinstance(kind, str | None) or (kind and kind.lower()) not in _PLAIN_TYPES | _ACCESS_TOKEN_TYPES:
        raise TokenRefusedError("The token is not an access token.")
    return algorithm, kid if isinstance(kid, str) else None, kind and kind.lower()


def _require_no_id_token(claims: Mapping[str, Any]) -> None:
    """Refuse a token of a plain type that is known not to be an access token.

    Such a token says who has logged in to the issuer, which is no permission to call this server. Keycloak names the
    kind in the claim `typ`, and its access tokens may have a nonce; Amazon Cognito names it in `token_use`.
    """
    kind = claims.get("typ", claims.get("token_use", "access"))
    is_named = isinstance(kind, str) and kind.lower() in ("bearer", "access")
    has_id_claims = any(name in claims for name in _ID_TOKEN_CLAIMS)
    if not is_named or (has_id_claims and claims.get("typ") != "Bearer"):
        raise TokenRefusedError("The token is not an access token.")


def _signing_key(candidates: Sequence[JWK], algorithm: str) -> jwt.PyJWK:
    """Return the only key for an algorithm. A token without a key id is valid if the issuer has one such key."""
    suitable = [
        key
        for key in candidates
        if key.get("kty") == _KEY_TYPES[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    ]
    if len(suitable) != 1:
        raise TokenRefusedError("The token is not signed with a known key of the issuer.")
    try:
        return jwt.PyJWK(dict(suitable[0]), algorithm)
    except jwt.PyJWTError:
        raise TokenRefusedError("The token is signed with an unusable key of the issuer.") from None


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes of a token: from `scope` (RFC 9068), or `scp` as some issuers name it, as text or a list."""
    scopes: list[str] = []
    for claim in (claims.get("scope"), claims.get("scp")):
        if isinstance(claim, str):
            scopes += claim.split()
        elif isinstance(claim, list):
            scopes += [scope for scope in claim if isinstance(scope, str)]
    return frozenset(scopes)


def resource_url(http: HttpSettings, address: Address) -> str:
    """Return this server's URL as clients know it: `http.resource_url`, otherwise the address that it listens on."""
    return http.resource_url or f"{address.url}{MCP_PATH}"


def metadata_url(http: HttpSettings, address: Address) -> str:
    """Return the URL of the metadata (RFC 9728, section 3.1), as the `WWW-Authenticate` header names it."""
    return str(build_resource_metadata_url(AnyHttpUrl(resource_url(http, address))))


def metadata_pages(http: HttpSettings, address: Address) -> dict[bytes, JSONObject]:
    """Return the metadata by the path as it is on the wire; there is none unless `http.auth` is `oauth`.

    The SDK's `create_protected_resource_routes` turns the issuer `https://host` into `https://host/`, and clients
    compare issuers character by character (RFC 8414, section 3.3). It also lets the document be cached for an hour, and
    serves one path, which is wrong behind a proxy that adds or strips a prefix.
    """
    if http.auth != "oauth":
        return {}
    metadata = {
        "resource": resource_url(http, address),
        "authorization_servers": [http.issuer],
        "bearer_methods_supported": ["header"],
        **({"scopes_supported": list(http.scopes)} if http.scopes else {}),
    }
    paths = (METADATA_PATH, f"{METADATA_PATH}{MCP_PATH}", urlsplit(metadata_url(http, address)).path)
    return {path.encode(): metadata for path in paths}
