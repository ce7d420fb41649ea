"""An OAuth issuer on loopback, with its own key pairs."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tests.support.canaries import MARKER

AUDIENCE = "https://models.example.com/mcp"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Issuer:
    """An issuer; a changed attribute takes effect with the next request.

    Attributes:
        url: Its name and URL.
        keys: Its private keys by id.
        published: The ids of the keys whose public half it publishes.
        metadata_at: The paths of its metadata.
        changes: Changed fields of the metadata.
        key_changes: Changed fields of each published key.
        fails: Whether it answers every request with 500.
        released: Set unless it keeps requests waiting.
        asked: The requested paths.
    """

    url: str = ""
    keys: dict[str, PrivateKey] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    metadata_at: tuple[str, ...] = ("/.well-known/oauth-authorization-server",)
    changes: dict[str, Any] = field(default_factory=dict)
    key_changes: dict[str, Any] = field(default_factory=dict)
    fails: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    def add_key(self, kid: str, key: PrivateKey | None = None) -> None:
        """Add a key and publish it."""
        self.keys[kid] = key or ec.generate_private_key(ec.SECP256R1())
        self.published.append(kid)

    def token(self, kid: str = "one", algorithm: str = "ES256", *, header: Any = None, **changes: Any) -> str:
        """Return a valid token with these claims changed; None removes one.

        Its id contains the canary, so that a leaked token is found.
        """
        named = {name: value for name, value in {"kid": kid, **(header or {})}.items() if value is not None}
        return jwt.encode(self.claims(**changes), self.keys[kid], algorithm, headers=named)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a token."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "anna",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "scope": "models:call models:list",
            "jti": MARKER * 3,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def forged(self, header: dict[str, Any], secret: bytes = b"") -> str:
        """Return a token with valid claims, unsigned or signed with a public secret."""
        parts = [_encoded(json.dumps(part).encode()) for part in (header, self.claims())]
        signature = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest() if secret else b""
        return ".".join((*parts, _encoded(signature)))

    def public_pem(self, kid: str = "one") -> bytes:
        """Return the public half of a key as PEM."""
        return self.keys[kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwks(self) -> dict[str, Any]:
        """Return the published key set."""
        return {"keys": [{**_public_jwk(self.keys[kid]), "kid": kid, **self.key_changes} for kid in self.published]}

    async def answer(self, request: Request) -> Response:
        """Answer a request as an issuer."""
        path = request.url.path
        self.asked.append(path)
        await self.released.wait()
        if self.fails:
            return Response(status_code=500)
        if path == "/keys":
            return JSONResponse(self.jwks())
        if path in self.metadata_at:
            return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.changes})
        return Response(status_code=404)


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """Run an issuer with one key on a free port."""
    issuer = Issuer()
    issuer.add_key("one")
    issuer.released.set()
    app = Starlette(routes=[Route("/{path:path}", issuer.answer)])
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    # uvicorn's protocol without its server, whose end takes 0.2 s.
    connections = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: H11Protocol(config, connections, app_state={}), "127.0.0.1", 0
    )
    async with server:
        issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield issuer
        for connection in list(connections.connections):
            connection.transport.abort()


def _public_jwk(key: PrivateKey) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
