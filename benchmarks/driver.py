"""A raw MCP client over pipes, so that the client costs little beside the server that it measures."""

import json
import os
import select
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 120
"""How long the client waits for the next bytes: only a hang takes so long."""

_CHUNK = 1 << 20
_PROTOCOL = "2025-06-18"
_SECRETS = ("BL_", "BLAXEL")


class BenchmarkError(Exception):
    """A server cannot be measured: it did not start, ended early, or answered with an error."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server.

    Attributes:
        command: The program and its arguments.
        environment: Variables that are set for it, beside those of this process.
    """

    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """The tool that calls a model, and its arguments."""

    tool: str
    arguments: Mapping[str, Any]


@contextmanager
def process(launch: Launch, errors: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, and end it at the latest when the block ends.

    Args:
        launch: How to start it. Variables of Blaxel in this process's environment are not passed on.
        errors: The file that receives its stderr.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            launch.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            cwd=ROOT,
            env={**inherited, **launch.environment},
        ) as server,
    ):
        try:
            yield server
        except (BenchmarkError, OSError) as error:
            raise BenchmarkError(f"{error}{last_words(errors) if server.poll() else ''}") from error
        finally:
            server.kill()


def last_words(errors: Path) -> str:
    """Return the last line that a failed server printed on stderr, as the end of a message."""
    lines = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"; its last line on stderr: {lines[-1][:200]}" if lines else "; it printed nothing on stderr"


class StdioSession:
    """An MCP session over the pipes of a process.

    Attributes:
        server: The process.
        listed: The bytes of the answer to `tools/list`.
    """

    def __init__(self, server: subprocess.Popen[bytes], *, profiled: bool = False) -> None:
        assert server.stdin
        assert server.stdout
        self.server = server
        self.listed = b""
        self._stdin, self._stdout = server.stdin, server.stdout
        self._pieces: list[bytes] = []
        self._lines: deque[bytes] = deque()
        self._last_id = 0
        self._profiled = profiled

    def open(self) -> None:
        """Initialize the session and list the tools."""
        client = {"name": "benchmarks", "version": "1"}
        parameters = {"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": client}
        self.ask("initialize", parameters)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.listed = self.ask("tools/list", {})

    def ask(self, method: str, parameters: Mapping[str, Any]) -> bytes:
        """Send a request and return the line of its answer."""
        self.send(method, parameters)
        answer = self.receive()
        check(answer)
        return answer

    def send(self, method: str, parameters: Mapping[str, Any]) -> None:
        """Send a request."""
        self._last_id += 1
        self._write({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": parameters})

    def send_call(self, call: Call) -> None:
        """Send one call of a tool."""
        self.send("tools/call", {"name": call.tool, "arguments": call.arguments})

    def receive(self) -> bytes:
        """Return the next line that has an id, and so answers a request.

        Raises:
            BenchmarkError: The server ended, or sent nothing for two minutes.
        """
        while True:
            while not self._lines:
                if not select.select([self._stdout], [], [], SECONDS)[0]:
                    raise BenchmarkError(f"no answer for {SECONDS} s")
                self._read()
            line = self._lines.popleft()
            if b'"id":' in line or b'"id" :' in line:
                return line

    def begin_profile(self) -> None:
        """Leave what has happened so far out of the profile, if there is one."""
        if self._profiled:
            self.server.send_signal(signal.SIGUSR1)

    def close(self) -> None:
        """Write the profile, if there is one, close the server's input, and wait until it has ended."""
        if self._profiled:
            self.server.send_signal(signal.SIGUSR2)
            # Answered after the signal was handled.
            self.ask("ping", {})
        self._stdin.close()
        try:
            self.server.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkError("the server did not end after its input ended") from None

    def _write(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            # Answers are read meanwhile: a server that waits for room in its output may read no input.
            readable, writable, _ = select.select([self._stdout], [self._stdin], [], SECONDS)
            if not readable and not writable:
                raise BenchmarkError(f"the server read no input for {SECONDS} s")
            if readable:
                self._read()
            if writable:
                data = data[os.write(self._stdin.fileno(), data[: select.PIPE_BUF]) :]

    def _read(self) -> None:
        """Read what has arrived."""
        if not (data := os.read(self._stdout.fileno(), _CHUNK)):
            raise BenchmarkError("the server ended before it answered")
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = b"".join([*self._pieces, complete[0]])
            self._pieces = []
            self._lines += complete
        self._pieces.append(rest)


def check(answer: bytes) -> dict[str, Any]:
    """Return the result in an answer.

    Raises:
        BenchmarkError: It is an error, or the result of a failed call.
    """
    message = json.loads(answer)
    result = message.get("result")
    if not isinstance(result, dict) or result.get("isError"):
        raise BenchmarkError(f"the server answered {answer[:200].decode(errors='replace')}")
    return result


def resident_megabytes(pid: int, field_name: str = "VmRSS") -> float:
    """Return a memory figure of a process: `VmRSS`, or `VmHWM` for its peak.

    Raises:
        BenchmarkError: This system has no `/proc`.
    """
    lines = _read_proc(pid, "status").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field_name)) / 1024


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in user mode and in the kernel.

    Raises:
        BenchmarkError: This system has no `/proc`.
    """
    # The name in the second field may contain spaces. utime and stime are the fields 14 and 15.
    fields = _read_proc(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _read_proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    except OSError:
        raise BenchmarkError("memory and processor time are measured on Linux only") from None
