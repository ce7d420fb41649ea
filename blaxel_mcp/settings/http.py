"""Settings of the HTTP transport: `[http]`."""

from typing import Literal

from pydantic import Field, SecretStr

from blaxel_mcp.settings.types import (
    ClosedSection,
    HttpUrl,
    IssuerUrl,
    ListenAddress,
)

HttpAuth = Literal["token", "oauth", "caller", "platform"]
"""How HTTP callers are authenticated; the description of `http.auth` explains each."""


class HttpSettings(ClosedSection):
    """Where the HTTP transport listens, and who may call it."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""

    port: int = Field(default=8000, ge=0, le=65_535)
    """Port to listen on; 0: any free port."""

    auth: HttpAuth | None = None
    """How callers are authenticated. token: with one of bearer_tokens. oauth: with a JWT of the issuer. caller: each
    caller sends its own X-Blaxel-Authorization and X-Blaxel-Workspace. platform: by the gateway in front, such as
    Blaxel's. Unset: not at all, and the server listens on loopback only."""

    bearer_tokens: tuple[SecretStr, ...] = ()
    """Tokens that are accepted with auth = "token"; they are never sent to Blaxel."""

    allowed_hosts: tuple[str, ...] = ()
    """Accepted values of the Host header: `name`, `name:port` or `name:*`."""

    allowed_origins: tuple[str, ...] = ()
    """Accepted values of the Origin header, for pages in a browser."""

    issuer: IssuerUrl | None = None
    """OAuth issuer whose tokens are accepted with auth = "oauth"."""

    audience: str | None = Field(default=None, min_length=1)
    """Audience that its tokens must have."""

    jwks_url: HttpUrl | None = None
    """URL of the issuer's keys. Unset: the one in the issuer's metadata."""

    scopes: tuple[str, ...] = ()
    """Scopes that its tokens must have."""

    resource_url: HttpUrl | None = None
    """This server's public URL, for the OAuth metadata. Unset: the address that it listens on."""

    drain_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How long running calls may finish after SIGTERM, in seconds. Unset: limits.timeout_seconds with [shared],
    otherwise 5."""

    metrics_address: ListenAddress | None = None
    """Where Prometheus text is served at /metrics, to anyone who can connect: a port of loopback, or address:port.
    Unset: nowhere."""
