"""The command that `blaxel-mcp install` gives to a client, with the variables that the server needs there."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from blaxel_mcp.cli.settings import load, serve_arguments
from blaxel_mcp.client.auth.credentials import missing_credentials, resolve_credentials
from blaxel_mcp.client.auth.export import entry_variables
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.settings.environment import BLAXEL_ENVIRONMENT, FILE_VARIABLE, PREFIX
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.placeholders import is_unset
from blaxel_mcp.setup.install import CREDENTIAL_VARIABLES, Launch, own_command

_WORKSPACE, _KEY = "BL_WORKSPACE", "BL_API_KEY"

_PLATFORM_VARIABLES = (
    BLAXEL_ENVIRONMENT,
    *("BL_API_URL", "BL_RUN_URL", "BL_API_VERSION"),
    *("BLAXEL_MCP_API_URL", "BLAXEL_MCP_RUN_URL", "BLAXEL_MCP_API_VERSION"),
)
"""The variables that select the platform: no secrets, and without them the key would be sent to another one."""

_FILE_VARIABLES = (FILE_VARIABLE, "XDG_CONFIG_HOME")
"""The variables that move the settings file; a client starts the server without them."""


def launch_for(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Launch, Configuration]:
    """Return the command that a client has to start and its variables, with the settings that they come from.

    Args:
        options: The parsed command line.
        environ: The variables of the shell, which the client does not see.

    Raises:
        ConfigurationError: The settings cannot be used, or there is no key to write.
        InvalidArgumentsError: `--with-key` was given together with `--demo`.
    """
    config = load(options)
    is_elsewhere = options.config or any(not is_unset(environ.get(name, "")) for name in _FILE_VARIABLES)
    arguments = serve_arguments(options, config.file if is_elsewhere else None)
    command = (*own_command(Path(sys.executable)), *arguments)
    if options.demo:
        if options.with_key:
            raise InvalidArgumentsError("The demo needs no key.", hint="Omit --with-key or --demo.")
        return Launch(command=command), config
    credentials = resolve_credentials(config, None)
    if options.with_key and credentials is None:
        raise missing_credentials(config)
    # The source of a value is a variable's name, or a place such as a file.
    is_key_variable = credentials is not None and credentials.source.isidentifier()
    workspace = config.settings.workspace
    plain = {_WORKSPACE: workspace} if workspace and config.sources.get("workspace", "").isidentifier() else {}
    plain |= {name: environ[name].strip() for name in _PLATFORM_VARIABLES if not is_unset(environ.get(name, ""))}
    missing = [] if workspace else [_WORKSPACE]
    launch = Launch(
        command=command,
        plain=plain,
        secret=entry_variables(credentials) if options.with_key and credentials else {},
        forwarded=(credentials.source,) if credentials and is_key_variable and not options.with_key else (),
        missing=tuple(missing if credentials else [*missing, _KEY]),
        has_credentials=credentials is not None,
    )
    return launch, config


def left_behind(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the shell's variables for this server that no entry contains."""
    known = {*CREDENTIAL_VARIABLES, *_PLATFORM_VARIABLES, FILE_VARIABLE, f"{PREFIX}WORKSPACE"}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
