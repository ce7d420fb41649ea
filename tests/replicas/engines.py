"""A real `redis-server` on loopback, which a test may stop, pause, empty and start again."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from blaxel_mcp.shared.engine import Engine
from tests.support.canaries import MARKER
from tests.support.leaks import now_ours

PASSWORD = f"{MARKER}-redis-password"
SHARED_KEY = f"{MARKER}-5f0c9be1d27a4438b6c1"
"""What encrypts answers; like the password, it must appear nowhere."""

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")

needs_redis = pytest.mark.skipif(SERVER is None, reason="neither redis-server nor valkey-server is installed")


class RedisServer:
    """A server with a password and an append-only file.

    Args:
        folder: Where it keeps its file.

    Attributes:
        url: Its URL, with the password.
        address: The same without the password, as messages have it.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.address = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with what its file has, and wait until it accepts connections."""
        assert SERVER
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "requirepass": PASSWORD,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([SERVER, *words], stdout=subprocess.PIPE)
        assert self._process.stdout
        assert any(b"Ready to accept connections" in line for line in self._process.stdout)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    @contextmanager
    def client(self) -> Iterator["Redis"]:
        """Connect a client of the test's own."""
        client = Redis.from_url(self.url)
        try:
            yield client
        finally:
            client.close()

    def empty(self) -> None:
        """Remove everything in it."""
        with self.client() as client:
            client.flushall()

    def pause(self, seconds: float) -> None:
        """Have it answer nobody for a while."""
        with self.client() as client:
            client.client_pause(round(seconds * 1000))

    def files(self) -> Iterator[Path]:
        """Yield its files, which are searched for secrets after the test."""
        for path in self._folder.rglob("*"):
            if path.is_file():
                now_ours(path)
                yield path


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a server while the context lasts."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.kill()


def sharing(server: RedisServer, **more: Any) -> dict[str, Any]:
    """Return the settings of `[shared]` for a server; leases are short, since tests wait for their end."""
    return {"url": server.url, "key": SHARED_KEY, "lease_seconds": 1.5, **more}


@contextmanager
def engine_of(server: RedisServer) -> Iterator[Engine]:
    """Connect the code to a server."""
    engine = Engine(SecretStr(server.url))
    try:
        yield engine
    finally:
        engine.close()


def leases_in(client: Any, key: str) -> float:
    """Return when the only lease of a set ends, in milliseconds."""
    ((_, until),) = client.zrange(key, 0, -1, withscores=True)
    return float(until)
