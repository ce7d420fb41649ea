"""Compose the request of a call: its route, its body, its headers. Pure functions; nothing is sent or read here.

Everything that shows or sends a request composes it here: the tools, `run`, `doctor` and the guide of a model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from blaxel_mcp.apis import CHAT_COMPLETIONS, RAW, ModelAPI, api_at, api_named
from blaxel_mcp.apis.base import Encoded
from blaxel_mcp.apis.streams import has_stream_format
from blaxel_mcp.budget.estimates import Estimate, estimate
from blaxel_mcp.catalog.records import ModelRecord, model_path
from blaxel_mcp.client.endpoints import Endpoint, endpoint_url, resolve_base, split_path
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.field_names import fold
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import shorten
from blaxel_mcp.inference.access import check_access, check_other_models, other_models
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.locks import decoded_fully, enforce_locks
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import Settings

_REPORTS_USAGE = frozenset({"openai", "azure-openai-service"})
"""Runtime types whose streams report usage on request; others have been seen to reject `stream_options`."""


_MAX_NAME_CHARS = 200
"""Length of a model's name that a request brings, in the ledger and in reports: a caller can write anything there."""

_HAS_DEBUG = re.compile(r"(^|&)debug=")

_UNMETERED = re.compile(
    r"/(async)?batch|:(async)?batch|/async|/fine[_-]?tun|/tunedmodels|/videos|/realtime|/threads|/assistants|/evals"
    r"|/containers|/vector_stores|/cachedcontents|:predictlongrunning|/audio/speech|/rerank|/ocr"
)
"""Sub-endpoints whose answers report no tokens: the work is done later or elsewhere, or is not counted in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a call goes.

    Attributes:
        path: The sub-endpoint; empty for the base endpoint itself.
        query: The query, URL-encoded.
        api: The API that answers there; None if it is not known.
        is_mk3: Whether an mk3 gateway answers, which expects Blaxel's name of the model.
        is_own: Whether the path is the model's own, as the settings or its record say.
    """

    endpoint: Endpoint
    path: str
    query: str
    api: ModelAPI | None
    record: ModelRecord | None
    is_mk3: bool
    is_own: bool
    workspace: str


@dataclass(frozen=True, slots=True)
class ComposedBody:
    """A body with all that the settings and the record add to it; its fields are those of the prepared request."""

    body: Any
    model: str
    settings: ModelSettings | None
    repairs: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request that is ready to be sent.

    Attributes:
        body: Its body before encoding; None if it has none.
        model: The model that the request makes run, and that the call counts for.
        settings: That model's `[[models]]` entry, if it is configured.
        estimate: The estimated usage of the call, without a price.
        writes: Whether the answer is text that the model writes.
        may_stream: Whether the answer may be a stream of events of any declared type.
        repairs: One sentence per value of the caller's that was replaced.
    """

    request: APIRequest
    route: Route
    body: Any
    model: str
    settings: ModelSettings | None
    estimate: Estimate
    writes: bool
    may_stream: bool
    repairs: tuple[str, ...] = ()


def resolve_route(invocation: Invocation, settings: Settings, record: ModelRecord | None, *, workspace: str) -> Route:
    """Decide where a call goes.

    Raises:
        BlaxelError: The settings do not allow the path, the path or a name cannot stand in a URL, the endpoint is not
            known, or the record has no URL that can be called.
    """
    asked = invocation.own_path if invocation.path is None else invocation.path
    path, query = split_path(_path_of_type(invocation, record) if asked is None else asked)
    check_access(settings.access, invocation.model, path, invocation.method)
    endpoint = resolve_base(
        settings,
        workspace=workspace,
        model=invocation.model,
        forced_url=invocation.settings.url if invocation.settings else None,
        generation=record.generation if record else None,
        own_url=record.url if record else None,
    )
    is_mk3 = endpoint.style == "mk3" or bool(endpoint.style == "forced" and record and record.generation == "mk3")
    return Route(
        endpoint=endpoint,
        path=path,
        query="&".join(filter(None, (query, invocation.query))),
        api=invocation.api or api_at(path),
        record=record,
        is_mk3=is_mk3,
        is_own=invocation.path in (None, invocation.own_path),
        workspace=workspace,
    )


def _path_of_type(invocation: Invocation, record: ModelRecord | None) -> str:
    """Return the path of the API, else that of the model's type, else the base endpoint."""
    if invocation.api is None:
        return (record and model_path(record)) or ""
    own = invocation.api.endpoint_path(record.provider_model if record else None)
    if own is None:
        raise ConfigurationError(
            f"The path of the model {invocation.model!r} contains the provider's id of the model, which is not known.",
            hint="Set the complete `path` in the model's [[models]] entry.",
        )
    return own


def compose_body(invocation: Invocation, route: Route, payload: Any, settings: Settings) -> ComposedBody:
    """Compose a body with defaults, locked fields and the model's name, and check the models that the request names.

    It is made of the arguments of the model's own tool, or else of the body, with its files loaded.

    Raises:
        InvalidArgumentsError: The arguments contradict each other, or the API needs more.
        BlaxelError: `permission_denied`: a lock cannot be enforced, or the request names a model that it may not.
    """
    own, record, repairs = invocation.settings, route.record, list[str]()
    provider_model = record.provider_model if record else None
    body = invocation.api.body(payload) if invocation.api and invocation.arguments is not None else payload
    if own and own.defaults and isinstance(body, dict) and route.is_own:
        body = with_defaults(body, own.defaults)
    if invocation.api and isinstance(body, dict):
        # Before the locked fields: with a locked system message, no conversation would be empty.
        invocation.api.check({**own.locked, **body} if own else body)
    if own and own.locked:
        body, repairs = _with_locks(own, body, invocation, route)
    if route.api and route.api.takes_model and isinstance(body, dict):
        # An mk3 gateway expects Blaxel's name (Blaxel's TypeScript SDK), a classic one the provider's id.
        name = invocation.model if route.is_mk3 else body.get("model", provider_model)
        if route.is_mk3 and body.get("model", name) != name:
            repairs.append("model was replaced by the Blaxel name, which an mk3 endpoint expects")
        if name is not None:
            body = {"model": name} | body | {"model": name}
    names = {invocation.model, (provider_model or invocation.model).removeprefix("models/")}
    if own:
        names |= {str(fields["model"]) for fields in (own.locked, own.defaults) if "model" in fields}
    path = None if route.is_own else route.path
    others = other_models(names, body=body, path=path, query=route.query, own_path=invocation.own_path)
    if not others:
        return ComposedBody(body, invocation.model, own, repairs)
    check_other_models(settings, invocation.model, others)
    entries = {name: next((entry for entry in settings.models if entry.name == name), None) for name in others}
    for entry in (entry for entry in entries.values() if entry and entry.locked):
        body, more = _with_locks(entry, body, invocation, route)
        repairs += more
    # Of several, one without an entry counts: it has no price.
    model = next((name for name, entry in entries.items() if entry is None), others[0])
    return ComposedBody(body, shorten(model, _MAX_NAME_CHARS), entries[model], repairs)


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


def _with_locks(entry: ModelSettings, body: Any, invocation: Invocation, route: Route) -> tuple[Any, list[str]]:
    """Return the body with the locked fields of a model, as `enforce_locks` does."""
    api = invocation.api or api_named(entry.api or "") or route.api
    return enforce_locks(
        body,
        entry.locked,
        api=api.name if api else None,
        method=invocation.method,
        path=route.path,
        query=route.query,
        is_own_path=route.is_own,
    )


def prepare(invocation: Invocation, route: Route, payload: Any, settings: Settings, *, stream: bool) -> PreparedRequest:
    """Compose the request of a call; its body, and the errors, are those of `compose_body`.

    It asks for a stream of events if `stream` is true, the API can, and the caller did not decide it.

    Raises:
        InvalidArgumentsError: The body cannot be written as JSON.
    """
    composed = compose_body(invocation, route, payload, settings)
    api, path, query, body = route.api or RAW, route.path, route.query, composed.body
    fields = body if isinstance(body, dict) else {}
    writes = body is not None and (api is RAW or api.streams)
    is_later = any(value is True and fold(name) == "background" for name, value in fields.items())
    expected = estimate(body, writes=writes, metered=body is None or (_is_metered(path) and not is_later))
    locked = composed.settings.locked if composed.settings else {}
    is_open = "stream" not in fields and "stream" not in locked
    if stream and api.streams and is_open and isinstance(body, dict) and invocation.method == "POST":
        path, query, body = _streamed(route, api, body)
    content = None if body is None else _encoded(api, body)
    if settings.trace == "always":
        query = _traced(query, route)
    content_type = {"Content-Type": content.content_type} if content else {}
    own_headers = invocation.settings.headers if invocation.settings else {}
    request = APIRequest(
        method=invocation.method,
        url=endpoint_url(route.endpoint, path, query),
        workspace=route.workspace,
        content=content.content if content else None,
        headers={**api.headers, "Accept": api.accept, **content_type, **own_headers},
    )
    return PreparedRequest(
        request=request,
        route=route,
        body=body,
        model=composed.model,
        settings=composed.settings,
        estimate=expected,
        writes=writes,
        may_stream=api is not RAW or has_stream_format(path) or bool(fields.get("stream")),
        repairs=tuple(composed.repairs),
    )


def _encoded(api: ModelAPI, body: Any) -> Encoded:
    try:
        return api.encode(body)
    except ValueError:
        raise InvalidArgumentsError(
            "The body contains a value that JSON cannot represent: NaN, an infinite number or half a surrogate pair.",
            hint="Replace that value and call again; nothing was sent.",
        ) from None


def _traced(query: str, route: Route) -> str:
    """Return the query with which Blaxel keeps the trace of a call, at the gateways that are documented to know it.

    Blaxel's documentation, Observability: a tenth of the requests is traced, and `debug=true` forces it.
    """
    if route.endpoint.style not in ("classic", "own") or _HAS_DEBUG.search(query):
        return query
    return f"{query}&debug=true" if query else "debug=true"


@lru_cache(maxsize=256)
def _is_metered(path: str) -> bool:
    """Return whether the answers at a sub-endpoint can report the tokens that a call takes."""
    return _UNMETERED.search(decoded_fully(path).casefold()) is None


def _streamed(route: Route, api: ModelAPI, body: JSONObject) -> tuple[str, str, JSONObject]:
    """Return path, query and body that ask for the answer as a stream, with its usage where that is safe."""
    path, body = api.streamed(f"{route.path}?{route.query}" if route.query else route.path, body)
    reports_usage = route.is_mk3 or bool(route.record and route.record.runtime_type in _REPORTS_USAGE)
    if api is CHAT_COMPLETIONS and reports_usage:
        body = {"stream_options": {"include_usage": True}, **body}
    return (*split_path(path), body)
