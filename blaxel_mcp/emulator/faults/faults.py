"""Models that fail on purpose: the name says how, such as `fault-429` or `fault-slow-3s`."""

import json
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from blaxel_mcp.emulator.faults.streams import (
    DroppedResponse,
    SlowResponse,
    TruncatedResponse,
    cut_stream,
    deep,
    dripping,
    endless_error,
    endless_line,
    endless_stream,
    flood,
    gzip_bomb,
    gzipped,
    long_event,
    long_headers,
    many_events,
    many_values,
    slow_stream,
    truncated_gzip,
)
from blaxel_mcp.emulator.platform.errors import EdgeCode, RefusedError, edge_error, openai_error
from blaxel_mcp.emulator.platform.records import ModelRecord
from blaxel_mcp.emulator.platform.state import Emulator

Fault = Callable[[Request], Response]

_COMPLETION = {
    "id": "chatcmpl-fault",
    "object": "chat.completion",
    "created": 1_787_000_000,
    "model": "gpt-4o-mini",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Here at last."}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
}
_COMPLETION_BYTES = json.dumps(_COMPLETION).encode()

_NUMBERS = (
    '{"zeta": 9007199254740993, "alpha": -0.0, "big": 123456789012345678901234567890, "small": 1e-7, '
    '"tenth": 0.1, "one": 1.0, "text": "Zoë \N{GRINNING FACE}"}'
).encode()
"""Numbers that a careless reader rounds, in an order that a careless reader sorts."""

_HTML = "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"

_PROVIDER_KEY_MESSAGE = "Incorrect API key provided: sk-emulator0123456789abcdefghijklmnop."
_PROVIDER_RATE_MESSAGE = "Rate limit reached for gpt-4o-mini on requests per min. Please try again in 20s."


def find_model(emulator: Emulator, name: str) -> ModelRecord | None:
    """Return a model of the workspace; one with a known fault exists when it is asked for."""
    record = emulator.models.get(name)
    if record is None and _find_fault(name) is not None:
        return ModelRecord(name=name)
    return record


def fault_response(emulator: Emulator, name: str, request: Request) -> Response | None:
    """Return how a model with a fault answers; None for a sound model."""
    fault = _passing_fault(emulator, name) or _find_fault(name)
    return None if fault is None else fault(request)


def _passing_fault(emulator: Emulator, name: str) -> Fault | None:
    """Return how `fault-first-N-KIND` answers this time: N times as `fault-KIND` does, and soundly from then on."""
    match = _PASSING.fullmatch(name)
    if match is None:
        return None
    emulator.faults_shown[name] += 1
    return FAULTS[f"fault-{match[2]}"] if emulator.faults_shown[name] <= int(match[1]) else _completion


def _find_fault(name: str) -> Fault | None:
    if name in FAULTS:
        return FAULTS[name]
    passing = _PASSING.fullmatch(name)
    if passing is not None:
        return FAULTS.get(f"fault-{passing[2]}")
    for pattern, response in _NUMBERED_FAULTS:
        match = pattern.fullmatch(name)
        if match is not None:
            return partial(response, int(match[1]))
    return None


def _completion(_request: Request) -> Response:
    return JSONResponse(_COMPLETION)


def _refusal(error: RefusedError) -> Response:
    return error.response


def _edge(code: EdgeCode, message: str, *, dispatched: bool = False) -> Fault:
    return lambda _request: _refusal(edge_error(code, message, dispatched=dispatched))


def _rate_limited(_request: Request) -> Response:
    message = "The workspace's rate limit is used up."
    return _refusal(edge_error("RATE_LIMIT_EXCEEDED", message, headers={"Retry-After": "7"}))


def _limited_for(seconds: int) -> Fault:
    headers = {"Retry-After": str(seconds)}
    return lambda _request: _refusal(edge_error("RATE_LIMIT_EXCEEDED", "A limit is used up.", headers=headers))


def _rate_limited_in_body(_request: Request) -> Response:
    return _refusal(edge_error("RATE_LIMIT_EXCEEDED", "A policy's limit is used up.", extra={"retry_after": 7}))


def _provider_key(_request: Request) -> Response:
    return _refusal(openai_error(401, _PROVIDER_KEY_MESSAGE, code="invalid_api_key"))


def _provider_rate(_request: Request) -> Response:
    return _refusal(openai_error(429, _PROVIDER_RATE_MESSAGE, kind="requests", code="rate_limit_exceeded"))


def _provider_failure(_request: Request) -> Response:
    return _refusal(openai_error(500, "The server had an error while processing your request.", kind="server_error"))


def _html(title: str, status: int) -> Fault:
    return lambda _request: HTMLResponse(_HTML.format(title=title), status, headers={"Server": "CloudFront"})


def _redirect(request: Request) -> Response:
    """Point to the same emulator under another host name: another origin that would notice a visit."""
    host = "localhost" if request.url.hostname != "localhost" else "127.0.0.1"
    return RedirectResponse(f"http://{host}:{request.url.port}/elsewhere", 307)


def _redirect_to_itself(request: Request) -> Response:
    return RedirectResponse(str(request.url), 307)


def _echo_headers(request: Request) -> Response:
    return JSONResponse({"headers": dict(request.headers)})


def _json_bytes(content: bytes, status: int = 200) -> Fault:
    return lambda _request: Response(content, status, media_type="application/json")


def _png(_request: Request) -> Response:
    """Answer with a red picture of one pixel (PNG specification, section 5)."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    chunks = (_png_chunk(b"IHDR", header), _png_chunk(b"IDAT", pixels), _png_chunk(b"IEND", b""))
    return Response(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), media_type="image/png")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _slow(seconds: int, _request: Request) -> Response:
    return SlowResponse(JSONResponse(_COMPLETION), seconds)


def _sized(response: Callable[[int], Response]) -> Callable[[int, Request], Response]:
    return lambda size, _request: response(size)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "fault-201": _json_bytes(_COMPLETION_BYTES, 201),
        "fault-204": lambda _request: Response(status_code=204),
        "fault-401": _edge("AUTHENTICATION_FAILED", "The API key or access token is not known."),
        "fault-401-provider": _provider_key,
        "fault-402": _edge("USAGE_LIMIT_EXCEEDED", "The plan's quota is used up."),
        "fault-403": _edge("FORBIDDEN", "The credentials' role does not allow this."),
        "fault-403-text": lambda _request: PlainTextResponse("Endpoint not allowed on sandbox model", 403),
        "fault-404": _edge("WORKLOAD_NOT_FOUND", "The workspace has no model of this name."),
        "fault-404-unavailable": _edge("WORKLOAD_UNAVAILABLE", "The model is not deployed or not enabled."),
        "fault-413": _edge("REQUEST_ENTITY_TOO_LARGE", "The request body is too large."),
        "fault-429": _rate_limited,
        "fault-429-body": _rate_limited_in_body,
        "fault-429-long": _limited_for(3600),
        "fault-429-short": _limited_for(1),
        "fault-429-none": _edge("RATE_LIMIT_EXCEEDED", "A policy's limit is used up."),
        "fault-429-provider": _provider_rate,
        "fault-500": _edge("GATEWAY_INTERNAL_ERROR", "The gateway failed.", dispatched=True),
        "fault-500-provider": _provider_failure,
        "fault-503-loading": _json_bytes(b'{"error": "Model is currently loading", "estimated_time": 20.5}', 503),
        "fault-503-authentication": _edge("AUTHENTICATION_UNAVAILABLE", "Credentials cannot be checked at the moment."),
        "fault-502-empty": lambda _request: Response(status_code=502),
        "fault-array": _json_bytes(b'[{"label": "POSITIVE", "score": 0.9}, [1, 2], null]'),
        "fault-drip": lambda _request: dripping(),
        "fault-drop": lambda _request: DroppedResponse(),
        "fault-echo-headers": _echo_headers,
        "fault-error-endless": lambda _request: endless_error(),
        "fault-headers": lambda _request: long_headers(),
        "fault-invalid-utf8": _json_bytes(b'{"output": "caf\xe9"}'),
        "fault-nan": _json_bytes(b'{"score": NaN}'),
        "fault-redirect-loop": _redirect_to_itself,
        "fault-stream-endless": lambda _request: endless_stream(),
        "fault-stream-endless-line": lambda _request: endless_line(),
        "fault-empty-200": _json_bytes(b""),
        "fault-gzip": lambda _request: gzipped(_COMPLETION_BYTES),
        "fault-gzip-bomb": lambda _request: gzip_bomb(),
        "fault-html-200": _html("Welcome", 200),
        "fault-html-504": _html("504 Gateway Timeout ERROR", 504),
        "fault-not-dispatched": _edge("ROUTING_UNAVAILABLE", "No route to the model at the moment."),
        "fault-not-json": _json_bytes(b'{"choices": [{"index": 0, "message": '),
        "fault-numbers": _json_bytes(_NUMBERS),
        "fault-png": _png,
        "fault-redirect": _redirect,
        "fault-stream-slow": lambda _request: slow_stream(),
        "fault-stream-cut": lambda _request: cut_stream(),
        "fault-text": lambda _request: PlainTextResponse("Just a sentence."),
        "fault-truncated": lambda _request: TruncatedResponse(_COMPLETION_BYTES),
        "fault-truncated-gzip": lambda _request: truncated_gzip(_COMPLETION_BYTES),
    }
)
"""How each model with a fault answers, whatever it is asked."""

_PASSING = re.compile(r"fault-first-(\d{1,3})-([a-z0-9-]+)")

_NUMBERED_FAULTS: tuple[tuple[re.Pattern[str], Callable[[int, Request], Response]], ...] = (
    (re.compile(r"fault-slow-(\d{1,4})s"), _slow),
    (re.compile(r"fault-flood-(\d{1,4})"), _sized(flood)),
    (re.compile(r"fault-gzip-bomb-(\d{1,5})"), _sized(gzip_bomb)),
    (re.compile(r"fault-values-(\d{1,4})"), _sized(many_values)),
    (re.compile(r"fault-deep-(\d{1,7})"), _sized(deep)),
    (re.compile(r"fault-stream-event-(\d{1,4})"), _sized(long_event)),
    (re.compile(r"fault-stream-tiny-(\d{1,4})"), _sized(many_events)),
)
"""Faults with a figure in the name: seconds to wait, MiB to send, levels of nesting, thousands of events."""
