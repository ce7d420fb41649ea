"""What `blaxel-mcp install` has a client start: the command, and what it learns from where the settings came from."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from blaxel_mcp.client.auth.credentials import ResolvedCredentials, missing_credentials, resolve_credentials
from blaxel_mcp.client.auth.export import entry_variables
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.settings.environment import BLAXEL_ENVIRONMENT, FILE_VARIABLE, PREFIX
from blaxel_mcp.settings.loading import Configuration, load_settings
from blaxel_mcp.settings.placeholders import is_unset
from blaxel_mcp.setup.install import CREDENTIAL_VARIABLES, Launch, own_command

_WORKSPACE, _KEY = "BL_WORKSPACE", "BL_API_KEY"
_CARRIED = (
    BLAXEL_ENVIRONMENT,
    *("BL_API_URL", "BL_RUN_URL", "BL_API_VERSION"),
    *("BLAXEL_MCP_API_URL", "BLAXEL_MCP_RUN_URL", "BLAXEL_MCP_API_VERSION"),
)
"""The variables that say which platform is meant: no secrets, and without them a key would be sent elsewhere."""

# Where these are set, the settings file is looked for in a place that a client's own environment does not lead to.
_FILE_VARIABLES = (FILE_VARIABLE, "XDG_CONFIG_HOME")


def launch_for(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Launch, Configuration]:
    """The command that a client is to start, with the variables that it needs there.

    Args:
        options: The parsed command line.
        environ: The variables of the shell, of which a client sees none.

    Raises:
        ConfigurationError: The settings cannot be used, or there is no key to write.
        InvalidArgumentsError: A key was asked for where none is needed.
    """
    overrides = {"workspace": options.workspace} if options.workspace else {}
    file = Path(options.config) if options.config else None
    config = load_settings(overrides=overrides, config_file=file, environ=environ)
    command = (*own_command(Path(sys.executable)), *_arguments(options, config, environ))
    if options.demo:
        if options.with_key:
            raise InvalidArgumentsError("The demo takes no key.", hint="Leave out --with-key, or --demo.")
        return Launch(command=command), config
    resolved = resolve_credentials(config, None)
    if options.with_key and resolved is None:
        raise missing_credentials(config)
    wanted = [] if config.settings.workspace else [_WORKSPACE]
    return (
        Launch(
            command=command,
            plain=_plain(config, environ),
            secret=entry_variables(resolved) if options.with_key and resolved else {},
            forwarded=() if options.with_key else _forwarded(resolved),
            missing=tuple(wanted if resolved else [*wanted, _KEY]),
            has_credentials=resolved is not None,
        ),
        config,
    )


def left_behind(environ: Mapping[str, str]) -> list[str]:
    """The names of our variables in the shell that no entry takes over, since they belong into a settings file."""
    known = {*CREDENTIAL_VARIABLES, *_CARRIED, FILE_VARIABLE, f"{PREFIX}WORKSPACE"}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def _arguments(options: argparse.Namespace, config: Configuration, environ: Mapping[str, str]) -> Iterator[str]:
    yield "serve"
    elsewhere = options.config or any(not is_unset(environ.get(name, "")) for name in _FILE_VARIABLES)
    if config.file is not None and elsewhere:
        yield from ("--config", str(config.file))
    if options.workspace:
        yield from ("--workspace", options.workspace)
    if options.demo:
        yield "--demo"


def _plain(config: Configuration, environ: Mapping[str, str]) -> dict[str, str]:
    workspace = config.settings.workspace
    given = {_WORKSPACE: workspace} if workspace and config.sources.get("workspace", "").isidentifier() else {}
    carried = {name: environ[name].strip() for name in _CARRIED if not is_unset(environ.get(name, ""))}
    return {**given, **carried}


def _forwarded(resolved: ResolvedCredentials | None) -> tuple[str, ...]:
    """The variable that the credentials stand in, if that is where they do."""
    return (resolved.source,) if resolved is not None and resolved.source.isidentifier() else ()
