"""The request body: what the caller gave, what the settings fill in, what they hold fast."""

from collections.abc import Mapping
from typing import Any

from blaxel_mcp.apis.base import JSONObject


def with_defaults(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> JSONObject:
    """Fill in what `body` leaves out, inside nested objects too."""
    filled = dict(body)
    for name, default in defaults.items():
        given = filled.get(name)
        if name not in filled:
            filled[name] = default
        elif isinstance(given, Mapping) and isinstance(default, Mapping):
            filled[name] = with_defaults(given, default)
    return filled


def with_locked(body: Mapping[str, Any], locked: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
    """Put the locked fields in, and say in a sentence which of the caller's values gave way."""
    held = dict(body)
    told: list[str] = []
    for name, value in locked.items():
        given = held.get(name)
        if isinstance(given, Mapping) and isinstance(value, Mapping):
            held[name], inner = with_locked(given, value)
            told += [f"{name}.{sentence}" for sentence in inner]
            continue
        if name in held and given != value:
            told.append(f"{name} is locked by the settings and was put back to its locked value")
        held[name] = value
    return held, told
