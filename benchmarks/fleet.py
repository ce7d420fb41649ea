"""Replicas of our server behind haproxy, with a Redis and an upstream that counts what reaches it, all on loopback.

`python -m benchmarks.fleet` is that upstream: it prints its port and serves until the end of its input.
"""

import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from redis import Redis

from benchmarks import upstream
from benchmarks.driver import ROOT, SECONDS, BenchmarkError, Call
from benchmarks.http_driver import request

_MARK, _DELAY, _WORDS = (re.compile(pattern) for pattern in (rb"mark-(\w+)", rb"delay-(\d+)", rb"words-(\d+)"))
_COUNTS = "/counts"
_PROGRAMS = ("redis-server", "haproxy")

TOKENS = [f"a-token-of-the-benchmarks-{number:03d}" for number in range(150)]
"""The callers: a server takes at most 600 tool calls in a minute from one, and keeps up to 200 of them."""

MODELS = [f"other{number}" for number in range(100)]

_SERVER_OPTIONS = "check inter 200ms fall 2 rise 1 maxconn 350 pool-max-conn 20"
"""A replica takes at most 400 connections, and one that is busy is ready all the same."""

SHARED_KEY = "a-key-of-the-benchmarks-5f0c9be1d27a4438b6c1"


def marked_call(mark: str, delay_ms: int = 0, *, words: int = 0, has_key: bool = False, model: str = "house") -> Call:
    """Return a call that the upstream counts under its mark.

    Args:
        mark: The first word of the answer.
        delay_ms: After how many milliseconds the answer comes.
        words: How many more words it has.
        has_key: Whether the mark is the key of the call.
        model: The model.
    """
    messages = [{"role": "user", "content": f"mark-{mark} delay-{delay_ms} words-{words}"}]
    arguments = {"model": model, "data": {"messages": messages}}
    return Call("run_model", {**arguments, "call_key": mark} if has_key else arguments)


class CountingConnection(upstream.Connection):
    """A connection that counts each request by its mark, and answers it with the mark."""

    counts: ClassVar[Counter[str]] = Counter()

    def _answer(self, request: bytes) -> None:
        if request.startswith(f"GET {_COUNTS} ".encode()):
            self._transport.write(upstream.response(json.dumps(self.counts).encode()))
            return
        mark, delay, words = (pattern.search(request) for pattern in (_MARK, _DELAY, _WORDS))
        if mark is None or delay is None or words is None:
            self._transport.write(upstream.SHORT_ANSWER)
            return
        self.counts[mark[1].decode()] += 1
        # Words with as many letters, and as much to compress, as in a text.
        more = random.Random(mark[0]).choices(range(10_000, 12_000), k=int(words[1]))  # noqa: S311 - no secret
        message = {"role": "assistant", "content": " ".join([mark[0].decode(), *map(str, more)])}
        answer = upstream.completion(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
        data = upstream.response(json.dumps(answer).encode())
        asyncio.get_running_loop().call_later(int(delay[1]) / 1000, self._write, data)

    def _write(self, data: bytes) -> None:
        # The replica that waited for it may have been killed.
        if not self._transport.is_closing():
            self._transport.write(data)


@dataclass
class Child:
    """A process that can be ended and started again."""

    command: Sequence[str | Path]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        environment = own_environment(self.log.parent)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=ROOT, env=environment)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, and wait for its end."""
        if self.process:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait(SECONDS)
            self.process = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process
        return self.process.pid


@dataclass
class Fleet:
    """What runs.

    Attributes:
        port: haproxy's port.
        settings: The settings file of the replicas.
        replicas: The servers.
        redis: The Redis.
        balancer: The haproxy.
    """

    port: int
    settings: Path
    replicas: list[Child]
    redis: Child
    balancer: Child
    redis_port: int
    upstream_port: int

    def counts(self) -> dict[str, int]:
        """Return how often each mark reached the upstream."""
        counts: dict[str, int] = json.loads(_get(f"http://127.0.0.1:{self.upstream_port}{_COUNTS}"))
        return counts

    def engine(self) -> Redis:
        """Return a client of the Redis, which the caller closes."""
        return Redis(port=self.redis_port)

    def ledger(self) -> dict[str, Any]:
        """Return today's usage, as `blaxel-mcp usage --json` prints it."""
        command = [sys.executable, "-m", "blaxel_mcp", "usage", "--json", "--config", str(self.settings)]
        environment = own_environment(self.settings.parent)
        finished = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=environment)
        usage: dict[str, Any] = json.loads(finished.stdout)
        return usage

    def wait_ready(self) -> None:
        """Wait until haproxy has a replica that is ready.

        Raises:
            BenchmarkError: It has none after two minutes.
        """
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError):
                _get(f"http://127.0.0.1:{self.port}/readyz")
                return
            time.sleep(0.05)
        raise BenchmarkError(f"no replica is ready after {SECONDS} s; see {self.settings.parent}")


def request_of(caller: int, call: Call, port: int) -> bytes:
    """Return the bytes of a request of one of the callers."""
    head, _, body = request(call, "2026", port).partition(b"\r\n\r\n")
    return b"%b\r\nAuthorization: Bearer %b\r\n\r\n%b" % (head, TOKENS[caller % len(TOKENS)].encode(), body)


def own_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that keeps everything below a folder and knows no account of Blaxel."""
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(folder))
    return {"PATH": os.environ["PATH"], **places}


def missing_programs() -> list[str]:
    """Return which of Debian's packages are not installed."""
    return [name for name in _PROGRAMS if shutil.which(name) is None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        seconds: The duration of each measurement of throughput.
        clients: Clients that call at the same time.
        in_flight: Calls in flight while memory is measured.
        calls: Calls that are made while replicas and Redis fail.
    """

    seconds: float = 15
    clients: int = 24
    in_flight: int = 200
    calls: int = 1500


FULL, QUICK = Size(), Size(seconds=4, clients=12, in_flight=50, calls=150)


@contextmanager
def running(replicas: int, settings: Mapping[str, object] | None = None) -> Iterator[Fleet]:
    """Run a fleet in a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch, _fleet(Path(scratch), replicas, settings or {}) as started:
        yield started


@contextmanager
def _fleet(folder: Path, count: int, settings: Mapping[str, object]) -> Iterator[Fleet]:
    """Run replicas with these settings beside the ones that every fleet has, and all that they need."""
    children: list[Child] = []
    try:
        with _counting_upstream(folder) as upstream_port:
            running = _describe(folder, count, settings, upstream_port)
            children += [running.redis, *running.replicas, running.balancer]
            for child in children:
                child.start()
            for replica in running.replicas:
                _wait_listening(int(str(replica.command[-1])))
            running.wait_ready()
            yield running
    finally:
        for child in reversed(children):
            child.end()


def _describe(folder: Path, count: int, settings: Mapping[str, object], upstream_port: int) -> Fleet:
    redis_port, port, *ports = _free_ports(count + 2)
    config = folder / "config.toml"
    config.write_text(_settings(settings, upstream_port, redis_port), encoding="utf-8")
    config.chmod(0o600)
    serve = (sys.executable, "-m", "blaxel_mcp", "serve", "--transport", "http", "--config", config, "--port")
    (folder / "haproxy.cfg").write_text(_haproxy(port, ports), encoding="utf-8")
    redis = ("redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
    return Fleet(
        port=port,
        settings=config,
        replicas=[Child((*serve, str(each)), folder / f"replica-{each}.log") for each in ports],
        redis=Child((*redis, "--appendonly", "yes", "--appendfsync", "everysec"), folder / "redis.log"),
        balancer=Child(("haproxy", "-f", folder / "haproxy.cfg", "-db"), folder / "haproxy.log"),
        redis_port=redis_port,
        upstream_port=upstream_port,
    )


def _settings(more: Mapping[str, object], upstream_port: int, redis_port: int) -> str:
    url = f"http://127.0.0.1:{upstream_port}"
    keys: Mapping[str, object] = {
        "workspace": "benchmarks",
        "api_key": "key-of-the-fleet",
        "run_url": url,
        "api_url": url,
        "discovery.enabled": False,
        "shared.url": f"redis://127.0.0.1:{redis_port}/0",
        "shared.key": SHARED_KEY,
        "limits.max_concurrency": 1024,
        "limits.max_queue": 1024,
        "http.auth": "token",
        "http.bearer_tokens": TOKENS,
        **more,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    for name in ("house", *MODELS):
        lines += ["[[models]]", f'name = "{name}"', 'api = "chat-completions"']
    return "\n".join([*lines, ""])


def _haproxy(port: int, ports: Sequence[int]) -> str:
    servers = (
        f"  server replica{each} 127.0.0.1:{each} check inter 200ms fall 2 rise 1 maxconn 350 pool-max-conn 20"
        for each in ports
    )
    return f"""\
defaults
  mode http
  timeout connect 2s
  timeout check 5s
  timeout client 60s
  timeout server 60s
  option redispatch
frontend all
  bind 127.0.0.1:{port}
  default_backend replicas
backend replicas
  balance roundrobin
  option httpchk GET /readyz
  http-request set-header Host localhost
{chr(10).join(servers)}
"""


@contextmanager
def _counting_upstream(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.fleet"]
    with (
        (folder / "upstream.log").open("wb") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT) as process,
    ):
        assert process.stdin
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise BenchmarkError(f"nothing listens on port {port} after {SECONDS} s")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as response:  # noqa: S310 - loopback
        body: bytes = response.read()
        return body


if __name__ == "__main__":
    asyncio.run(upstream.serve(CountingConnection))
