"""Commands on a pseudo-terminal, which Windows does not have."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.leaks import look_at


def on_a_terminal(*words: str, home: Path, **environment: str) -> str:
    """Run `blaxel-mcp` with these words on a terminal, require exit code 0, and return what the terminal shows."""
    import pty  # noqa: PLC0415 - there is none on Windows

    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", **environment}
    reading, writing = pty.openpty()
    shown = b""
    command = [sys.executable, "-m", "blaxel_mcp", *words]
    with subprocess.Popen(command, stdout=writing, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(writing)
        while chunk := _read(reading):
            shown += chunk
        assert process.wait(60) == 0
    os.close(reading)
    look_at("a terminal", shown)
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # How Linux reports that the other end of a pseudo-terminal is closed.
        return b""
