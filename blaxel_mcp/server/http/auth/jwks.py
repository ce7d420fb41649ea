"""The public keys of an OAuth issuer: found, fetched within bounds, kept, and fetched again when they were rotated."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.hosts import LOOPBACK_PATTERNS, is_loopback
from blaxel_mcp.settings.schema import HttpSettings

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""How long keys are used without a look at whether there are others."""

LAST_SECONDS = 24 * 3600.0
"""How long they are used while the issuer cannot be reached."""

PAUSE_SECONDS = 10.0
"""How long after one fetch there is no other: whoever makes up key ids must not have us pester the issuer."""

FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024

JWK = Mapping[str, Any]


# The network, what the issuer answers, a name that IDNA cannot write, a proxy that the environment names.
_FETCH_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError, ImportError)


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be had now, so no token can be checked."""


class IssuerKeys:
    """The keys of the issuer that the settings name.

    Args:
        http: Its `issuer` or `jwks_url` is where to look.
        now: A monotonic clock, in seconds.

    Raises:
        ConfigurationError: they would be fetched over plain http from another machine.
    """

    def __init__(self, http: HttpSettings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = (http.issuer or "").rstrip("/")
        self._jwks_url = http.jwks_url
        for key, url in (("issuer", http.issuer), ("jwks_url", http.jwks_url)):
            if url and not _is_safe(url):
                raise ConfigurationError(
                    f"http.{key} is a plain http URL of another machine, which anyone in between can answer.",
                    hint="Use its https URL.",
                )
        self._now = now
        self._fetching = anyio.Lock()
        self._keys: tuple[JWK, ...] | None = None
        self._fetched_at = 0.0
        self._asked_at: float | None = None

    async def find(self, kid: str | None) -> tuple[JWK, ...]:
        """The keys with an id, all of them for None; fetched now where that may bring one that is not known.

        Raises:
            KeysUnavailableError: none have been had so far.
        """
        if not self._matching(kid) or self._age() > FRESH_SECONDS:
            async with self._fetching:
                if self._asked_at is None or self._now() - self._asked_at >= PAUSE_SECONDS:
                    await self._renew()
        if self._keys is None or self._age() > LAST_SECONDS:
            raise KeysUnavailableError
        return self._matching(kid)

    def _matching(self, kid: str | None) -> tuple[JWK, ...]:
        return tuple(key for key in self._keys or () if kid is None or key.get("kid") == kid)

    def _age(self) -> float:
        return self._now() - self._fetched_at

    async def _renew(self) -> None:
        self._asked_at = self._now()
        try:
            # Shielded: others wait for the same keys when the caller who came first has gone.
            with anyio.CancelScope(shield=True), anyio.fail_after(FETCH_SECONDS):
                self._keys = await self._fetch()
            self._fetched_at = self._now()
        except _FETCH_ERRORS as error:
            reason = str(error) or type(error).__name__
            logger.warning("the keys of the issuer %s could not be fetched: %s", self._issuer, reason)

    async def _fetch(self) -> tuple[JWK, ...]:
        # Reading the certificates takes tens of milliseconds.
        certificates = await anyio.to_thread.run_sync(httpx.create_ssl_context)
        async with httpx.AsyncClient(verify=certificates, mounts=dict.fromkeys(LOOPBACK_PATTERNS)) as http:
            document = await _document(http, self._jwks_url or await self._keys_url(http))
        keys = document.get("keys")
        if not isinstance(keys, list):
            raise ValueError("its key set has no list of keys")  # noqa: TRY004 - an issuer's mistake, not a caller's
        return tuple(key for key in keys if isinstance(key, dict))

    async def _keys_url(self, http: httpx.AsyncClient) -> str:
        """Look the URL of the keys up in the issuer's metadata: that of OAuth (RFC 8414), else that of OpenID."""
        first, second = _metadata_urls(self._issuer)
        try:
            metadata = await _document(http, first)
        except ValueError:
            metadata = await _document(http, second)
        if str(metadata.get("issuer", "")).rstrip("/") != self._issuer:
            raise ValueError("its metadata is of another issuer")
        url = metadata.get("jwks_uri")
        if not isinstance(url, str) or not _is_safe(url):
            raise ValueError("its metadata names no https URL of keys")
        return url


def _metadata_urls(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


async def _document(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Fetch a JSON object of bounded size; raises ValueError where there is none."""
    # Uncompressed, so that the size on the wire is the size.
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
        raise ValueError(f"{url} answered no JSON object")  # noqa: TRY004 - as above
    return document
