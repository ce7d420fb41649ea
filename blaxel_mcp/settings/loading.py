"""The settings in force, out of the command line, the environment, the TOML file and the `bl login` file."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.environment import (
    BLAXEL_ENVIRONMENT,
    FILE_VARIABLE,
    blaxel_variables,
    environment_urls,
    hosting_variables,
    our_variables,
)
from blaxel_mcp.settings.layers import COMMAND_LINE, Layer, joined, layer_from, overlay, place, problems_in
from blaxel_mcp.settings.login_file import LoginFile, default_login_path, read_login_file
from blaxel_mcp.settings.placeholders import is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.toml_file import default_settings_path, file_signature, read_settings_file


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force and where each of them came from.

    Attributes:
        settings: The settings, checked.
        login: The `bl login` file; its credentials are not in `settings`.
        sources: The source of each key that is not a default, such as {"run_url":
            "/path/config.toml", "limits.timeout_seconds": "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS"}.
        file: The TOML file that was read, None when there was none.
        warnings: Sentences for the person who starts the server; none quotes a value.
        unexpanded: The places that still hold a placeholder and so count as absent.
        watched: The TOML file that a server watches, there or not; None for settings that came from no file.
        signature: What it had for a signature before it was read.
        reader: Reads everything again.
    """

    settings: Settings
    login: LoginFile
    sources: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    unexpanded: tuple[str, ...] = ()
    watched: Path | None = field(default=None, compare=False)
    signature: tuple[int, ...] | None = field(default=None, compare=False)
    # Holds what was given on the command line, secrets included.
    reader: "Callable[[], Configuration] | None" = field(default=None, repr=False, compare=False)

    def read_again(self) -> "Configuration":
        """Read the settings again, from wherever these came; blocks like `load_settings`.

        Raises:
            ConfigurationError: a source is wrong now.
        """
        return self.reader() if self.reader else self

    def place(self, key: str) -> str:
        """Name the place where a key was set, such as `BL_API_KEY` or `api_key in /path/config.toml`."""
        return place(self.sources[key], key) if key in self.sources else key


def process_environment() -> dict[str, str]:
    """The variables of this process, for a command that hands them on."""
    return dict(os.environ)


def configuration(
    settings: Settings, *, login: LoginFile | None = None, sources: Mapping[str, str] | None = None
) -> Configuration:
    """Make a configuration by hand, for a test or a demo: nothing outside is consulted.

    Args:
        settings: The settings in force.
        login: The login file; an absent one otherwise.
        sources: Labels for `Configuration.sources`.
    """
    return Configuration(settings, login or _absent_login(), dict(sources or {}))


def load_settings(
    *,
    overrides: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Read the settings from everywhere; the first source that gives a key has it.

    The sources are, in order: `overrides`, the variables `BLAXEL_MCP_*`, Blaxel's own `BL_*`, the
    TOML file, what the place that hosts the server says (`HOST`, `PORT`, `BL_CLOUD`), the `bl login` file.
    This blocks while it reads two small files.

    Args:
        overrides: Values of the command line, nested like the file's tables; None is no value.
        config_file: The TOML file, which has to exist. Without it `BLAXEL_MCP_CONFIG` names the
            file, or the default one is read if there is one.
        environ: The environment variables; None stands for those of this process. Where the home
            and configuration directories are is asked of the system in either case.

    Raises:
        ConfigurationError: A source is wrong; the message has a line for each thing to mend and
            quotes no value.
    """
    variables = os.environ if environ is None else environ
    watched = _settings_path(config_file, variables) or default_settings_path()
    signature = file_signature(watched)
    file, file_layer = _settings_file(config_file, variables)
    login, layers = _checked_layers(overrides or {}, variables, file_layer)
    values, sources = overlay(layers)
    settings = Settings.model_validate(values)
    _refuse(list(_repeated_models(settings, sources)))
    unexpanded = tuple(name for layer in layers for name in layer.unexpanded)
    warnings = (*(warning for layer in layers for warning in layer.warnings), *map(_unexpanded_warning, unexpanded))
    return Configuration(
        settings,
        login,
        sources,
        file,
        warnings,
        unexpanded,
        watched=watched,
        signature=signature,
        reader=partial(load_settings, overrides=overrides, config_file=config_file, environ=environ),
    )


def _checked_layers(
    overrides: Mapping[str, Any], environ: Mapping[str, str], file: Layer
) -> tuple[LoginFile, tuple[Layer, ...]]:
    """Every source in its order, none with a mistake in it, and the login file that the last one came from."""
    given = (
        layer_from(overrides, COMMAND_LINE),
        our_variables(environ),
        blaxel_variables(environ),
        file,
        hosting_variables(environ),
    )
    _refuse([problem for layer in given for problem in problems_in(layer)])
    login = _login_file()
    last = _login_layer(login, given, environ)
    _refuse(problems_in(last))
    return login, (*given, last)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigurationError("\n".join(("The settings cannot be used:", *problems)))


def _settings_path(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that was named, on the command line or else by the variable."""
    value = environ.get(FILE_VARIABLE, "").strip()
    return named or (None if is_unset(value) else Path(value))


def _settings_file(named: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, Layer]:
    """Read the TOML file that was named, else the default one, which may be absent."""
    path = _settings_path(named, environ)
    if path is not None:
        return read_settings_file(path, required=True)
    noted = Layer(unexpanded=(FILE_VARIABLE,) if is_placeholder(environ.get(FILE_VARIABLE, "").strip()) else ())
    path, layer = read_settings_file(default_settings_path(), required=False)
    return path, joined((noted, layer))


def _absent_login(problem: str | None = None) -> LoginFile:
    # "~" stays as it is: this path is shown and never read.
    return LoginFile(default_login_path(Path("~")), problem=problem)


def _login_file() -> LoginFile:
    try:
        home = Path.home()
    except RuntimeError:
        # Some containers run under a user id that has neither HOME nor an entry in the password file.
        return _absent_login("this user has no home directory")
    return read_login_file(default_login_path(home))


def _login_layer(login: LoginFile, before: Sequence[Layer], environ: Mapping[str, str]) -> Layer:
    """Take the current workspace from the login file, and the chosen workspace's environment.

    Blaxel's Python SDK, core/authentication, uses the environment in the same way.
    """
    source = f"bl login file ({login.path})"
    broken = Layer(warnings=(f"The {source} is not usable as it is: {login.problem}.",) if login.problem else ())
    chosen = [layer.values["workspace",] for layer in before if ("workspace",) in layer.values]
    current = {} if chosen else {"workspace": login.current_workspace}
    workspace = chosen[0] if chosen else login.current_workspace
    entry = login.entries.get(workspace) if workspace else None
    unset = is_unset(environ.get(BLAXEL_ENVIRONMENT, ""))
    urls = environment_urls(entry.env if entry is not None and unset else None, source)
    return joined((broken, layer_from(current, source), urls))


def _repeated_models(settings: Settings, sources: Mapping[str, str]) -> Iterator[str]:
    first: dict[tuple[str, str | None], int] = {}
    for index, model in enumerate(settings.models):
        earlier = first.setdefault((model.name, model.workspace or settings.workspace), index)
        if earlier != index:
            where = place(sources["models"], f"models[{index}]")
            yield f"{where} has the name and the workspace of models[{earlier}]; a model can have one entry"


def _unexpanded_warning(where: str) -> str:
    return f"{where} still holds a placeholder that nothing has expanded, and counts as absent."
