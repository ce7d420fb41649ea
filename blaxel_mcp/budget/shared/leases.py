"""Leases: a process keeps its entries in the engine only as long as it renews them, every few seconds.

It renews them from a thread, so that a busy event loop cannot lose them.
"""

import logging
import threading
from collections.abc import Callable

from blaxel_mcp.budget.shared.engine import SharedStateError

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
