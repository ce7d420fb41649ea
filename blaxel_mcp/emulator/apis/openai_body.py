"""Validation shared by the OpenAI endpoints (OpenAI API reference, Errors)."""

from typing import Any

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.body_schema import BodySchema, first_flaw
from blaxel_mcp.emulator.apis.refusals import openai_refusal
from blaxel_mcp.emulator.platform.errors import openai_error


def check_model(call: ProviderCall) -> None:
    """Refuse a `model` other than the provider's id of this model; an absent one is filled in by the gateway.

    Raises:
        RefusalError: The body names another model.
    """
    model = call.body.get("model")
    if model is not None and model != call.model_id:
        message = f"The model '{model}' does not exist or you do not have access to it."
        raise openai_error(404, message, param="model", code="model_not_found")


def valid_body(schema: BodySchema, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without its null fields; an unknown field is refused even when it is null.

    Raises:
        RefusalError: The body does not match the closed schema.
    """
    known = {name: value for name, value in body.items() if value is not None or name not in schema["properties"]}
    if flaw := first_flaw(schema, known):
        raise openai_refusal(flaw)
    return known
