"""Commands on a pseudo-terminal, which Windows does not have."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.leaks import look_at


def on_a_terminal(
    *words: str, home: Path, typed: bytes = b"", stderr: bool = False, code: int = 0, **environment: str
) -> str:
    """Run `blaxel-mcp` with these words on a terminal and return what the terminal shows.

    Args:
        words: The command line.
        home: The home directory.
        typed: What is typed there; empty if its standard input is not the terminal.
        stderr: Whether its stderr is the terminal too.
        code: The exit code that is required.
        environment: More variables.
    """
    import pty  # noqa: PLC0415 - there is none on Windows

    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", **environment}
    reading, writing = pty.openpty()
    shown = b""
    command = [sys.executable, "-m", "blaxel_mcp", *words]
    stdin = writing if typed else subprocess.DEVNULL
    errors = writing if stderr else None
    with subprocess.Popen(command, stdout=writing, stderr=errors, stdin=stdin, env=environment) as process:
        os.close(writing)
        os.write(reading, typed)
        while chunk := _read(reading):
            shown += chunk
        assert process.wait(60) == code
    os.close(reading)
    look_at("a terminal", shown)
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # How Linux reports that the other end of a pseudo-terminal is closed.
        return b""
