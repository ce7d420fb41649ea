"""The connection to Redis or Valkey, and the scripts that run in it.

Every method blocks for at most a few seconds and has to be called in a thread. `redis` is imported with the first use:
it is an extra that only users of `[shared]` or of a shared ledger need.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from blaxel_mcp.core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)

TAG = "{blaxel-mcp}"
"""The beginning of every key. In a cluster, keys with the same tag are on one node, so a script may use several."""

TIMEOUT_SECONDS = 2.0
"""Timeout for connecting and for each answer; scripts take less than a millisecond."""

_PAUSE_SECONDS = 1.0
"""Pause after a timeout, in which nothing is sent: otherwise each call would wait for its own timeout."""

_LISTEN_SECONDS = 1.0

_REASONS = {
    "AuthenticationError": "rejects the user or the password in its URL",
    "MaxClientsError": "has no connection left",
    "NoPermissionError": "does not allow the user in its URL a command",
    "OutOfMemoryError": "is full",
    "ReadOnlyError": "is a read-only replica",
    "TimeoutError": f"did not answer within {TIMEOUT_SECONDS:g} seconds",
}
"""Why an engine cannot be used, by the name of the library's exception."""

NOW_LUA = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
"""The beginning of a script that needs the time in milliseconds, by the clock that all replicas share."""


@dataclass(frozen=True, slots=True)
class Command:
    """A script with the keys that it uses and its arguments."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str | float | bytes, ...]


class SharedStateError(OSError):
    """The engine cannot be used; the text names it without its password, and the reason."""


class Engine:
    """One Redis or Valkey, at a URL that may hold a password. Nothing is connected before the first use.

    Raises:
        ConfigurationError: The extra `redis` is not installed.
        SharedStateError: From `run`, `run_all`, `batch` and `publish`: the engine cannot be used.

    Attributes:
        label: The address without user and password, for messages.
    """

    def __init__(self, url: SecretStr) -> None:
        require_extra()
        self._url = url
        self.label = label_of(url)
        self._lock = threading.Lock()
        self._client: Redis | None = None
        self._scripts: dict[str, Callable[..., Any]] = {}
        self._paused_until = 0.0
        self._receivers: dict[str, Callable[[bytes], object]] = {}
        self._listening: threading.Event | None = None
        self._listener: threading.Thread | None = None

    def run(self, script: str, keys: Sequence[str], *arguments: str | float | bytes) -> Any:
        """Run a Lua script, and return its result with texts as bytes.

        A script may run twice if the connection breaks before its result arrives, so it has to be idempotent.
        """
        return self._use(lambda client: self._script(client, script)(keys=list(keys), args=list(arguments)))

    def run_all(self, commands: "Sequence[Command]") -> list[Any]:
        """Run several scripts in one round trip, one after the other, and return their results.

        After an error, some of them may have run.
        """
        if len(commands) == 1:
            # A pipeline asks first which scripts are known.
            return [self.run(commands[0].script, commands[0].keys, *commands[0].arguments)]

        def add_scripts(pipeline: Any) -> None:
            for command in commands:
                script = self._script(self._connected(), command.script)
                script(keys=list(command.keys), args=list(command.arguments), client=pipeline)

        return self.batch(add_scripts, transaction=False) if commands else []

    def batch(self, fill: Callable[[Any], object], *, transaction: bool = True) -> list[Any]:
        """Send the commands that `fill` adds to a pipeline, as one transaction, and return their results."""

        def execute(client: "Redis") -> list[Any]:
            with client.pipeline(transaction=transaction) as pipeline:
                fill(pipeline)
                results: list[Any] = pipeline.execute()
                return results

        results: list[Any] = self._use(execute)
        return results

    def publish(self, channel: str, message: bytes) -> None:
        """Send a message to the listeners of a channel in all processes."""
        self._use(lambda client: client.publish(channel, message))

    def listen(self, receivers: Mapping[str, Callable[[bytes], object]]) -> None:
        """Call a function with each message of its channel, in a thread; messages are lost while the engine is away."""
        with self._lock:
            self._receivers.update(receivers)
            if self._listening is not None:
                self._listening.set()
            self._listening = ended = threading.Event()
            self._listener = threading.Thread(target=self._listen, args=(ended,), name="shared-listener", daemon=True)
            self._listener.start()

    def close(self) -> None:
        """Close the connections and end the listeners; the next use connects again."""
        with self._lock:
            client, self._client = self._client, None
            self._scripts.clear()
            self._receivers.clear()
            ended, self._listening = self._listening, None
            listener, self._listener = self._listener, None
        if ended and listener:
            ended.set()
            listener.join()
        if client is not None:
            client.close()

    def _use(self, work: "Callable[[Redis], Any]") -> Any:
        # Imported here, as everywhere: see the module's docstring.
        from redis.exceptions import ReadOnlyError, RedisError, TimeoutError  # noqa: A004, PLC0415 - the library's own name

        if time.monotonic() < self._paused_until:
            raise SharedStateError(f"{self.label} did not answer in time")
        try:
            return work(self._connected())
        except (RedisError, OSError) as error:
            if isinstance(error, TimeoutError):
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
            if isinstance(error, ReadOnlyError):
                # After a failover: the connections lead to the former primary until they are made anew.
                self._connected().connection_pool.disconnect(inuse_connections=False)
            raise SharedStateError(f"{self.label} {_reason(error)}") from None

    def _connected(self) -> "Redis":
        with self._lock:
            if self._client is None:
                from redis import Redis  # noqa: PLC0415
                from redis.backoff import NoBackoff  # noqa: PLC0415
                from redis.exceptions import ConnectionError  # noqa: A004, PLC0415
                from redis.retry import Retry  # noqa: PLC0415

                self._client = Redis.from_url(
                    self._url.get_secret_value(),
                    socket_timeout=TIMEOUT_SECONDS,
                    socket_connect_timeout=TIMEOUT_SECONDS,
                    # Once: the connections of the pool are dead after a restart of the engine.
                    retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
                    client_name="blaxel-mcp",
                    # Version 3 asks at each connect for what only some servers know.
                    protocol=2,
                )
            return self._client

    def _script(self, client: "Redis", source: str) -> Callable[..., Any]:
        script = self._scripts.get(source)
        if script is None:
            script = self._scripts[source] = client.register_script(source)
        return script

    def _listen(self, ended: threading.Event) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415

        with self._lock:
            receivers = dict(self._receivers)
        while not ended.is_set():
            try:
                subscribe: Any = self._connected().pubsub
                with subscribe(ignore_subscribe_messages=True) as subscription:
                    subscription.subscribe(*receivers)
                    while not ended.is_set():
                        message = subscription.get_message(timeout=_LISTEN_SECONDS)
                        if message is not None:
                            receivers[message["channel"].decode()](message["data"])
            except (RedisError, OSError, ValueError):
                ended.wait(_LISTEN_SECONDS)


def label_of(url: SecretStr) -> str:
    """Return the address in a URL without user and password."""
    parts = urlsplit(url.get_secret_value())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or 6379}{parts.path.rstrip('/') or '/0'}"


def hashed(identity: str) -> str:
    """Return the part of a key that stands for a caller, whose identity may be a person's name; empty for the owner."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32] if identity else ""


def require_extra() -> None:
    """Raise a ConfigurationError if the extra `redis` is not installed."""
    if find_spec("redis") is None:
        raise ConfigurationError(
            "`shared.url`, or a `budget.ledger` that is a Redis URL, is set, and the extra `redis` is not installed.",
            hint="Install it: `pip install 'blaxel-mcp[redis]'`.",
        )


def _reason(error: Exception) -> str:
    """Return why the engine cannot be used. The library's own texts may quote the request."""
    from redis.exceptions import ResponseError  # noqa: PLC0415

    for kind in type(error).__mro__:
        if reason := _REASONS.get(kind.__name__):
            return reason
    if isinstance(error, ResponseError):
        return f"refused a command ({type(error).__name__}: {str(error).partition(' ')[0][:40]})"
    if "NO_CERTIFICATE" in str(error) or "No such file" in str(error):
        return "names a file in ssl_ca_certs that is missing or has no certificate"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "has a certificate that this machine does not trust"
    return "cannot be reached"
