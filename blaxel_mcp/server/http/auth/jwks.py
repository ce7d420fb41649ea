"""The public keys of an OAuth issuer: discovered, fetched within limits, cached, and refreshed after a rotation.

PyJWT's `PyJWKClient` fetches with blocking urllib, reads a response of any size, discards its keys when they are old
even if the issuer is down, and does not discover the key set from the issuer's metadata.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from blaxel_mcp.client.proxies import network_transport
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.settings.http import HttpSettings

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""Time that keys are used before they are fetched again."""

STALE_SECONDS = 24 * 3600.0
"""Time that keys are used while the issuer cannot be reached."""

COOLDOWN_SECONDS = 10.0
"""Minimum time between two fetches, so that invented key ids cannot make this server flood the issuer."""

FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024

JWK = Mapping[str, Any]

_FETCH_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError, ConfigurationError)
"""Errors of the network, the issuer's answer, a host name that IDNA cannot encode, or a proxy that cannot be used."""


class KeysUnavailableError(Exception):
    """The issuer's keys are not available, so no token can be verified."""


class IssuerKeys:
    """The keys of the issuer in the settings: at `jwks_url`, otherwise where the metadata of `issuer` says.

    Raises ConfigurationError if one of the two is a plain http URL of another machine.
    """

    def __init__(self, http: HttpSettings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = (http.issuer or "").rstrip("/")
        self._jwks_url = http.jwks_url
        for name, url in (("issuer", http.issuer), ("jwks_url", http.jwks_url)):
            if url and not _is_secure(url):
                raise ConfigurationError(
                    f"http.{name} is a plain http URL of another machine: anyone on the way could forge the keys.",
                    hint="Use its https URL.",
                )
        self._now = now
        self._fetching = anyio.Lock()
        self._keys: tuple[JWK, ...] | None = None
        self._fetched_at = 0.0
        self._attempted_at: float | None = None

    async def find(self, kid: str | None) -> tuple[JWK, ...]:
        """Return the keys with an id, or all keys for None; fetch them first if they are old or the id is unknown.

        Raises KeysUnavailableError if there are none that are recent enough.
        """
        is_known = bool(self._matching(kid)) and self._age() <= STALE_SECONDS
        # One caller waits for keys that are only old.
        if not is_known or (self._age() > FRESH_SECONDS and not self._fetching.locked()):
            async with self._fetching:
                if self._attempted_at is None or self._now() - self._attempted_at >= COOLDOWN_SECONDS:
                    await self._refresh()
        if self._keys is None or self._age() > STALE_SECONDS:
            raise KeysUnavailableError
        return self._matching(kid)

    def _matching(self, kid: str | None) -> tuple[JWK, ...]:
        return tuple(key for key in self._keys or () if kid is None or key.get("kid") == kid)

    def _age(self) -> float:
        return self._now() - self._fetched_at

    async def _refresh(self) -> None:
        self._attempted_at = self._now()
        try:
            # Shielded: other callers wait for the same keys if the first one disconnects.
            with anyio.CancelScope(shield=True), anyio.fail_after(FETCH_SECONDS):
                async with httpx.AsyncClient(transport=network_transport()) as http:
                    document = await _fetch_json(http, self._jwks_url or await self._discover_jwks_url(http))
            keys = document.get("keys")
            if not isinstance(keys, list):
                raise ValueError("its key set has no list of keys")  # noqa: TRY004 - logged like the others
            self._keys = tuple(key for key in keys if isinstance(key, dict))
            self._fetched_at = self._now()
        except _FETCH_ERRORS as error:
            reason = str(error) or type(error).__name__
            logger.warning("could not fetch the keys of the issuer %s: %s", self._issuer, reason)

    async def _discover_jwks_url(self, http: httpx.AsyncClient) -> str:
        """Return the `jwks_uri` of the issuer's metadata: OAuth's (RFC 8414), otherwise OpenID Connect's."""
        parts = urlsplit(self._issuer)
        origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        try:
            metadata = await _fetch_json(http, f"{origin}/.well-known/oauth-authorization-server{path}")
        except ValueError:
            metadata = await _fetch_json(http, f"{origin}{path}/.well-known/openid-configuration")
        if str(metadata.get("issuer", "")).rstrip("/") != self._issuer:
            raise ValueError("its metadata names another issuer")
        url = metadata.get("jwks_uri")
        if not isinstance(url, str) or not _is_secure(url):
            raise ValueError("its metadata has no https jwks_uri")
        return url


def _is_secure(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


async def _fetch_json(http: httpx.AsyncClient, url: str) -> JSONObject:
    """Fetch a JSON object of at most `MAX_DOCUMENT_BYTES`; raise ValueError for any other answer."""
    # Uncompressed, so that the size on the wire is the size in memory.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with http.stream("GET", url, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"{url} answered HTTP {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise ValueError(f"{url} answered more than {MAX_DOCUMENT_BYTES} bytes")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError(f"{url} did not answer a JSON object")  # noqa: TRY004 - the issuer's fault, not a caller's
    return document
