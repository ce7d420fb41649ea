"""Compose the request of a call: its route, its body, its headers. Pure functions; nothing is sent or read here.

Everything that shows or sends a request composes it here: the tools, `run`, `doctor` and the guide of a model.
"""

from dataclasses import dataclass
from typing import Any

from blaxel_mcp.apis import CHAT_COMPLETIONS, RAW, ModelAPI, api_at
from blaxel_mcp.apis.base import Encoded
from blaxel_mcp.budget.caps import Estimate, estimate
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.catalog.runtime_types import model_path
from blaxel_mcp.client.endpoints import Endpoint, endpoint_url, resolve_base
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.body import with_defaults, with_locked, with_model
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.settings.schema import Settings

_REPORTS_USAGE = frozenset({"openai", "azure-openai-service"})
"""Runtime types whose streams report usage on request; others have been seen to reject `stream_options`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a call goes.

    Attributes:
        endpoint: The model's base endpoint.
        path: The sub-endpoint; empty for the base endpoint itself.
        query: The query that the path carries, URL-encoded.
        api: The API that answers there; None if it is not known.
        record: The control plane's record of the model, if there is one.
        is_mk3: Whether an mk3 gateway answers, which goes by Blaxel's name of the model.
        workspace: The model's workspace.
    """

    endpoint: Endpoint
    path: str
    query: str
    api: ModelAPI | None
    record: ModelRecord | None
    is_mk3: bool
    workspace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request that is ready to be sent.

    Attributes:
        request: The request itself.
        route: Where it goes.
        body: Its body before encoding; None if it has none.
        estimate: The tokens that the call is expected to take.
        repairs: One sentence per value of the caller's that was replaced.
    """

    request: APIRequest
    route: Route
    body: Any
    estimate: Estimate
    repairs: tuple[str, ...] = ()


def resolve_route(invocation: Invocation, settings: Settings, record: ModelRecord | None, *, workspace: str) -> Route:
    """Decide where a call goes.

    Raises:
        BlaxelError: The settings do not allow the path, the path or a name cannot stand in a URL, the endpoint is not
            known, or the record has no URL that can be called.
    """
    path, query = split_path(_path(invocation, record))
    check_access(settings.access, invocation.model, path)
    endpoint = resolve_base(
        settings,
        workspace=workspace,
        model=invocation.model,
        forced_url=invocation.settings.url if invocation.settings else None,
        generation=record.generation if record else None,
        own_url=record.url if record else None,
    )
    is_mk3 = endpoint.style == "mk3" or bool(endpoint.style == "forced" and record and record.generation == "mk3")
    api = invocation.api or api_at(path)
    return Route(endpoint=endpoint, path=path, query=query, api=api, record=record, is_mk3=is_mk3, workspace=workspace)


def _path(invocation: Invocation, record: ModelRecord | None) -> str:
    """Return the path asked for, else the entry's, else that of the model's type, else the base endpoint."""
    asked = invocation.own_path if invocation.path is None else invocation.path
    if asked is not None:
        return asked
    if invocation.api is None:
        return (record and model_path(record)) or ""
    own = invocation.api.endpoint_path(record.provider_model if record else None)
    if own is None:
        raise ConfigurationError(
            f"The path of the model {invocation.model!r} contains the provider's id of the model, which is not known.",
            hint="Set the complete `path` in the model's [[models]] entry.",
        )
    return own


def compose_body(invocation: Invocation, route: Route, given: Any) -> tuple[Any, list[str]]:
    """Return the body with defaults, locked fields and the model's name, and a sentence per replaced value.

    Args:
        invocation: The call.
        route: Where it goes.
        given: The arguments of the model's tool, or the body; its files are loaded.

    Raises:
        InvalidArgumentsError: The arguments contradict each other, or the API needs more.
    """
    has_arguments = invocation.api is not None and invocation.arguments is not None
    body = invocation.api.body(given) if invocation.api and has_arguments else given
    if not isinstance(body, dict):
        return body, []
    repairs: list[str] = []
    if invocation.settings:
        if invocation.settings.defaults and invocation.path in (None, invocation.own_path):
            body = with_defaults(body, invocation.settings.defaults)
        if invocation.settings.locked:
            body, repairs = with_locked(body, invocation.settings.locked)
    if route.api and route.api.takes_model:
        provider_model = route.record.provider_model if route.record else None
        body, renamed = with_model(body, name=invocation.model, provider_model=provider_model, mk3=route.is_mk3)
        repairs += renamed
    if invocation.api:
        invocation.api.check(body)
    return body, repairs


def prepare(invocation: Invocation, route: Route, given: Any, *, stream: bool) -> PreparedRequest:
    """Compose the request of a call.

    Args:
        invocation: The call.
        route: Where it goes.
        given: The arguments or the body, files loaded.
        stream: Whether to ask for a stream of events, if the API can and the caller did not decide it.

    Raises:
        InvalidArgumentsError: The body is incomplete, contradicts itself, or cannot be written as JSON.
    """
    body, repairs = compose_body(invocation, route, given)
    api, path, query = route.api or RAW, route.path, route.query
    writes_text = route.api is None or api is RAW or api.streams
    expected = estimate(body, writes=invocation.method == "POST" and writes_text)
    if stream and api.streams and isinstance(body, dict) and "stream" not in body and invocation.method == "POST":
        path, query, body = _streamed(route, api, body)
    content = _encoded(body, api)
    content_type = {"Content-Type": content.content_type} if content else {}
    own_headers = invocation.settings.headers if invocation.settings else {}
    request = APIRequest(
        method=invocation.method,
        url=endpoint_url(route.endpoint, path, "&".join(filter(None, (query, invocation.query)))),
        workspace=route.workspace,
        content=content.content if content else None,
        headers={**api.headers, "Accept": api.accept, **content_type, **own_headers},
    )
    return PreparedRequest(request=request, route=route, body=body, estimate=expected, repairs=tuple(repairs))


def _streamed(route: Route, api: ModelAPI, body: JSONObject) -> tuple[str, str, JSONObject]:
    """Return path, query and body that ask for the answer as a stream, with its usage where that is safe."""
    path, body = api.streamed(f"{route.path}?{route.query}" if route.query else route.path, body)
    reports_usage = route.is_mk3 or bool(route.record and route.record.runtime_type in _REPORTS_USAGE)
    if api is CHAT_COMPLETIONS and reports_usage:
        body = {"stream_options": {"include_usage": True}, **body}
    return (*split_path(path), body)


def _encoded(body: Any, api: ModelAPI) -> Encoded | None:
    if body is None:
        return None
    try:
        return api.encode(body)
    except ValueError:
        raise InvalidArgumentsError(
            "The body contains a value that JSON cannot represent: NaN, an infinite number or half a surrogate pair.",
            hint="Replace that value and call again; nothing was sent.",
        ) from None
