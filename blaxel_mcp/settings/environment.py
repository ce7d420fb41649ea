"""Settings from environment variables: this server's, Blaxel's, and those of a hosting platform."""

from collections.abc import Mapping

from pydantic_settings import EnvSettingsSource, SettingsError

from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.layers import Layer, joined, layer_from, setting_locations
from blaxel_mcp.settings.placeholders import is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings

PREFIX = "BLAXEL_MCP_"
FILE_VARIABLE = "BLAXEL_MCP_CONFIG"
"""The variable that names the TOML file; it is not a setting."""

BLAXEL_ENVIRONMENT = "BL_ENV"
"""Blaxel's variable that selects one of its environments, and with it the base URLs."""

_LEVEL = "__"

# From Blaxel's SDKs: common/settings.ts in TypeScript, core/common in Python.
_BLAXEL_VARIABLES = {
    "BL_WORKSPACE": "workspace",
    "BL_API_KEY": "api_key",
    "BL_CLIENT_CREDENTIALS": "client_credentials",
    "BL_API_URL": "api_url",
    "BL_RUN_URL": "run_url",
    "BL_API_VERSION": "api_version",
}

# From Blaxel's CLI, cli/core: in `local`, only the control plane runs on this machine.
_DEV_URLS = {"api_url": "https://api.blaxel.dev/v0", "run_url": "https://run.blaxel.dev"}
_ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    # The defaults of the settings. Nothing is set here, so that a URL in the TOML file stays in force.
    "prod": {},
    "dev": _DEV_URLS,
    "local": {**_DEV_URLS, "api_url": "http://localhost:8080/v0"},
}


class _VariableSource(EnvSettingsSource):
    """Reads a single variable, so that an error can name it; its base class reads the environment of the process."""

    def __init__(self, variable: str, value: str) -> None:
        super().__init__(Settings, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=_LEVEL)
        self.env_vars = {variable.lower(): value}


def our_variables(environ: Mapping[str, str]) -> Layer:
    """Read the variables named `BLAXEL_MCP_` + the key, with `__` between levels and lists and tables as JSON."""
    # Sorted, so that the variable of a single key comes after that of its section and takes precedence.
    names = sorted(name for name in environ if name.startswith(PREFIX) and name != FILE_VARIABLE)
    return joined(_our_variable(name, environ[name].strip()) for name in names)


def blaxel_variables(environ: Mapping[str, str]) -> Layer:
    """Read the variables of Blaxel's own CLI and SDKs, `BL_*`."""
    environment = environ.get(BLAXEL_ENVIRONMENT, "").strip()
    single = [
        layer_from({key: environ[variable].strip()}, variable)
        for variable, key in _BLAXEL_VARIABLES.items()
        if variable in environ
    ]
    return joined([environment_urls(environment, BLAXEL_ENVIRONMENT), *single])


def hosting_variables(environ: Mapping[str, str]) -> Layer:
    """Read where the hosting platform wants the server to listen, and whether it authenticates callers.

    Blaxel sets HOST, PORT and BL_CLOUD (contract, section 7.3); other container platforms set the first two. HOST is
    read only together with PORT, since some shells set it to the name of the machine.
    """
    layers = []
    port = environ.get("PORT", "").strip()
    if port.isascii() and port.isdigit():
        host = environ.get("HOST", "").strip()
        layers = [layer_from({"http": {"port": port}}, "PORT"), layer_from({"http": {"host": host}}, "HOST")]
    if environ.get("BL_CLOUD", "").strip().lower() == "true":
        layers.append(layer_from({"http": {"auth": "platform"}}, "BL_CLOUD"))
    return joined(layers)


def environment_urls(environment: str | None, source: str) -> Layer:
    """Return the base URLs of one of Blaxel's environments.

    Args:
        environment: The name of the environment; None or a name that counts as unset gives no URLs.
        source: The variable or file that the name came from.
    """
    if environment is None or is_unset(environment):
        return Layer(unexpanded=(source,) if environment and is_placeholder(environment) else ())
    # Blaxel's Python and TypeScript SDKs use the .dev hosts for any other name too.
    urls = layer_from(_ENVIRONMENTS.get(environment, _DEV_URLS), source)
    if environment in _ENVIRONMENTS:
        return urls
    known = ", ".join(_ENVIRONMENTS)
    warning = f"{source} does not name one of Blaxel's environments ({known}); the .dev URLs are used."
    return joined((urls, Layer(warnings=(warning,))))


def _our_variable(variable: str, value: str) -> Layer:
    locations = setting_locations()
    if tuple(variable.removeprefix(PREFIX).lower().split(_LEVEL)) not in locations:
        known = sorted(_LEVEL.join(map(str, location)).upper() for location in locations)
        suggestion = closest(variable.removeprefix(PREFIX).upper(), [*known, FILE_VARIABLE.removeprefix(PREFIX)])
        advice = f"; did you mean {PREFIX}{suggestion}?" if suggestion else "."
        return Layer(warnings=(f"{variable} is not a setting and is ignored{advice}",))
    if is_unset(value):
        return Layer(unexpanded=(variable,) if is_placeholder(value) else ())
    try:
        tree = _VariableSource(variable, value)()
    except SettingsError:
        # Its message and its cause are dropped: the cause contains the value.
        return Layer(problems=(f'{variable} must be JSON, such as ["first", "second"]',))
    return layer_from(tree, variable)
