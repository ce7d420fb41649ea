"""Builds the URL of a model: its base endpoint and the sub-endpoint below it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from blaxel_mcp.client.url_paths import path_problem
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError, UpstreamError
from blaxel_mcp.core.hosts import is_internal, is_loopback
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.schema import Settings

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

EndpointStyle = Literal["classic", "mk3", "own", "forced"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model's base endpoint.

    Attributes:
        base: Its URL, without a trailing slash.
        style: `classic` is the workspace's gateway; `mk3` is a model's own gateway, which serves OpenAI's API below
            `/v1`; `own` is the URL in the record of any other model; `forced` is the URL in the settings.
    """

    base: str
    style: EndpointStyle


@lru_cache(maxsize=1024)
def check_model_name(name: str) -> str:
    """Return a model API's name; raises InvalidArgumentsError if it cannot be part of a URL."""
    return _checked_name(name, "model")


def _checked_name(name: str, kind: str) -> str:
    if _NAME.fullmatch(name) and name not in {".", ".."}:
        return name
    raise InvalidArgumentsError(
        f"{literal(name)} cannot be the name of a {kind}.",
        hint="A name has 1 to 128 letters, digits, '.', '_' or '-'; the Blaxel console shows it.",
    )


@lru_cache(maxsize=1024)
def classic_base(run_url: str, workspace: str, model: str) -> str:
    """Return a model's base URL at the gateway (Blaxel docs, Query-a-model); raises InvalidArgumentsError."""
    return f"{run_url.rstrip('/')}/{_checked_name(workspace, 'workspace')}/models/{check_model_name(model)}"


def resolve_base(
    settings: Settings,
    *,
    workspace: str,
    model: str,
    forced_url: str | None = None,
    generation: str | None = None,
    own_url: str | None = None,
) -> Endpoint:
    """Return a model's base endpoint.

    `forced_url`, the `url` of the model's entry in the settings, takes precedence over everything. The generation (None
    if unknown) and `own_url` are those in the model's record: Blaxel's TypeScript SDK sends `mk3` models to their own
    URL and all others to the gateway.

    Raises:
        InvalidArgumentsError: A name cannot be part of a URL.
        BlaxelError: The model's record has no URL, or an unsafe one.
    """
    classic = classic_base(settings.run_url, workspace, model)
    if forced_url:
        return Endpoint(forced_url.rstrip("/"), "forced")
    if settings.url_source == "run":
        return Endpoint(classic, "classic")
    if generation == "mk3":
        return Endpoint(_mk3_base(own_url, model, settings), "mk3")
    if settings.url_source == "metadata" and own_url:
        return Endpoint(_checked_own_url(own_url, model, settings), "own")
    return Endpoint(classic, "classic")


def _mk3_base(own_url: str | None, model: str, settings: Settings) -> str:
    if not own_url:
        raise BlaxelError(
            f"The model {model!r} is an mk3 model, but its record in Blaxel has no URL.",
            code="configuration_error",
            origin="blaxel",
            hint="It may still be deploying: check its status in the Blaxel console, or set `url` in its "
            "[[models]] entry.",
        )
    base = _checked_own_url(own_url, model, settings)
    # Only of the path: a host may be called v1.
    return base.removesuffix("/v1") if urlsplit(base).path else base


def _checked_own_url(url: str, model: str, settings: Settings) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(" \\@?#")
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or ""))
    # A remote control plane must not send the key to an address that only this machine or its network can reach.
    own = [urlsplit(base) for base in (settings.api_url, settings.run_url)]
    is_own = any((parts.scheme, parts.netloc) == (base.scheme, base.netloc) for base in own)
    is_reachable = is_own or is_loopback(own[0].hostname or "") or not is_internal(host or "")
    if host and is_plain and is_secure and is_reachable and not path_problem(parts.path):
        return url.rstrip("/")
    raise UpstreamError(
        f"The URL in the record of the model {model!r} is not safe to call.",
        code="bad_response",
        origin="blaxel",
        hint="It must be an https URL of a public host, without user name, query or fragment. Set `url` in the model's "
        "[[models]] entry, or url_source = 'run', to use another URL.",
    )


@lru_cache(maxsize=256)
def endpoint_url(endpoint: Endpoint, path: str, query: str = "") -> str:
    """Return the URL of a sub-endpoint, from its path and query as `split_path` returned them.

    An mk3 endpoint serves everything below `/v1`, which is added if the path lacks it.

    Raises:
        InvalidArgumentsError: The joined URL does not parse into the same parts, or leaves the base.
    """
    if endpoint.style == "mk3" and path != "/v1" and not path.startswith("/v1/"):
        path = f"/v1{path}"
    base = endpoint.base.rstrip("/")
    url = f"{base}{path}" + (f"?{query}" if query else "")
    joined, below = urlsplit(url), urlsplit(base)
    same_origin = (joined.scheme, joined.netloc) == (below.scheme, below.netloc)
    same_parts = (joined.path, joined.query, joined.fragment) == (below.path + path, query, "")
    if same_origin and same_parts and path[:1] in {"", "/"} and not {".", ".."} & set(path.split("/")):
        return url
    raise InvalidArgumentsError(
        f"The path {literal(path)} does not stay below the model's endpoint.",
        hint="Use a plain path such as '/v1/chat/completions'.",
    )
