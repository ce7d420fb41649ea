"""Runs the user's command that prints the API key, such as a password manager's."""

from collections.abc import Sequence
from subprocess import DEVNULL

import anyio
from pydantic import SecretStr

from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value
from blaxel_mcp.client.errors.retry_advice import in_seconds
from blaxel_mcp.core.exceptions import ConfigurationError

KEY_COMMAND_SECONDS = 30.0
"""Long enough to touch a fingerprint reader, short enough to notice a prompt that nobody sees."""

KEY_COMMAND_BYTES = 16 * 1024


async def command_token(command: tuple[str, ...], source: str, secrets: KnownSecrets) -> Token:
    """Run the command that prints the API key, and redact the key from then on."""
    token = await run_key_command(command, source=source)
    secrets.remember(token.value)
    return token


async def run_key_command(command: Sequence[str], *, source: str, limit_seconds: float = KEY_COMMAND_SECONDS) -> Token:
    """Run the command that prints the API key, without a shell, and return the key.

    Args:
        command: The program and its arguments.
        source: The label of the setting that names the command, for messages.
        limit_seconds: Timeout, after which the command is stopped.

    Raises:
        ConfigurationError: The command printed no key; the message names the program and shows no output.
    """
    try:
        with anyio.fail_after(limit_seconds):
            exit_code, output = await _bounded_output(command)
    except TimeoutError:
        raise _command_error(command, f"did not end within {in_seconds(limit_seconds)}", source) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise _command_error(command, f"could not be started ({reason})", source) from None
    if exit_code != 0:
        raise _command_error(command, f"ended with exit code {exit_code}", source)
    # Latin-1 decodes any byte; the check below rejects anything but ASCII.
    key = output.decode("latin-1").strip()
    if not is_bearer_value(key):
        raise _command_error(command, "did not print a key, which is one word of visible ASCII", source)
    return Token(SecretStr(key))


async def _bounded_output(command: Sequence[str]) -> tuple[int, bytes]:
    # stderr is discarded: it may contain the secret, and the server's own stderr is a log.
    async with await anyio.open_process(command, stdin=DEVNULL, stderr=DEVNULL) as process:
        assert process.stdout is not None
        output = b""
        async for chunk in process.stdout:
            output += chunk
            if len(output) > KEY_COMMAND_BYTES:
                process.kill()
                return 0, b""
        return await process.wait(), output


def _command_error(command: Sequence[str], problem: str, source: str) -> ConfigurationError:
    return ConfigurationError(
        f"The command {command[0]!r}, which should print the Blaxel API key, {problem}.",
        hint=f"It comes from {source}. Run it in a terminal to see its output, which is never shown here.",
    )
