"""Fields of an OpenAI request body, checked and refused as OpenAI does (OpenAI API reference, Errors)."""

from collections.abc import Collection
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.platform.errors import RefusedError, openai_error


def check_known(body: dict[str, Any], known: Collection[str]) -> None:
    """Refuse a field that the API does not have."""
    for name in body:
        if name not in known:
            raise openai_error(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def check_model(call: ProviderCall) -> None:
    """Refuse another model's id than the one that the provider knows here."""
    model = call.body.get("model")
    if model is not None and model != call.model_id:
        message = f"The model '{model}' does not exist or you do not have access to it."
        raise openai_error(404, message, param="model", code="model_not_found")


def wrong_type(name: str, expected: str) -> RefusedError:
    """Return the refusal of a value of another type than the field's."""
    return openai_error(400, f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type")


def wrong_value(name: str, expected: str) -> RefusedError:
    """Return the refusal of a value out of the field's range."""
    return openai_error(400, f"Invalid '{name}': expected {expected}.", param=name, code="invalid_value")


def missing(name: str) -> RefusedError:
    """Return the refusal of a body without a required field."""
    message = f"Missing required parameter: '{name}'."
    return openai_error(400, message, param=name, code="missing_required_parameter")


def integer(body: dict[str, Any], name: str, minimum: int, maximum: int) -> int | None:
    """Return an optional integer within its range; null counts as absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer")
    if not minimum <= value <= maximum:
        raise wrong_value(name, f"an integer from {minimum} to {maximum}")
    return value


def number(body: dict[str, Any], name: str, minimum: float, maximum: float) -> float | None:
    """Return an optional number within its range; null counts as absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(name, "a number")
    if not minimum <= value <= maximum:
        raise wrong_value(name, f"a number from {minimum:g} to {maximum:g}")
    return value


def boolean(body: dict[str, Any], name: str) -> bool:
    """Return an optional boolean; null and absence count as false."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean")
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """Return a value that has to be an object."""
    if not isinstance(value, dict):
        raise wrong_type(name, "an object")
    return value


def string(value: Any, name: str) -> str:
    """Return a value that has to be a string."""
    if not isinstance(value, str):
        raise wrong_type(name, "a string")
    return value


def choice(value: Any, name: str, allowed: Collection[str]) -> str:
    """Return a value that has to be one of a few strings."""
    if not isinstance(value, str) or value not in allowed:
        raise wrong_value(name, f"one of {', '.join(sorted(allowed))}")
    return value


def json_schema(value: Any, name: str) -> dict[str, Any]:
    """Return a value that has to be a JSON Schema of an object's kind."""
    schema = mapping(value, name)
    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        raise wrong_value(name, "a valid JSON Schema") from error
    return schema
