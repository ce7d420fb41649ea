"""What the providers' APIs have in common: the call as a provider receives it, and reading its body."""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from blaxel_mcp.emulator.platform.errors import provider_error
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.emulator.platform.state import Emulator


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One request as a provider receives it.

    Args:
        emulator: Gives the clock, the earlier requests and the upstream server.
        record: The model.
        model_id: The only value that `model` in the body may have.
        path: The sub-endpoint, such as `/v1/chat/completions`; "" is the base endpoint.
        query: The query string, without its question mark.
        body: The JSON body, or the fields of a form.
    """

    emulator: Emulator
    record: EmulatedModel
    model_id: str
    path: str
    query: str
    body: dict[str, Any]


EndpointHandler = Callable[[ProviderCall], Awaitable[Response]]
"""Answers the calls of one API."""


async def read_json_object(request: Request, provider: str) -> dict[str, Any]:
    """Return the JSON object in a request's body.

    Raises:
        RefusalError: The method is not POST, or the body is not a JSON object.
    """
    _check_post(request, provider, "application/json")
    try:
        body = json.loads((await request.body()).decode(), parse_constant=_finite_float, parse_float=_finite_float)
        # JSON can spell a lone surrogate, which cannot be sent back.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise provider_error(provider, 400, "The JSON body of the request could not be parsed.") from error
    if not isinstance(body, dict):
        raise provider_error(provider, 400, "The body of the request must be a JSON object.")
    return body


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file in a form."""

    name: str
    media_type: str
    data: bytes


async def read_form(request: Request, provider: str) -> dict[str, Any]:
    """Return the fields of a form (RFC 7578): strings, and files as `UploadedFile`.

    Raises:
        RefusalError: The method is not POST, or the body is not a form.
    """
    _check_post(request, provider, "multipart/form-data")
    fields: dict[str, Any] = {}
    try:
        async with request.form() as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields[name] = value
                else:
                    fields[name] = UploadedFile(value.filename or "", value.content_type or "", await value.read())
    except HTTPException as error:
        raise provider_error(provider, 400, "The form of the request could not be parsed.") from error
    return fields


def _check_post(request: Request, provider: str, media_type: str) -> None:
    if request.method != "POST":
        raise provider_error(provider, 405, f"{request.method} is not allowed here.", code="method_not_supported")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != media_type:
        raise provider_error(provider, 415, f"The content type must be {media_type}.")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value
