"""Where a model is called: its endpoint's base URL, and the sub-endpoint below it."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from blaxel_mcp.client.url_paths import path_problem
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError, UpstreamError
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.schema import Settings

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

EndpointStyle = Literal["classic", "mk3", "own", "forced"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model's base endpoint.

    Attributes:
        base: Its URL, without a slash at the end.
        style: `classic` is the workspace's gateway; `mk3` is a model's own gateway, which speaks
            OpenAI's API below `/v1`; `own` is the URL that another model's record gives;
            `forced` is the URL that the settings give.
    """

    base: str
    style: EndpointStyle


def check_model_name(name: str) -> str:
    """Return the name of a model API if it can stand in a URL.

    Raises:
        InvalidArgumentsError: It cannot.
    """
    return _checked_name(name, "model")


def check_workspace(name: str) -> str:
    """Return the name of a workspace if it can stand in a URL and in a header.

    Raises:
        InvalidArgumentsError: It cannot.
    """
    return _checked_name(name, "workspace")


def _checked_name(name: str, kind: str) -> str:
    if _NAME.fullmatch(name) and name not in {".", ".."}:
        return name
    raise InvalidArgumentsError(
        f"{literal(name)} cannot be the name of a {kind}.",
        hint="A name is 1 to 128 letters, digits, '.', '_' or '-', as Blaxel's console shows it.",
    )


def join_url(base: str, path: str, query: str = "") -> str:
    """Join a base URL with what `split_path` returned, and prove that the result lies below the base.

    Raises:
        InvalidArgumentsError: The URL would be read in another way than it was put together.
    """
    base = base.rstrip("/")
    url = f"{base}{path}" + (f"?{query}" if query else "")
    joined, below = urlsplit(url), urlsplit(base)
    same_origin = (joined.scheme, joined.netloc) == (below.scheme, below.netloc)
    same_parts = (joined.path, joined.query, joined.fragment) == (below.path + path, query, "")
    if same_origin and same_parts and path[:1] in {"", "/"} and not {".", ".."} & set(path.split("/")):
        return url
    raise InvalidArgumentsError(
        f"The path {literal(path)} does not stay below the model's endpoint.",
        hint="Give a plain path such as '/v1/chat/completions'.",
    )


def classic_base(run_url: str, workspace: str, model: str) -> str:
    """Return a model's base endpoint at the workspace's gateway (Blaxel docs, Query-a-model).

    Raises:
        InvalidArgumentsError: The workspace's or the model's name cannot stand in a URL.
    """
    return f"{run_url.rstrip('/')}/{check_workspace(workspace)}/models/{check_model_name(model)}"


def resolve_base(
    settings: Settings,
    *,
    workspace: str,
    model: str,
    forced_url: str | None = None,
    generation: str | None = None,
    own_url: str | None = None,
) -> Endpoint:
    """Decide where a model is called.

    Args:
        settings: `run_url` and `url_source`.
        workspace: The workspace's name.
        model: The model API's name.
        forced_url: The URL that the model's entry in the settings gives, which beats everything.
        generation: The generation in the model's record, None where it is not known. Blaxel's
            TypeScript SDK sends `mk3` models to their own URL and all others to the gateway.
        own_url: The URL in the model's record.

    Raises:
        InvalidArgumentsError: A name cannot stand in a URL.
        BlaxelError: The record of the model gives no URL, or not one that can be called.
    """
    classic = classic_base(settings.run_url, workspace, model)
    if forced_url:
        return Endpoint(forced_url.rstrip("/"), "forced")
    if settings.url_source == "run":
        return Endpoint(classic, "classic")
    if generation == "mk3":
        return Endpoint(_mk3_base(own_url, model), "mk3")
    if settings.url_source == "metadata" and own_url:
        return Endpoint(_checked_own_url(own_url, model), "own")
    return Endpoint(classic, "classic")


def _mk3_base(own_url: str | None, model: str) -> str:
    if not own_url:
        raise BlaxelError(
            f"The model {model!r} is an mk3 model, and its record in Blaxel gives no URL to call it at.",
            code="configuration_error",
            origin="blaxel",
            hint="It may still be deploying: look at its status in Blaxel's console. A `url` in its "
            "[[models]] entry says where it is.",
        )
    base = _checked_own_url(own_url, model)
    # Of the path alone: a host may be called v1.
    return base.removesuffix("/v1") if urlsplit(base).path else base


def _checked_own_url(url: str, model: str) -> str:
    if _may_be_called(url):
        return url.rstrip("/")
    raise UpstreamError(
        f"The URL in the record of the model {model!r} cannot be called safely.",
        code="bad_response",
        origin="blaxel",
        hint="It has to be an https URL with no user name, query or fragment. A `url` in the model's "
        "[[models]] entry, or url_source = 'run', goes past it.",
    )


def _may_be_called(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(" \\@?#")
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or ""))
    return bool(plain and secure and host) and not path_problem(parts.path)


def endpoint_url(endpoint: Endpoint, path: str, query: str = "") -> str:
    """Return the URL of a sub-endpoint; `path` and `query` are as `split_path` returned them.

    Below an mk3 endpoint everything lies under `/v1`, which is put in where `path` lacks it.

    Raises:
        InvalidArgumentsError: The path does not stay below the endpoint.
    """
    if endpoint.style == "mk3" and path != "/v1" and not path.startswith("/v1/"):
        path = f"/v1{path}"
    return join_url(endpoint.base, path, query)
