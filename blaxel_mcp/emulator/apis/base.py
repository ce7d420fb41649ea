"""What the providers' APIs have in common: the call as a provider receives it, checks of its body, and streams."""

import itertools
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import anyio.lowlevel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from blaxel_mcp.emulator.apis.body_schema import BodySchema, first_flaw
from blaxel_mcp.emulator.apis.refusals import openai_refusal
from blaxel_mcp.emulator.platform.errors import openai_error, provider_error
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.emulator.platform.state import Emulator


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One request as a provider receives it; its body is JSON, or the fields of a form.

    `model_id` is the only value that `model` in the body may have. The `path`, such as `/v1/chat/completions`, is empty
    for the base endpoint.
    """

    emulator: Emulator
    record: EmulatedModel
    model_id: str
    path: str
    query: str
    body: dict[str, Any]


EndpointHandler = Callable[[ProviderCall], Awaitable[Response]]
"""Answers the calls of one API; raises RefusalError where its provider would refuse the body."""


async def read_json_object(request: Request, provider: str) -> dict[str, Any]:
    """Return the JSON object in the body of a POST request, and refuse any other request."""
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
    """Return the fields of a POSTed form (RFC 7578), strings and files as `UploadedFile`, and refuse anything else."""
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


def check_model(call: ProviderCall) -> None:
    """Refuse a `model` other than the provider's id of this model; an absent one is filled in by the gateway."""
    model = call.body.get("model")
    if model is not None and model != call.model_id:
        message = f"The model '{model}' does not exist or you do not have access to it."
        raise openai_error(404, message, param="model", code="model_not_found")


def valid_body(schema: BodySchema, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body that matches a closed schema, without its null fields; an unknown one is refused even if null."""
    known = {name: value for name, value in body.items() if value is not None or name not in schema["properties"]}
    if flaw := first_flaw(schema, known):
        raise openai_refusal(flaw)
    return known


def named_events(events: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events that are named by their own `type`."""
    return _stream(f"event: {event['type']}\ndata: {_as_json(event)}\n\n" for event in events)


def chat_events(chunks: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events without names that ends with `[DONE]`, as for chat completions."""
    return _stream(f"data: {data}\n\n" for data in itertools.chain(map(_as_json, chunks), ["[DONE]"]))


def plain_events(chunks: Iterable[dict[str, Any]]) -> Response:
    """Return a stream of events without names, with Google's line ends."""
    return _stream(f"data: {_as_json(chunk)}\r\n\r\n" for chunk in chunks)


def json_array(values: Iterable[dict[str, Any]]) -> Response:
    """Return a JSON array that is sent element by element."""

    def pieces() -> Iterable[str]:
        separator = "["
        for value in values:
            yield separator + _as_json(value)
            separator = "\n,\r\n"
        yield "]"

    return _stream(pieces(), media_type="application/json")


def _stream(pieces: Iterable[str], *, media_type: str = "text/event-stream") -> Response:
    async def one_by_one() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece
            await anyio.lowlevel.checkpoint()

    return StreamingResponse(one_by_one(), media_type=media_type)


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
