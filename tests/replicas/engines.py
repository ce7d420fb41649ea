"""A real `redis-server` on loopback, which a test may stop, pause, empty and start again."""

import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from blaxel_mcp.budget.shared.engine import Engine
from tests.support.canaries import MARKER
from tests.support.leaks import now_ours

PASSWORD = f"{MARKER}-redis-password"
SHARED_KEY = f"{MARKER}-5f0c9be1d27a4438b6c1"
"""What encrypts answers; like the password, it must appear nowhere."""

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")

needs_redis = pytest.mark.skipif(SERVER is None, reason="neither redis-server nor valkey-server is installed")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class RedisServer:
    """A server with a password and an append-only file.

    Args:
        folder: Where it keeps its file.
        certificate: A file with its certificate and private key, with which it speaks TLS; None for neither.

    Attributes:
        url: Its URL, with the password.
        address: The same without the password, as messages have it.
    """

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        self.port = free_port()
        scheme = "rediss" if certificate else "redis"
        self.url = f"{scheme}://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.address = f"{scheme}://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._certificate = certificate
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
            # All is in the kernel before it is acknowledged: a kill loses nothing, and no slow disk is waited for.
            "appendfsync": "no",
            "save": "",
        }
        if self._certificate:
            file = str(self._certificate)
            options |= {"port": "0", "tls-port": str(self.port), "tls-auth-clients": "no"}
            options |= {"tls-cert-file": file, "tls-key-file": file}
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
    def frozen(self) -> Iterator[None]:
        """Have it do nothing while the context lasts; it does then what it was sent meanwhile."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

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

    @contextmanager
    def behind_a_gate(self) -> Iterator["Gate"]:
        """Run a proxy in front of it, which can cut off those who use its URL."""
        gate = Gate(self)
        try:
            yield gate
        finally:
            gate.end()

    def files(self) -> Iterator[Path]:
        """Yield its files, which are searched for secrets after the test."""
        for path in self._folder.rglob("*"):
            if path.is_file():
                now_ours(path)
                yield path


class Gate:
    """A TCP proxy in front of a Redis.

    Args:
        server: Where it leads.

    Attributes:
        url: The server's URL through it.
        refused: How many connections it has refused.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = server.url.replace(f":{server.port}/", f":{port}/")
        self._opened = threading.Event()
        self._opened.set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Break every connection, and let no new one through."""
        self._opened.clear()
        for each in tuple(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let connections through again."""
        self._opened.set()

    def lead_to(self, server: RedisServer) -> None:
        """Lead new connections to another server, as a name does after a failover."""
        self._server = server

    def end(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                if not self._opened.is_set():
                    inner.close()
                    self.refused += 1
                    continue
                outer = socket.create_connection(("127.0.0.1", self._server.port))
                self._sockets += [inner, outer]
                if not self._opened.is_set():
                    # It has been closed meanwhile.
                    self.close()
                for source, target in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source:
            while data := source.recv(65_536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_redis(folder: Path, certificate: Path | None = None) -> Iterator[RedisServer]:
    """Run a server while the context lasts."""
    server = RedisServer(folder, certificate)
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
