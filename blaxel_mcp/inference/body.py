"""Fill in and lock the fields of a request body."""

from collections.abc import Mapping
from typing import Any

from blaxel_mcp.core.json_text import JSONObject


def with_defaults(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> JSONObject:
    """Return the body with absent fields filled in, inside nested objects too."""
    filled = dict(body)
    for name, default in defaults.items():
        value = filled.get(name)
        if name not in filled:
            filled[name] = default
        elif isinstance(value, Mapping) and isinstance(default, Mapping):
            filled[name] = with_defaults(value, default)
    return filled


def with_locked(body: Mapping[str, Any], locked: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
    """Return the body with the locked fields in place, and one sentence per value of the caller's that was replaced."""
    result = dict(body)
    repairs: list[str] = []
    for name, locked_value in locked.items():
        value = result.get(name)
        if isinstance(value, Mapping) and isinstance(locked_value, Mapping):
            result[name], inner = with_locked(value, locked_value)
            repairs += [f"{name}.{sentence}" for sentence in inner]
            continue
        if name in result and value != locked_value:
            repairs.append(f"{name} is locked by the settings and was reset to its locked value")
        result[name] = locked_value
    return result, repairs


def with_model(
    body: Mapping[str, Any], *, name: str, provider_model: str | None, mk3: bool
) -> tuple[JSONObject, list[str]]:
    """Return the body with the model named as its gateway expects it, and a sentence if the caller's was replaced.

    Args:
        body: The body so far.
        name: Blaxel's name, which an mk3 gateway goes by (Blaxel's TypeScript SDK does the same).
        provider_model: The provider's id, for the classic gateway; None if it is not known.
        mk3: Whether an mk3 gateway answers.
    """
    if mk3:
        renamed = body.get("model", name) != name
        return {**body, "model": name}, (
            ["model was replaced by the Blaxel name, which an mk3 endpoint expects"] if renamed else []
        )
    if "model" in body or provider_model is None:
        return dict(body), []
    return {"model": provider_model, **body}, []
