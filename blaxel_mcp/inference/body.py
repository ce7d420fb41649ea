"""The request body: what the caller gave, what the settings fill in, what they hold fast, how it is written."""

from collections.abc import Mapping
from typing import Any

from blaxel_mcp.apis import RAW, ModelAPI
from blaxel_mcp.apis.base import Encoded
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


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


def with_model(
    body: Mapping[str, Any], *, name: str, provider_model: str | None, mk3: bool
) -> tuple[JSONObject, list[str]]:
    """Name the model the way its gateway wants it, and say so where the caller's own value gave way.

    Args:
        body: The body so far.
        name: Blaxel's name, which an mk3 gateway goes by (Blaxel's TypeScript SDK does the same).
        provider_model: The provider's id, for the classic gateway; None where it is not known.
        mk3: Which of the two it is.
    """
    if mk3:
        given = body.get("model", name)
        told = [] if given == name else ["model was replaced by the Blaxel name, which an mk3 endpoint expects"]
        return {**body, "model": name}, told
    if "model" in body or provider_model is None:
        return dict(body), []
    return {"model": provider_model, **body}, []


def encoded(body: Any, api: ModelAPI | None) -> Encoded | None:
    """Write the body as it goes over the wire; None for no body.

    Raises:
        InvalidArgumentsError: it holds something that JSON cannot write.
    """
    if body is None:
        return None
    try:
        return (api or RAW).encode(body)
    except ValueError:
        raise InvalidArgumentsError(
            "The body holds something that JSON cannot write: NaN, an infinite number or half of a surrogate pair.",
            hint="Replace it and call again; nothing was sent.",
        ) from None
