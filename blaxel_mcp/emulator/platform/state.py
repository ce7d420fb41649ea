"""The state of one emulated platform: its workspace, its credentials and its recorded requests."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from blaxel_mcp.emulator.platform.records import DEMO_WORKSPACE, EmulatedModel, demo_models
from blaxel_mcp.emulator.platform.upstream import Upstream


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """One request as it was received: path and query also as sent, and headers in their order, with lower-case names.

    `request_id` is the `x-cf-request-id` of its response. A body that is `oversized` is truncated.
    """

    request_id: str
    method: str
    path: str
    raw_path: bytes
    headers: list[tuple[str, str]]
    body: bytes = b""
    oversized: bool = False
    _disconnected: anyio.Event = field(default_factory=anyio.Event, repr=False)

    @property
    def aborted(self) -> bool:
        """Whether the caller disconnected before the answer was complete."""
        return self._disconnected.is_set()

    async def wait_aborted(self) -> None:
        """Wait until the caller disconnects before the answer is complete."""
        await self._disconnected.wait()

    def mark_aborted(self) -> None:
        """Record that the caller disconnected."""
        self._disconnected.set()

    def header_values(self, name: str) -> list[str]:
        """Return every value of a header, given its lower-case name."""
        return [value for key, value in self.headers if key == name]


@dataclass(slots=True)
class AccessToken:
    """The state of an issued token, which expires at a Unix time."""

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


class Emulator:
    """One emulated platform.

    Every public attribute may be changed while it serves; a change applies from the next request on.

    Args:
        now: The clock, in Unix seconds.
        upstream: Server that answers chat completions and embeddings in place of the emulator.

    Attributes:
        url: Base URL of the inference gateway, without a final slash.
        requests: The recorded requests, in the order in which they were completely received.
        requests_kept: Maximum number of recorded requests; the oldest are dropped.
        bytes_kept: Maximum size of their bodies together; the last request is kept in any case.
        models: The workspace's models by name.
        workspaces: The workspaces that the credentials may use; all hold the same models.
        api_keys: The accepted API keys.
        client_credentials: The secret of each service account, by client id.
        refresh_tokens: The device code of each refresh token; None for a service account.
        tokens: Every access token issued so far.
        faults_shown: Number of calls of each `fault-first-N-...` model.
        token_lifetime: Seconds for which a new token is valid.
        max_request_bytes: Maximum length of a request body.
    """

    def __init__(self, *, now: Callable[[], float] = time.time, upstream: Upstream | None = None) -> None:
        self.now = now
        self.upstream = upstream
        self.url = "http://127.0.0.1"
        self.requests: list[RecordedRequest] = []
        self.requests_kept = 10_000
        self.bytes_kept = 256 * 1024 * 1024
        self._bytes = 0
        self.models: dict[str, EmulatedModel] = demo_models()
        self.workspaces: set[str] = {DEMO_WORKSPACE}
        self.api_keys: set[str] = {"demo-key"}
        self.client_credentials: dict[str, str] = {"demo-client": "demo-secret"}
        self.refresh_tokens: dict[str, str | None] = {"demo-refresh": "demo-device"}
        self.tokens: dict[str, AccessToken] = {}
        self.faults_shown: Counter[str] = Counter()
        self.token_lifetime = 7200
        self.max_request_bytes = 16 * 1024 * 1024
        self._signing_key = secrets.token_bytes(32)
        self._changed = anyio.Event()

    @property
    def run_url(self) -> str:
        """Base URL of the inference gateway."""
        return self.url

    @property
    def api_url(self) -> str:
        """Base URL of the control plane."""
        return f"{self.url}/v0"

    @property
    def token_exchanges(self) -> int:
        """Number of recorded requests to the token endpoint."""
        return sum(request.path == "/v0/oauth/token" for request in self.requests)

    def mint_token(self) -> str:
        """Return a new access token that is valid for `token_lifetime` seconds."""
        issued = int(self.now())
        claims = {
            "iss": self.api_url,
            "sub": "demo-user",
            "iat": issued,
            "exp": issued + self.token_lifetime,
            "jti": f"{len(self.tokens) + 1}",
        }
        token = sign_jwt(claims, self._signing_key)
        self.tokens[token] = AccessToken(expires_at=issued + self.token_lifetime)
        return token

    def revoke_tokens(self) -> None:
        """Revoke every access token issued so far."""
        for token in self.tokens.values():
            token.revoked = True

    def record(self, request: RecordedRequest) -> None:
        """Record a request, and drop the oldest beyond `requests_kept` and `bytes_kept`."""
        self.requests.append(request)
        del self.requests[: -self.requests_kept]
        self._bytes += len(request.body)
        if self._bytes > self.bytes_kept:
            # Counted anew, since others may have removed requests.
            self._bytes = sum(len(earlier.body) for earlier in self.requests)
            while self._bytes > self.bytes_kept and len(self.requests) > 1:
                self._bytes -= len(self.requests.pop(0).body)
        self.notify()

    def notify(self) -> None:
        """Wake the callers of `wait_for` after a change in the recorded requests."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def wait_for(
        self, predicate: Callable[[RecordedRequest], bool], timeout_seconds: float = 30
    ) -> RecordedRequest:
        """Return the first recorded request that satisfies the predicate; TimeoutError if none does in time."""
        with anyio.fail_after(timeout_seconds):
            while True:
                for request in self.requests:
                    if predicate(request):
                        return request
                await self._changed.wait()
