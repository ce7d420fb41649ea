"""Models that fail on purpose, in a way that their name states: `fault-429`, `fault-slow-3s`."""

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from blaxel_mcp.emulator.apis.images import png
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
)
from blaxel_mcp.emulator.platform.errors import edge_error, openai_error
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.emulator.platform.state import Emulator

Fault = Callable[[Request], Response]

_COMPLETION = {
    "id": "chatcmpl-fault",
    "object": "chat.completion",
    "created": 1_787_000_000,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Here at last."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
}
_COMPLETION_BYTES = json.dumps(_COMPLETION).encode()

_NUMBERS = (
    '{"zeta": 9007199254740993, "alpha": -0.0, "big": 123456789012345678901234567890, "small": 1e-7, '
    '"tenth": 0.1, "one": 1.0, "text": "Zoë \N{GRINNING FACE}"}'
).encode()
"""Numbers that a careless parser rounds, in an order that a careless parser sorts."""

_HTML_PAGE = "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"


def find_model(emulator: Emulator, name: str) -> EmulatedModel | None:
    """Return a model of the workspace, or None; a model with a known fault exists without being listed."""
    record = emulator.models.get(name)
    if record is None and _find_fault(name) is not None:
        return EmulatedModel(name=name)
    return record


def fault_response(emulator: Emulator, name: str, request: Request) -> Response | None:
    """Return the response of a model with a fault; None for a model without one.

    The model `fault-first-N-KIND` shows `fault-KIND` for its first N calls, then answers normally.
    """
    fault = _find_fault(name)
    passing = _PASSING.fullmatch(name)
    if passing is not None:
        emulator.faults_shown[name] += 1
        if emulator.faults_shown[name] > int(passing[1]):
            return JSONResponse(_COMPLETION)
    return None if fault is None else fault(request)


def fault_names() -> list[str]:
    """Return the name of each model with a fault; N is a number, and KIND the end of another name."""
    numbered = (re.sub(r"\(.*?\)", "N", pattern.pattern) for pattern, _ in _NUMBERED_FAULTS)
    return [*sorted({*FAULTS, *numbered}), "fault-first-N-KIND"]


def _find_fault(name: str) -> Fault | None:
    if name in FAULTS:
        return FAULTS[name]
    passing = _PASSING.fullmatch(name)
    if passing is not None:
        return FAULTS.get(f"fault-{passing[2]}")
    for pattern, response in _NUMBERED_FAULTS:
        match = pattern.fullmatch(name)
        if match is not None:
            number = int(match[1])
            return lambda _request: response(number)
    return None


def _edge(
    code: str, message: str, *, dispatched: bool = False, retry_after: int | None = None, in_body: bool = False
) -> Fault:
    """Refuse as the platform does; `retry_after` in seconds goes into the header or into the body."""
    headers = {} if retry_after is None or in_body else {"Retry-After": str(retry_after)}
    extra = {"retry_after": retry_after} if in_body else {}
    return lambda _request: edge_error(code, message, dispatched=dispatched, headers=headers, extra=extra).response


def _provider(status: int, message: str, *, code: str | None = None, kind: str = "invalid_request_error") -> Fault:
    return lambda _request: openai_error(status, message, code=code, kind=kind).response


def _html(title: str, status: int) -> Fault:
    return lambda _request: HTMLResponse(_HTML_PAGE.format(title=title), status, headers={"Server": "CloudFront"})


def _json_bytes(content: bytes, status: int = 200) -> Fault:
    return lambda _request: Response(content, status, media_type="application/json")


def _redirect(request: Request) -> Response:
    """Redirect to the same emulator under another host name: another origin, which would record a visit."""
    host = "localhost" if request.url.hostname != "localhost" else "127.0.0.1"
    return RedirectResponse(f"http://{host}:{request.url.port}/elsewhere", 307)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "fault-201": _json_bytes(_COMPLETION_BYTES, 201),
        "fault-204": lambda _request: Response(status_code=204),
        "fault-401": _edge("AUTHENTICATION_FAILED", "The API key or access token is not known."),
        "fault-401-provider": _provider(
            401, "Incorrect API key provided: sk-emulator0123456789abcdefghijklmnop.", code="invalid_api_key"
        ),
        "fault-402": _edge("USAGE_LIMIT_EXCEEDED", "The plan's quota is used up."),
        "fault-403": _edge("FORBIDDEN", "The credentials' role does not allow this."),
        "fault-403-text": lambda _request: PlainTextResponse("Endpoint not allowed on sandbox model", 403),
        "fault-404": _edge("WORKLOAD_NOT_FOUND", "The workspace has no model of this name."),
        "fault-404-unavailable": _edge("WORKLOAD_UNAVAILABLE", "The model is not deployed or not enabled."),
        "fault-413": _edge("REQUEST_ENTITY_TOO_LARGE", "The request body is too large."),
        "fault-429": _edge("RATE_LIMIT_EXCEEDED", "The workspace's rate limit is used up.", retry_after=7),
        "fault-429-body": _edge("RATE_LIMIT_EXCEEDED", "A policy's limit is used up.", retry_after=7, in_body=True),
        "fault-429-long": _edge("RATE_LIMIT_EXCEEDED", "A limit is used up.", retry_after=3600),
        "fault-429-short": _edge("RATE_LIMIT_EXCEEDED", "A limit is used up.", retry_after=1),
        "fault-429-none": _edge("RATE_LIMIT_EXCEEDED", "A policy's limit is used up."),
        "fault-429-provider": _provider(
            429,
            "Rate limit reached for gpt-4o-mini on requests per min. Please try again in 20s.",
            code="rate_limit_exceeded",
            kind="requests",
        ),
        "fault-500": _edge("GATEWAY_INTERNAL_ERROR", "The gateway failed.", dispatched=True),
        "fault-500-provider": _provider(
            500, "The server had an error while processing your request.", kind="server_error"
        ),
        "fault-503-loading": _json_bytes(b'{"error": "Model is currently loading", "estimated_time": 20.5}', 503),
        "fault-503-authentication": _edge("AUTHENTICATION_UNAVAILABLE", "Credentials cannot be checked at the moment."),
        "fault-502-empty": lambda _request: Response(status_code=502),
        "fault-array": _json_bytes(b'[{"label": "POSITIVE", "score": 0.9}, [1, 2], null]'),
        "fault-drip": lambda _request: dripping(),
        "fault-drop": lambda _request: DroppedResponse(),
        "fault-echo-headers": lambda request: JSONResponse({"headers": dict(request.headers)}),
        "fault-error-endless": lambda _request: endless_error(),
        "fault-headers": lambda _request: long_headers(),
        "fault-invalid-utf8": _json_bytes(b'{"output": "caf\xe9"}'),
        "fault-nan": _json_bytes(b'{"score": NaN}'),
        "fault-redirect-loop": lambda request: RedirectResponse(str(request.url), 307),
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
        "fault-png": lambda _request: Response(png(1, 1, b"\x00\xff\x00\x00"), media_type="image/png"),
        "fault-redirect": _redirect,
        "fault-stream-slow": lambda _request: slow_stream(),
        "fault-stream-cut": lambda _request: cut_stream(),
        "fault-text": lambda _request: PlainTextResponse("Just a sentence."),
        "fault-truncated": lambda _request: TruncatedResponse(_COMPLETION_BYTES),
        "fault-truncated-gzip": lambda _request: gzipped(_COMPLETION_BYTES, share=0.5),
    }
)
"""The response of each model with a fault, to any request."""

_PASSING = re.compile(r"fault-first-(\d{1,3})-([a-z0-9-]+)")

_NUMBERED_FAULTS: tuple[tuple[re.Pattern[str], Callable[[int], Response]], ...] = (
    (re.compile(r"fault-slow-(\d{1,4})s"), lambda seconds: SlowResponse(JSONResponse(_COMPLETION), seconds)),
    (re.compile(r"fault-flood-(\d{1,4})"), flood),
    (re.compile(r"fault-gzip-bomb-(\d{1,5})"), gzip_bomb),
    (re.compile(r"fault-values-(\d{1,4})"), many_values),
    (re.compile(r"fault-deep-(\d{1,7})"), deep),
    (re.compile(r"fault-stream-event-(\d{1,4})"), long_event),
    (re.compile(r"fault-stream-tiny-(\d{1,4})"), many_events),
)
"""Faults with a number in the name: seconds to wait, MiB to send, levels of nesting, thousands of events."""
