"""The providers behind the gateway: which API each path is, and the checks that all of them share."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from blaxel_mcp.emulator.platform.errors import provider_error
from blaxel_mcp.emulator.platform.records import ModelRecord
from blaxel_mcp.emulator.platform.state import Emulator


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One request as a provider receives it.

    Args:
        emulator: Whose clock and upstream server count.
        record: The model asked.
        model_id: The only value that the body's `model` may have.
        path: The sub-endpoint.
        query: The query string, without its question mark.
        body: The JSON body.
    """

    emulator: Emulator
    record: ModelRecord
    model_id: str
    path: str
    query: str
    body: dict[str, Any]


Endpoint = Callable[[ProviderCall], Awaitable[Response]]
"""Answers a call of one API."""


async def read_json_object(request: Request, provider: str) -> dict[str, Any]:
    """Return the request's JSON object.

    Raises:
        RefusedError: The request is no POST, its body no JSON, or the JSON no object.
    """
    if request.method != "POST":
        raise provider_error(provider, 405, f"{request.method} is not allowed here.", code="method_not_supported")
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise provider_error(provider, 415, "The content type must be application/json.")
    try:
        body = json.loads((await request.body()).decode(), parse_constant=_refuse_constant, parse_float=_finite)
        # A lone surrogate can be spelt in JSON but never be sent back.
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
    """Return the fields of a form (RFC 7578): texts, and files as `UploadedFile`.

    Raises:
        RefusedError: The request is no POST, or its body no form.
    """
    if request.method != "POST":
        raise provider_error(provider, 405, f"{request.method} is not allowed here.", code="method_not_supported")
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise provider_error(provider, 415, "The content type must be multipart/form-data.")
    try:
        async with request.form() as form:
            return {name: await _field(value) for name, value in form.multi_items()}
    except HTTPException as error:
        raise provider_error(provider, 400, "The form of the request could not be parsed.") from error


async def _field(value: UploadFile | str) -> UploadedFile | str:
    if isinstance(value, str):
        return value
    return UploadedFile(value.filename or "", value.content_type or "", await value.read())


def find_endpoint(endpoints: Mapping[str, Mapping[str, Endpoint]], record: ModelRecord, path: str) -> Endpoint:
    """Return what answers a sub-endpoint of a model's provider; "{model}" in a path stands for the provider's id.

    Raises:
        RefusedError: The provider has no such sub-endpoint.
    """
    served = endpoints.get(record.type, {})
    endpoint = next((served[known] for known in served if known.replace("{model}", record.model) == path), None)
    if endpoint is None:
        raise provider_error(record.type, 404, f"Invalid URL ({path or '/'})", code="unknown_url")
    return endpoint


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
