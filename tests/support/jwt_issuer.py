"""An OAuth issuer on loopback, with key pairs of its own."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import anyio
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.canaries import MARKER

AUDIENCE = "https://models.example.com/mcp"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Issuer:
    """An issuer; what is changed counts from the next request on.

    Attributes:
        url: Its name, and where it is.
        keys: Its private keys by their id.
        published: The ids of those whose public half it shows.
        metadata_at: The paths at which its metadata is.
        changes: What is changed in the metadata.
        key_changes: What is changed in each published key.
        key_changes: What is changed in each published key.
        fails: Whether it answers everything with 500.
        asked: The paths that were asked for.
    """

    url: str = ""
    keys: dict[str, PrivateKey] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    metadata_at: tuple[str, ...] = ("/.well-known/oauth-authorization-server",)
    changes: dict[str, Any] = field(default_factory=dict)
    key_changes: dict[str, Any] = field(default_factory=dict)
    fails: bool = False
    asked: list[str] = field(default_factory=list)

    def add_key(self, kid: str, key: PrivateKey | None = None) -> None:
        """Make a key and publish it."""
        self.keys[kid] = key or ec.generate_private_key(ec.SECP256R1())
        self.published.append(kid)

    def token(self, kid: str = "one", algorithm: str = "ES256", *, header: Any = None, **changes: Any) -> str:
        """A token that is good as it is; None takes a claim away.

        The canary is in its id, so that a token which comes out is found.
        """
        named = {name: value for name, value in {"kid": kid, **(header or {})}.items() if value is not None}
        return jwt.encode(self.claims(**changes), self.keys[kid], algorithm, headers=named)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a token."""
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
        """A token with the claims of a good one, unsigned or signed with a secret that everybody knows."""
        parts = [_encoded(json.dumps(part).encode()) for part in (header, self.claims())]
        signature = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest() if secret else b""
        return ".".join((*parts, _encoded(signature)))

    def public_pem(self, kid: str = "one") -> bytes:
        """The public half of a key, as it is passed around."""
        return self.keys[kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwks(self) -> dict[str, Any]:
        """What it shows of its keys."""
        return {"keys": [{**_public_jwk(self.keys[kid]), "kid": kid, **self.key_changes} for kid in self.published]}

    async def answer(self, request: Request) -> Response:
        """Answer as an issuer does."""
        path = request.url.path
        self.asked.append(path)
        if self.fails:
            return Response(status_code=500)
        if path == "/keys":
            return JSONResponse(self.jwks())
        if path in self.metadata_at:
            return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.changes})
        return Response(status_code=404)


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """An issuer with one key, on a free port."""
    issuer = Issuer()
    issuer.add_key("one")
    listening = anyio.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            port = self.servers[0].sockets[0].getsockname()[1]
            issuer.url = f"http://127.0.0.1:{port}"
            listening.set()

        def capture_signals(self) -> Any:
            return nullcontext()

    app = Starlette(routes=[Route("/{path:path}", issuer.answer)])
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        with anyio.fail_after(10):
            await listening.wait()
        yield issuer
        server.should_exit = True


def _public_jwk(key: PrivateKey) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
