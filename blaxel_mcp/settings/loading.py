"""Loads the settings in force from the command line, the environment, the TOML file and the `bl login` file."""

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
from blaxel_mcp.settings.layers import COMMAND_LINE, Layer, joined, layer_from, overlay, place
from blaxel_mcp.settings.login_file import LoginFile, default_login_path, read_login_file
from blaxel_mcp.settings.placeholders import is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.toml_file import default_settings_path, file_signature, read_settings_file
from blaxel_mcp.settings.validation_messages import problems_in

_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force and where each of them comes from.

    Attributes:
        settings: The validated settings.
        login: The `bl login` file; its credentials are not in `settings`.
        sources: The source of each key that is not a default, such as {"run_url": "/path/config.toml",
            "limits.timeout_seconds": "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS"}.
        file: The TOML file that was read; None if there was none.
        warnings: Sentences for the person who starts the server; none quotes a value.
        unexpanded: The places of placeholders that were not expanded and so count as unset.
        watched: The path of the TOML file, even if there is none yet; None if the settings were made by hand.
        signature: The signature of the TOML file before it was read, from `file_signature`.
        reader: Loads the settings again from the same sources; None if they were made by hand.
    """

    settings: Settings
    login: LoginFile
    sources: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    unexpanded: tuple[str, ...] = ()
    watched: Path | None = field(default=None, compare=False)
    signature: tuple[int, ...] | None = field(default=None, compare=False)
    # Not in the repr: it holds the values of the command line, secrets included.
    reader: "Callable[[], Configuration] | None" = field(default=None, repr=False, compare=False)

    def read_again(self) -> "Configuration":
        """Load the settings again from the same sources; blocks like `load_settings`.

        Raises:
            ConfigurationError: A source has a mistake now.
        """
        return self.reader() if self.reader else self

    def place(self, key: str) -> str:
        """Return the place where a key is set, such as `BL_API_KEY` or `api_key in /path/config.toml`."""
        return place(self.sources[key], key) if key in self.sources else key


def process_environment() -> dict[str, str]:
    """Return a copy of this process's environment variables, for a command that passes them on."""
    return dict(os.environ)


def configuration(
    settings: Settings, *, login: LoginFile | None = None, sources: Mapping[str, str] | None = None
) -> Configuration:
    """Make a configuration by hand, for a test or a demo, without reading anything.

    Args:
        settings: The settings in force.
        login: The login file; a missing one by default.
        sources: Labels for `Configuration.sources`.
    """
    return Configuration(settings, login or _missing_login(), dict(sources or {}))


def load_settings(
    *,
    overrides: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Load the settings from all sources; the first source that sets a key wins.

    The sources are, in order: `overrides`, the `BLAXEL_MCP_*` variables, Blaxel's own `BL_*` variables, the TOML file,
    the variables of a hosting platform (`HOST`, `PORT`, `BL_CLOUD`), the `bl login` file. Loading blocks while it
    reads two small files.

    Args:
        overrides: Values from the command line, nested like the file's tables; None means unset.
        config_file: The TOML file, which has to exist. Without it, `BLAXEL_MCP_CONFIG` names the file; otherwise the
            default one is read if it exists.
        environ: The environment variables; by default those of this process. The home and configuration folders come
            from the system in either case.

    Raises:
        ConfigurationError: A source has a mistake. The message has one line per mistake and quotes no value.
    """
    variables = os.environ if environ is None else environ
    variable = variables.get(FILE_VARIABLE, "").strip()
    named = config_file or (None if is_unset(variable) else Path(variable))
    watched = named or default_settings_path()
    signature = file_signature(watched)
    file, file_layer = read_settings_file(watched, required=named is not None)
    if named is None and is_placeholder(variable):
        file_layer = joined((Layer(unexpanded=(FILE_VARIABLE,)), file_layer))
    login, layers = _valid_layers(overrides or {}, variables, file_layer)
    values, sources = overlay(layers)
    _locate_ledger(values, (file or watched).parent)
    settings = Settings.model_validate(values)
    _reject(list(_repeated_models(settings, sources)))
    unexpanded = tuple(where for layer in layers for where in layer.unexpanded)
    ignored = (f"{where} is a placeholder that was not expanded, and counts as unset." for where in unexpanded)
    return Configuration(
        settings,
        login,
        sources,
        file,
        (*(warning for layer in layers for warning in layer.warnings), *ignored),
        unexpanded,
        watched=watched,
        signature=signature,
        reader=partial(load_settings, overrides=overrides, config_file=config_file, environ=environ),
    )


def _locate_ledger(values: dict[str, Any], folder: Path) -> None:
    """Take a relative `budget.ledger` from the settings file's folder: clients start servers in any folder."""
    budget = values.get("budget")
    if not isinstance(budget, dict):
        return
    ledger = budget.get("ledger")
    if isinstance(ledger, str) and ledger != _MEMORY and "://" not in ledger and not ledger.startswith("~"):
        budget["ledger"] = str(folder.absolute() / ledger)


def _valid_layers(
    overrides: Mapping[str, Any], environ: Mapping[str, str], file: Layer
) -> tuple[LoginFile, tuple[Layer, ...]]:
    """Return the login file, and the layers of all sources in their order, each without mistakes."""
    layers = (
        layer_from(overrides, COMMAND_LINE),
        our_variables(environ),
        blaxel_variables(environ),
        file,
        hosting_variables(environ),
    )
    _reject([problem for layer in layers for problem in problems_in(layer)])
    try:
        login = read_login_file(default_login_path(Path.home()))
    except RuntimeError:
        # Some containers run under a user id that has neither HOME nor an entry in the password file.
        login = _missing_login("this user has no home directory")
    login_layer = _login_layer(login, layers, environ)
    _reject(problems_in(login_layer))
    return login, (*layers, login_layer)


def _reject(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigurationError("\n".join(("The settings cannot be used:", *problems)))


def _missing_login(problem: str | None = None) -> LoginFile:
    # "~" is not expanded: this path is shown and never read.
    return LoginFile(default_login_path(Path("~")), problem=problem)


def _login_layer(login: LoginFile, layers: Sequence[Layer], environ: Mapping[str, str]) -> Layer:
    """Return the login file's current workspace, unless an earlier layer sets one, and its environment's base URLs.

    Blaxel's Python SDK, core/authentication, uses the environment of the workspace in the same way.
    """
    source = f"bl login file ({login.path})"
    broken = Layer(warnings=(f"The {source} cannot be used as it is: {login.problem}.",) if login.problem else ())
    selected = next((layer.values["workspace",] for layer in layers if ("workspace",) in layer.values), None)
    current = {} if selected else {"workspace": login.current_workspace}
    entry = login.entries.get(selected or login.current_workspace or "")
    unset = is_unset(environ.get(BLAXEL_ENVIRONMENT, ""))
    urls = environment_urls(entry.env if entry is not None and unset else None, source)
    return joined((broken, layer_from(current, source), urls))


def _repeated_models(settings: Settings, sources: Mapping[str, str]) -> Iterator[str]:
    first: dict[tuple[str, str | None], int] = {}
    for index, model in enumerate(settings.models):
        earlier = first.setdefault((model.name, model.workspace or settings.workspace), index)
        if earlier != index:
            where = place(sources["models"], f"models[{index}]")
            yield f"{where} has the same name and workspace as models[{earlier}]; a model can have only one entry"
