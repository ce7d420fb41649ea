"""The settings that stand in environment variables: ours and Blaxel's own."""

from collections.abc import Mapping

from pydantic_settings import EnvSettingsSource, SettingsError

from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.layers import Layer, joined, layer_from, setting_locations
from blaxel_mcp.settings.placeholders import is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings

PREFIX = "BLAXEL_MCP_"
FILE_VARIABLE = "BLAXEL_MCP_CONFIG"
"""The variable that names the TOML file; it is no setting itself."""

BLAXEL_ENVIRONMENT = "BL_ENV"
"""Blaxel's variable that chooses among its environments, and so the base URLs."""

_LEVEL = "__"

# The variables of Blaxel's SDKs: common/settings.ts of the TypeScript one, core/common of the Python one.
_BLAXEL_VARIABLES = {
    "BL_WORKSPACE": "workspace",
    "BL_API_KEY": "api_key",
    "BL_CLIENT_CREDENTIALS": "client_credentials",
    "BL_API_URL": "api_url",
    "BL_RUN_URL": "run_url",
    "BL_API_VERSION": "api_version",
}

# As in Blaxel's CLI, cli/core: what runs locally is the control plane alone.
_DEV_URLS = {"api_url": "https://api.blaxel.dev/v0", "run_url": "https://run.blaxel.dev"}
_ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    # What the settings default to: as nothing is set here, a URL in the TOML file stays in force.
    "prod": {},
    "dev": _DEV_URLS,
    "local": {**_DEV_URLS, "api_url": "http://localhost:8080/v0"},
}


class _VariableSource(EnvSettingsSource):
    """Reads one variable that is handed to it, where its base class reads the process's own.

    One at a time, so that whatever is wrong can be told with the variable's name.
    """

    def __init__(self, variable: str, value: str) -> None:
        super().__init__(Settings, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=_LEVEL)
        self.env_vars = {variable.lower(): value}


def our_variables(environ: Mapping[str, str]) -> Layer:
    """Read `BLAXEL_MCP_` + the key, with `__` between levels; lists and tables are written as JSON."""
    # Sorted, so that a single key comes after its whole section and has its way.
    names = sorted(name for name in environ if name.startswith(PREFIX) and name != FILE_VARIABLE)
    return joined(_our_variable(name, environ[name].strip()) for name in names)


def blaxel_variables(environ: Mapping[str, str]) -> Layer:
    """Read the variables that Blaxel's own CLI and SDKs know."""
    environment = environ.get(BLAXEL_ENVIRONMENT, "").strip()
    single = [
        layer_from({key: environ[variable].strip()}, variable)
        for variable, key in _BLAXEL_VARIABLES.items()
        if variable in environ
    ]
    return joined([environment_urls(environment, BLAXEL_ENVIRONMENT), *single])


def hosting_variables(environ: Mapping[str, str]) -> Layer:
    """Read what the place that hosts a server says: where to listen, and that it has asked the caller already.

    Blaxel sets HOST, PORT and BL_CLOUD (contract 7.3), as other hosts of containers set the first two. HOST without
    PORT is some shell's name of the machine.
    """
    port, host = environ.get("PORT", "").strip(), environ.get("HOST", "").strip()
    listening = layer_from({"http": {"port": port}}, "PORT") if port.isascii() and port.isdigit() else Layer()
    address = layer_from({"http": {"host": host}}, "HOST") if listening.values else Layer()
    on_blaxel = environ.get("BL_CLOUD", "").strip().lower() == "true"
    return joined(
        (listening, address, layer_from({"http": {"auth": "platform"}}, "BL_CLOUD") if on_blaxel else Layer())
    )


def environment_urls(environment: str | None, source: str) -> Layer:
    """Give the base URLs of one of Blaxel's environments.

    Args:
        environment: Its name, if any.
        source: Where the name came from.
    """
    if environment is None or is_unset(environment):
        return Layer(unexpanded=(source,) if environment and is_placeholder(environment) else ())
    # Any other name means the .dev hosts to Blaxel's Python and TypeScript SDKs as well.
    urls = layer_from(_ENVIRONMENTS.get(environment, _DEV_URLS), source)
    if environment in _ENVIRONMENTS:
        return urls
    known = ", ".join(_ENVIRONMENTS)
    return joined((urls, Layer(warnings=(f"{source} names no environment of Blaxel's ({known}): .dev is used.",))))


def _our_variable(variable: str, value: str) -> Layer:
    location = tuple(variable.removeprefix(PREFIX).lower().split(_LEVEL))
    if location not in setting_locations():
        return Layer(warnings=(_unknown(variable),))
    if is_unset(value):
        return Layer(unexpanded=(variable,) if is_placeholder(value) else ())
    try:
        tree = _VariableSource(variable, value)()
    except SettingsError:
        # Neither its message nor its cause is passed on: the cause has the value in it.
        return Layer(problems=(f'{variable} should be JSON, such as ["first", "second"]',))
    return layer_from(tree, variable)


def _unknown(variable: str) -> str:
    known = sorted(_LEVEL.join(map(str, location)).upper() for location in setting_locations())
    meant = closest(variable.removeprefix(PREFIX).upper(), [*known, FILE_VARIABLE.removeprefix(PREFIX)])
    return f"{variable} is not a setting and is ignored{f'; did you mean {PREFIX}{meant}?' if meant else '.'}"
