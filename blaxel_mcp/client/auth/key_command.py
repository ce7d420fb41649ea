"""Runs the user's command that prints the API key, such as a password manager's."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL

import anyio
from pydantic import SecretStr

from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value
from blaxel_mcp.client.errors.wording import in_seconds
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.settings.placeholders import bare_credential

KEY_COMMAND_SECONDS = 30.0
"""Long enough to touch a fingerprint reader, short enough to notice a prompt that nobody sees."""

KEY_COMMAND_BYTES = 16 * 1024

_REST_SECONDS = 0.3
"""Time for reading what a command has printed, after it exited."""

_WINDOWS_ENDINGS = (".exe", ".com", ".cmd", ".bat")


async def command_token(command: tuple[str, ...], source: str, secrets: KnownSecrets) -> Token:
    """Run the command that prints the API key, and redact the key from then on."""
    token = await run_key_command(command, source=source)
    secrets.remember(token.value)
    return token


async def run_key_command(command: Sequence[str], *, source: str, limit_seconds: float = KEY_COMMAND_SECONDS) -> Token:
    """Run the command that prints the API key, without a shell, and return the key.

    The program is an absolute path, or a name that is looked up on PATH. `source` is the setting's label for messages.

    Raises:
        ConfigurationError: The command printed no key; the message names the program and shows no output.
    """
    try:
        with anyio.fail_after(limit_seconds):
            exit_code, output = await _run(_absolute(command, source))
    except TimeoutError:
        raise _command_error(command, f"did not end within {in_seconds(limit_seconds)}", source) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise _command_error(command, f"could not be started ({reason})", source) from None
    if exit_code != 0:
        raise _command_error(command, f"ended with exit code {exit_code}", source)
    # Latin-1 decodes any byte; the check below rejects anything but ASCII.
    key = bare_credential(output.decode("latin-1"))
    if not is_bearer_value(key):
        raise _command_error(command, "did not print a key, which is one word of visible ASCII", source)
    return Token(SecretStr(key))


def _absolute(command: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the command with the absolute path of its program, which is never taken from the working directory.

    A client starts the server in any folder, such as a project that was just cloned. Windows looks there first, and so
    does a PATH with an empty or relative entry.
    """
    program = os.path.expanduser(command[0])  # noqa: PTH111 - Path.expanduser raises if there is no home directory
    if os.path.isabs(program):  # noqa: PTH117 - as a text, like the rest here
        return (program, *command[1:])
    if Path(program).name != program:
        raise _command_error(command, "is a relative path", source, "Write its absolute path.")
    endings = ("", *_WINDOWS_ENDINGS) if sys.platform == "win32" else ("",)
    for folder in filter(os.path.isabs, os.get_exec_path()):
        for ending in endings:
            path = Path(folder, program + ending)
            if path.is_file() and os.access(path, os.X_OK):
                return (str(path), *command[1:])
    advice = "A client may start the server with a shorter PATH than your terminal's: write its absolute path."
    raise _command_error(command, "was not found on the server's PATH", source, advice)


async def _run(command: Sequence[str]) -> tuple[int, bytes]:
    """Return the command's exit code and what it printed; nothing if that is too much for a key."""
    # A start that is cancelled would leave its process to nobody: asyncio's wait for the end is cancelled as well.
    with anyio.CancelScope(shield=True):
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            _Output,
            *command,
            stdin=DEVNULL,
            # stderr is discarded: it may contain the secret, and the server's own stderr is a log.
            stderr=DEVNULL,
            cwd=_neutral_folder(),
        )
    try:
        await output.complete.wait()
        return transport.get_returncode() or 0, bytes(output.data) if len(output.data) <= KEY_COMMAND_BYTES else b""
    finally:
        # It kills the command if it still runs.
        transport.close()
        with anyio.CancelScope(shield=True):
            await output.exited.wait()


def _neutral_folder() -> str:
    """Return a folder to run the command in: `python -m`, version managers and the like take code from there."""
    home = os.path.expanduser("~")  # noqa: PTH111 - as above
    return home if Path(home).is_dir() else Path(sys.executable).anchor


class _Output(asyncio.SubprocessProtocol):
    """What a command prints until it exits; a process that it leaves behind may keep the pipe open."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = asyncio.Event()
        self.exited = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - the protocol's signature
        self.data += data
        if len(self.data) > KEY_COMMAND_BYTES:
            self.complete.set()

    def process_exited(self) -> None:
        self.exited.set()
        # What it has printed is in the pipe already.
        asyncio.get_running_loop().call_later(_REST_SECONDS, self.complete.set)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.complete.set()


def _command_error(command: Sequence[str], problem: str, source: str, advice: str = "") -> ConfigurationError:
    # Someone may have put the key where the command belongs.
    program = scrub(command[0])
    advice = advice or "Run it in a terminal to see its output, which is never shown here."
    return ConfigurationError(
        f"The command {program!r}, which should print the Blaxel API key, {problem}.",
        hint=f"It comes from {source}. {advice}",
    )
