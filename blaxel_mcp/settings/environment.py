"""Settings from environment variables: this server's, Blaxel's, and those of a hosting platform."""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.layers import Layer, Location, fails_closed, joined, known_keys, layer_from, setting_locations
from blaxel_mcp.settings.placeholders import fault_of, is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings

PREFIX = "BLAXEL_MCP_"
FILE_VARIABLE = "BLAXEL_MCP_CONFIG"
"""The variable that names the TOML file; it is not a setting."""

BLAXEL_ENVIRONMENT = "BL_ENV"
"""Blaxel's variable that selects one of its environments, and with it the base URLs."""

_LEVEL = "__"

_REPEATED = "is JSON in which an object has a key twice; write each key once"

_OUR_NAME = re.compile(r"\s*BLAXEL[-_.]?MCP", re.IGNORECASE)
_SETTING_AT_END = re.compile(r"\s*(.+?)[-_.]+([A-Z]+__\w+)\s*", re.IGNORECASE)
_LIKE_OUR_PREFIX = 0.7
"""How similar the rest of a name has to be to `BLAXEL_MCP` if a setting of ours follows, from 0 to 1."""

_SERVICE_VARIABLE = re.compile(
    r"BLAXEL_MCP(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)

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
    """Reads a single variable, so that an error can name it; the base class would read the whole environment."""

    def __init__(self, variable: str, value: str) -> None:
        super().__init__(Settings, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=_LEVEL)
        self.env_vars = {variable.lower(): value}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002 - pydantic's
        """Return the value of JSON; raises ValueError for an object with a duplicate key, or for deep nesting."""
        try:
            return json.loads(value, object_pairs_hook=_object_of)
        except RecursionError:
            raise ValueError from None


class _RepeatedKeyError(ValueError):
    """An object of JSON has a key twice."""


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Like the base class, ignore the case of a section's keys.
    if len({key.lower() for key, _ in pairs}) < len(pairs):
        raise _RepeatedKeyError
    return dict(pairs)


def our_variables(environ: Mapping[str, str]) -> Layer:
    """Read the variables named `BLAXEL_MCP_` + the key, with `__` between levels and lists and tables as JSON.

    A variable with our prefix that is not a setting is a problem: it may be meant to restrict something.
    """
    # Sorted, so that the variable of a single key comes after that of its section and takes precedence.
    names = sorted(name for name in environ if _is_ours(name, environ[name]) and name != FILE_VARIABLE)
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
    """Read the address that the hosting platform wants the server to listen on; nothing else is taken from it.

    Blaxel sets HOST and PORT (contract, section 7.3), and so do other container platforms. HOST is read only together
    with PORT, since some shells set it to the name of the machine.
    """
    port, host = environ.get("PORT", "").strip(), environ.get("HOST", "").strip()
    if not (port.isascii() and port.isdigit()):
        return Layer()
    hosts = [] if is_unset(host) else [layer_from({"http": {"host": host}}, "HOST")]
    return joined([layer_from({"http": {"port": port}}, "PORT"), *hosts])


def environment_urls(environment: str | None, source: str) -> Layer:
    """Return the base URLs of one of Blaxel's environments, whose name comes from `source`; none if it is unset."""
    if environment is None or is_unset(environment):
        return Layer(unexpanded=(source,) if environment and is_placeholder(environment) else ())
    # Blaxel's Python and TypeScript SDKs use the .dev hosts for any other name too.
    urls = layer_from(_ENVIRONMENTS.get(environment, _DEV_URLS), source)
    if environment in _ENVIRONMENTS:
        return urls
    known = ", ".join(_ENVIRONMENTS)
    warning = f"{source} does not name one of Blaxel's environments ({known}); the .dev URLs are used."
    return joined((urls, Layer(warnings=(warning,))))


def _is_ours(name: str, value: str) -> bool:
    """Return whether a variable is meant for this server, however its name is spelled.

    Kubernetes and Docker set variables such as BLAXEL_MCP_SERVICE_HOST for a service with the name `blaxel-mcp`.
    """
    if _OUR_NAME.match(name):
        is_service = _SERVICE_VARIABLE.fullmatch(name) or (name.endswith("_PORT") and "://" in value)
        return not is_service
    return _meant_setting(name) is not None


def _meant_setting(name: str) -> str | None:
    """Return the setting at the end of a name with a prefix like ours, such as `MCP_BLAXEL_` or `BLAXEL_MPC_`."""
    match = _SETTING_AT_END.fullmatch(name)
    if match is None or tuple(match[2].lower().split(_LEVEL)) not in setting_locations():
        return None
    letters = _letters(match[1])
    ratios = (difflib.SequenceMatcher(None, letters, own).ratio() for own in ("BLAXELMCP", "MCPBLAXEL"))
    return match[2] if max(ratios) >= _LIKE_OUR_PREFIX else None


def _our_variable(variable: str, value: str) -> Layer:
    location = tuple(variable.removeprefix(PREFIX).lower().split(_LEVEL))
    if not (variable.startswith(PREFIX) and variable.isupper() and location in setting_locations()):
        return Layer(problems=(f"{variable} is not a setting; {_advice(variable)}",))
    if not fails_closed(location) and is_unset(value):
        return Layer(unexpanded=(variable,) if is_placeholder(value) else ())
    try:
        tree = _VariableSource(variable, value)()
    except SettingsError as error:
        # Its message and its cause are dropped: the cause contains the value.
        is_repeated = isinstance(error.__cause__, _RepeatedKeyError)
        fault = fault_of(value) or (_REPEATED if is_repeated else f"must be JSON, such as {_example(location)}")
        return Layer(problems=(f"{variable} {fault}",))
    layer = layer_from(tree, variable)
    if fails_closed(location) and not layer.values and not layer.problems:
        return Layer(problems=(f"{variable} does not set anything; set a value, or remove it",))
    return layer


def _example(location: Location) -> str:
    if location == ("models",):
        return '[{"name": "gpt-4o-mini"}]'
    keys = known_keys(location)
    return f'{{"{keys[0]}": ...}}' if keys else '["first", "second"]'


def _advice(variable: str) -> str:
    keys = [_LEVEL.join(map(str, location)).upper() for location in setting_locations()]
    known = [FILE_VARIABLE.removeprefix(PREFIX), *sorted(keys)]
    similar = None if _OUR_NAME.match(variable) else _meant_setting(variable)
    key = (similar or _OUR_NAME.sub("", variable, count=1).strip("_ ")).upper()
    same = (name for name in known if _letters(name) == _letters(key))
    meant = next(same, None) or closest(key, known)
    return f"did you mean {PREFIX}{meant}?" if meant else "remove it"


def _letters(name: str) -> str:
    return re.sub(r"[^A-Z]", "", name.upper())
