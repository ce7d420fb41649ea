"""Loads the settings in force from the command line, the environment, the TOML file and the `bl login` file."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.environment import (
    BLAXEL_ENVIRONMENT,
    FILE_VARIABLE,
    blaxel_variables,
    environment_urls,
    hosting_variables,
    our_variables,
)
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.layers import COMMAND_LINE, DEMO, Layer, exact_place, joined, layer_from, overlay, place
from blaxel_mcp.settings.login_file import LoginFile, default_login_path, read_login_file
from blaxel_mcp.settings.placeholders import fault_of, is_unset
from blaxel_mcp.settings.problems import contradictions, problems_in, sharing_problems
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.toml_file import default_settings_path, file_signature, read_settings_file, with_lines

# "~" is not expanded: this path is shown and never read.
_NO_LOGIN = LoginFile(default_login_path(Path("~")))


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force and where each of them comes from.

    Attributes:
        login: The `bl login` file; its credentials are not in `settings`.
        sources: The source of each key that is not a default, such as {"run_url": "/path/config.toml",
            "limits.timeout_seconds": "BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS"}.
        file: The TOML file that was read; None if there was none.
        warnings: Sentences for the person who starts the server; none quotes a value.
        unexpanded: The places of placeholders that were not expanded and so count as unset.
        watched: The path of the TOML file, even if it does not exist yet; None if the settings were made by hand.
        signature: The signature of the TOML file before it was read, from `file_signature`.
        reader: Loads the settings again from the same sources; None if they were made by hand.
    """

    settings: Settings
    login: LoginFile = _NO_LOGIN
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
            ConfigurationError: A source now has a mistake, or the TOML file, which was read before, is missing, empty
                or unreadable. The previous settings then stay in force.
        """
        return self.reader() if self.reader else self

    def entries_error(self, problems: Iterable[tuple[int, str]]) -> ConfigurationError:
        """Return the error for entries of `[[models]]` that cannot become tools: the index and problem of each."""
        source = self.sources.get("models", COMMAND_LINE)
        sentences = [
            f"{exact_place(source, ('models', index))} cannot become a tool: {problem}" for index, problem in problems
        ]
        if self.file is not None:
            # It may have changed since it was read.
            with suppress(OSError, ValueError):
                sentences = list(with_lines(sentences, self.file, self.file.read_text(encoding="utf-8-sig")))
        return ConfigurationError("\n".join(("The settings cannot be used:", *sentences)))

    def place(self, key: str) -> str:
        """Return the place where a key is set, such as `BL_API_KEY` or `api_key in /path/config.toml`."""
        return place(self.sources[key], key) if key in self.sources else key


def process_environment() -> dict[str, str]:
    """Return a copy of this process's environment variables, for a command that passes them on."""
    return dict(os.environ)


def load_settings(
    *,
    overrides: Mapping[str, Any] | None = None,
    demo: Mapping[str, Any] | None = None,
    config_file: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    last: Layer | None = None,
) -> Configuration:
    """Load the settings from all sources; the first source that sets a key wins.

    The sources are, in order: `overrides`, `demo`, the `BLAXEL_MCP_*` variables, Blaxel's own `BL_*` variables, the
    TOML file, the variables of a hosting platform (`HOST`, `PORT`), the `bl login` file. Loading blocks while it reads
    two small files.

    Args:
        overrides: Values from the command line, nested like the file's tables; None means unset.
        demo: The values that `--demo` stands for, nested like them.
        config_file: The TOML file, which has to exist. Without it, `BLAXEL_MCP_CONFIG` names the file; otherwise the
            default one is read if it exists.
        environ: The environment variables; by default those of this process.
        last: The settings that a running server has from the file; None at the start and without a file.

    Raises:
        ConfigurationError: A source has a mistake. The message has one line per mistake and quotes no value.
    """
    variables = os.environ if environ is None else environ
    watched, signature, error = default_settings_path(), None, None
    try:
        named = named_settings_file(config_file, variables)
        watched = named or watched
        signature = file_signature(watched)
        file = read_settings_file(watched, required=named is not None, last=last)
    except ConfigurationError as unusable:
        # Reported with the mistakes in the other sources.
        file, error = Layer(problems=(str(unusable),)), unusable
    layers = [
        layer_from(overrides or {}, COMMAND_LINE),
        layer_from(demo or {}, DEMO),
        our_variables(variables),
        blaxel_variables(variables),
        file,
        hosting_variables(variables),
    ]
    problems = _problems_in_all(layers, variables)
    if error and len(problems) == 1:
        raise error
    login, login_layer = _login(*overlay(layers), variables)
    layers.append(login_layer)
    values, sources = overlay(layers)
    if demo:
        # Nothing that a demo does is billed, or counts for other servers.
        values = {name: value for name, value in values.items() if name not in ("audit", "shared")}
    if problems := [*problems, *problems_in(login_layer), *_repeated_models(values, sources)]:
        lines = with_lines(problems, file.file, file.text) if file.file else problems
        raise ConfigurationError("\n".join(("The settings cannot be used:", *lines)))
    _resolve_ledger(values, (file.file or watched).parent)
    unexpanded = tuple(where for layer in layers for where in layer.unexpanded)
    ignored = (f"{where} is a placeholder that was not expanded, and counts as unset." for where in unexpanded)
    return Configuration(
        Settings.model_validate(values),
        login,
        sources,
        file.file,
        (*(warning for layer in layers for warning in layer.warnings), *ignored),
        unexpanded,
        watched,
        signature,
        reader=partial(
            load_settings,
            overrides=overrides,
            demo=demo,
            config_file=config_file,
            environ=environ,
            last=file if file.file else last,
        ),
    )


def _resolve_ledger(values: dict[str, Any], folder: Path) -> None:
    """Make a relative path of the ledger one in the settings file's folder: clients start servers in any folder."""
    ledger = values.get("budget", {}).get("ledger")
    if ledger and ledger != ":memory:" and "://" not in ledger and not ledger.startswith("~"):
        values["budget"]["ledger"] = str(folder.absolute() / ledger)


def named_settings_file(config_file: Path | str | None, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the settings file that `--config`, otherwise BLAXEL_MCP_CONFIG, names; None if neither is set.

    Raises:
        ConfigurationError: The name is blank, was not expanded, or begins with `~` and there is no such home directory.
    """
    environ = os.environ if environ is None else environ
    source, name = ("--config", config_file) if config_file is not None else (FILE_VARIABLE, environ.get(FILE_VARIABLE))
    if name is None:
        return None
    if isinstance(name, str) and (fault := fault_of(name)):
        raise ConfigurationError(
            f"{source} {fault}.", hint="It names the settings file; without it, the default one is read."
        )
    path = Path(name.strip() if isinstance(name, str) else name)
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"The settings file {path} is in a home directory that does not exist.") from error


def _problems_in_all(layers: Sequence[Layer], variables: Mapping[str, str]) -> list[str]:
    problems = [problem for layer in layers for problem in problems_in(layer)]
    values, sources = overlay(layers)
    problems += sharing_problems(values, sources)
    # Checked only if [http] itself has no mistakes, which would change the meaning of its keys together.
    with suppress(ValidationError):
        problems += contradictions(HttpSettings.model_validate(values.get("http", {})), sources, variables)
    return problems


def _login(
    values: Mapping[str, Any], sources: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[LoginFile, Layer]:
    """Return the login file, and the workspace if no other source sets it, with its environment's base URLs.

    The workspace is the first of `discovery.workspaces`, otherwise the current one of the login file. Blaxel's Python
    SDK, core/authentication, uses the environment of the workspace in the same way.
    """
    try:
        login = read_login_file(default_login_path(Path.home()))
    except RuntimeError:
        # Some containers run under a user id that has neither HOME nor an entry in the password file.
        login = replace(_NO_LOGIN, problem="this user has no home directory")
    source = f"bl login file ({login.path})"
    broken = Layer(warnings=(f"The {source} cannot be used as it is: {login.problem}.",) if login.problem else ())
    # A value of another type is a mistake that is reported with the others.
    discovery = values.get("discovery")
    listed = discovery.get("workspaces") if isinstance(discovery, Mapping) else None
    first = next(iter(listed), None) if isinstance(listed, list | tuple) else None
    selected = values.get("workspace")
    name = selected or first or login.current_workspace
    origin = sources["discovery.workspaces"] if first else source
    workspace = layer_from({} if selected else {"workspace": name}, origin)
    entry = login.entries.get(name) if isinstance(name, str) else None
    is_selected_by_variable = not is_unset(environ.get(BLAXEL_ENVIRONMENT, ""))
    urls = environment_urls(entry.env if entry and not is_selected_by_variable else None, source)
    return login, joined((broken, workspace, urls))


def _repeated_models(values: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each model with two entries; entries with another mistake are skipped."""
    first: dict[tuple[str, str | None], int] = {}
    models, usual = values.get("models"), values.get("workspace")
    for index, model in enumerate(models if isinstance(models, list | tuple) else ()):
        name, workspace = (model.get("name"), model.get("workspace")) if isinstance(model, Mapping) else (None, None)
        workspace = workspace or usual
        if not isinstance(name, str) or not isinstance(workspace, str | None):
            continue
        earlier = first.setdefault((name, workspace), index)
        if earlier != index:
            where = place(sources["models"], f"models[{index}]")
            yield f"{where} has the same name and workspace as models[{earlier}]; a model can have only one entry"
