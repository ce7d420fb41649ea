"""The shared state of a server: its engine, leases and encryption.

A process keeps its entries in the engine only as long as it renews them, every few seconds. It renews them from a
thread, so that a busy event loop cannot lose them.
"""

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from blaxel_mcp.budget.shared.engine import Engine, SharedStateError
from blaxel_mcp.settings.limits import SharedSettings

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 3


class Heartbeat:
    """Calls a function three times per lease until it is stopped.

    While the engine is away, the function may raise SharedStateError.
    """

    def __init__(self, beat: Callable[[], None], lease_seconds: float) -> None:
        self._beat = beat
        self._seconds = lease_seconds / BEATS_PER_LEASE
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._away = False

    def start(self) -> None:
        """Begin to call the function, unless that has begun."""
        with self._lock:
            if self._ended is None:
                self._ended = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._ended,), name="shared-heartbeat", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Stop calling the function, and wait until it has returned; the next `start` begins again."""
        with self._lock:
            ended, self._ended = self._ended, None
            thread, self._thread = self._thread, None
        if ended and thread:
            ended.set()
            thread.join()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds):
            try:
                self._beat()
                self._away = False
            except SharedStateError as error:
                if not self._away:
                    logger.warning("shared state: %s; trying again until it is back", error)
                self._away = True
            except Exception:
                # Without its beats, a process would lose its leases.
                logger.exception("a beat failed")


_NONCE_BYTES = 12


class Cipher:
    """Encrypts with AES-256-GCM. A text can be decrypted only for the place and the caller that it is for."""

    def __init__(self, key: SecretStr) -> None:
        # Imported here: only a server that shares answers encrypts.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._key = key
        self._aead = AESGCM(hashlib.sha256(b"blaxel-mcp shared.key\0" + key.get_secret_value().encode()).digest())

    def subkey(self, purpose: str) -> bytes:
        """Return a key for another purpose, the same on every server."""
        text = f"blaxel-mcp {purpose}\0{self._key.get_secret_value()}"
        return hashlib.sha256(text.encode()).digest()

    def encrypt(self, data: bytes, place: str) -> bytes:
        """Encrypt data for a place: the key of the engine under which it is kept, which has the caller in it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data, place.encode())

    def decrypt(self, data: bytes, place: str) -> bytes:
        """Decrypt data that was encrypted for a place.

        Raises:
            SharedStateError: It was encrypted with another `shared.key`, or for another place.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            return self._aead.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise SharedStateError(
                "what is kept there was encrypted with another shared.key; give each server the same one"
            ) from None


@dataclass(frozen=True, slots=True, eq=False)
class SharedState:
    """The shared state of one server, which closes the engine at its end."""

    engine: Engine
    cipher: Cipher
    lease_seconds: float


def shared_state(settings: SharedSettings) -> SharedState | None:
    """Return the shared state of a server; None if the settings name no engine. Nothing is connected yet.

    Raises:
        ConfigurationError: The extra `redis` is not installed.
    """
    if settings.url is None:
        return None
    assert settings.key, "the settings require it beside the URL"
    return SharedState(Engine(settings.url), Cipher(settings.key), settings.lease_seconds)
