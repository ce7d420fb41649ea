"""Validates one source of settings and describes its mistakes; no message quotes a value, which may be a secret."""

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.fail_closed import unexpanded_locks, weak_secrets
from blaxel_mcp.settings.layers import Layer, Location, known_keys, nested
from blaxel_mcp.settings.schema import Settings

_REQUIREMENTS = {
    "missing": "is required",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "tuple_type": 'must be a list, such as ["first", "second"]',
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
"""Requirements for those error types of pydantic whose own message does not fit a settings file."""


def problems_in(layer: Layer) -> list[str]:
    """Return one sentence for each mistake in a source: the place, the key and what is required of it."""
    tree = nested(layer.values)
    # The constructor of Settings would accept some unknown names as its own arguments (`_env_file`).
    unknown = [key for key in tree if key not in Settings.model_fields]
    problems = [
        *layer.problems,
        *weak_secrets(layer),
        *unexpanded_locks(layer),
        *(f"{layer.place((key,))} {_unknown_key((key,))}" for key in unknown),
    ]
    try:
        Settings.model_validate({key: value for key, value in tree.items() if key not in unknown})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # pydantic adds a part to the location of a key that is itself wrong.
        places = (tuple(part for part in detail["loc"] if part != "[key]") for detail in details)
        problems += [f"{layer.place(at)} {_requirement(detail)}" for at, detail in zip(places, details, strict=True)]
    return problems


def _requirement(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if detail["loc"] == ("models",):
        return "must be a list of tables, each under [[models]]"
    if detail["type"] in _REQUIREMENTS:
        return _REQUIREMENTS[detail["type"]]
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    # pydantic's message without its subject and without the reason why parsing failed.
    message = re.sub(r"^(Input|String|Tuple) |, unable to .*", "", detail["msg"])
    return re.sub(r"^should\b", "must", message)


def _unknown_key(location: Location) -> str:
    known = known_keys(location[:-1])
    suggestion = closest(str(location[-1]), known)
    advice = f"did you mean {suggestion}?" if suggestion else f"valid keys: {', '.join(known)}"
    return f"is not a setting; {advice}"
