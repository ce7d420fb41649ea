"""One call of a model: where it goes, what it carries, what came back."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from blaxel_mcp import json_text
from blaxel_mcp.answers import Answer, JSONAnswer, read_answer
from blaxel_mcp.apis import RAW, ModelAPI, api_at
from blaxel_mcp.apis.base import JSONObject
from blaxel_mcp.body import with_defaults, with_locked
from blaxel_mcp.client import APIClient, APIRequest, deadline
from blaxel_mcp.controlplane import ControlPlane, ModelRecord
from blaxel_mcp.endpoints import Endpoint, check_model_name, endpoint_url, resolve_base, split_path
from blaxel_mcp.exceptions import BlaxelError, ConfigurationError, InvalidArgumentsError
from blaxel_mcp.receipt import Receipt
from blaxel_mcp.redaction import scrub
from blaxel_mcp.runtime_types import default_path
from blaxel_mcp.settings import AccessSettings, ModelSettings, Settings

Method = Literal["POST", "GET", "PUT", "PATCH", "DELETE"]

_UNSIGNED = (
    "sent without credentials: its URL is neither at run_url, nor at api_url, nor the model's own according "
    "to the control plane"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a caller asks for.

    Attributes:
        model: The model API's name.
        path: The sub-endpoint, a query included; empty for the base endpoint, None for the model's own.
        own_path: The sub-endpoint that the model's entry names; None leaves it to the model's type.
        api: The API that the body is written for; None for whichever answers at the path.
        body: The request body; None for none.
        method: The HTTP method.
        query: More query parameters, encoded.
        settings: The model's `[[models]]` entry, where it has one.
        timeout_seconds: A deadline for this one call.
    """

    model: str
    path: str | None = None
    own_path: str | None = None
    api: ModelAPI | None = None
    body: Any = None
    method: Method = "POST"
    query: str = ""
    settings: ModelSettings | None = None
    timeout_seconds: float | None = None


class Inference:
    """Sends invocations to the inference endpoint.

    Args:
        client: Signs and sends.
        control_plane: Says where a model lives and what its provider calls it.
        settings: Base URLs, access rules and limits.
    """

    def __init__(self, client: APIClient, control_plane: ControlPlane, settings: Settings) -> None:
        self._client = client
        self._control_plane = control_plane
        self._settings = settings

    async def run(self, invocation: Invocation, receipt: Receipt) -> Answer:
        """Send one invocation and give back what came of it; `receipt` is filled in on the way.

        Raises:
            BlaxelError: nothing was sent, or the call failed; its fields tell which.
        """
        model = invocation.settings
        receipt.model = check_model_name(invocation.model)
        _check_access(self._settings.access, invocation.model)
        receipt.workspace = workspace = self._workspace(model)
        own_limit = invocation.timeout_seconds or (model and model.timeout_seconds)
        seconds = own_limit or self._settings.limits.timeout_seconds
        with deadline(seconds, receipt.trace):
            request = await self._request(invocation, receipt, workspace)
            response = await self._client.send(request, trace=receipt.trace)
        answer = read_answer(response.status, response.headers, response.body, request_id=receipt.trace.request_id)
        if isinstance(answer, JSONAnswer):
            receipt.charge(answer.value, model.price if model else None)
        return answer

    def _workspace(self, model: ModelSettings | None) -> str:
        workspace = (model and model.workspace) or self._settings.workspace
        if workspace is None:
            raise ConfigurationError(
                "No Blaxel workspace is set, so the model has no address.",
                hint="Set BL_WORKSPACE in the server's environment, or `workspace` in the settings file, "
                "or run `bl login WORKSPACE`.",
            )
        return workspace

    async def _request(self, invocation: Invocation, receipt: Receipt, workspace: str) -> APIRequest:
        lookup = await self._control_plane.find(workspace, invocation.model)
        if lookup.problem:
            receipt.notes.append(f"{lookup.problem}; the call went by the settings alone")
        path, query = split_path(_path(invocation, lookup.record))
        _check_access(self._settings.access, invocation.model, path)
        api = invocation.api or api_at(path)
        endpoint = self._endpoint(invocation, lookup.record, workspace)
        body, repairs = _body(invocation, api, endpoint, lookup.record)
        receipt.repairs += repairs
        url = endpoint_url(endpoint, path, "&".join(part for part in (query, invocation.query) if part))
        receipt.method, receipt.url = invocation.method, scrub(url)
        if not self._client.auth.is_trusted(url):
            receipt.notes.append(_UNSIGNED)
        return APIRequest(
            method=invocation.method,
            url=url,
            workspace=workspace,
            content=_encoded(body),
            headers={"Accept": (api or RAW).accept},
        )

    def _endpoint(self, invocation: Invocation, record: ModelRecord | None, workspace: str) -> Endpoint:
        if record and record.url:
            self._client.auth.trust(record.url)
        return resolve_base(
            self._settings,
            workspace=workspace,
            model=invocation.model,
            forced_url=invocation.settings.url if invocation.settings else None,
            generation=record.generation if record else None,
            own_url=record.url if record else None,
        )


def _path(invocation: Invocation, record: ModelRecord | None) -> str:
    """The path as asked for, else the entry's, else the one of the model's type, else the base endpoint."""
    if invocation.path is not None:
        return invocation.path
    if invocation.own_path is not None:
        return invocation.own_path
    if record is None:
        return ""
    own = default_path(record.runtime_type, generation=record.generation, provider_model=record.provider_model)
    return own or ""


def _body(
    invocation: Invocation, api: ModelAPI | None, endpoint: Endpoint, record: ModelRecord | None
) -> tuple[Any, list[str]]:
    """The body with everything filled in, and a sentence for each of the caller's values that gave way."""
    body = invocation.body
    if not isinstance(body, dict):
        return body, []
    repairs: list[str] = []
    if invocation.settings:
        if invocation.path in (None, invocation.own_path):
            body = with_defaults(body, invocation.settings.defaults)
        body, repairs = with_locked(body, invocation.settings.locked)
    if api and api.takes_model:
        body, told = _with_model(body, endpoint, invocation.model, record)
        repairs += told
    if api and invocation.api:
        api.check(body)
    return body, repairs


def _encoded(body: Any) -> bytes | None:
    if body is None:
        return None
    try:
        return json_text.dump(body).encode()
    except ValueError:
        raise InvalidArgumentsError(
            "The body holds something that JSON cannot write: NaN, an infinite number or half of a surrogate pair.",
            hint="Replace it and call again; nothing was sent.",
        ) from None


def _with_model(
    body: JSONObject, endpoint: Endpoint, name: str, record: ModelRecord | None
) -> tuple[JSONObject, list[str]]:
    """Name the model the way its gateway wants it: by the provider's id, or for mk3 by Blaxel's name."""
    if endpoint.style == "mk3" or (endpoint.style == "forced" and record and record.generation == "mk3"):
        given = body.get("model", name)
        told = [] if given == name else ["model was replaced by the Blaxel name, which an mk3 endpoint expects"]
        return {**body, "model": name}, told
    if "model" in body or record is None or record.provider_model is None:
        return body, []
    return {"model": record.provider_model, **body}, []


def _check_access(access: AccessSettings, model: str, path: str | None = None) -> None:
    """Hold a call to the globs of `[access]`.

    Raises:
        BlaxelError: `permission_denied`.
    """
    denied = None
    if not any(fnmatchcase(model, pattern) for pattern in access.models):
        denied = ("model", model, access.models, "models")
    elif path is not None and not any(fnmatchcase(path or "/", pattern) for pattern in access.paths):
        denied = ("path", path or "/", access.paths, "paths")
    if denied:
        kind, value, allowed, key = denied
        raise BlaxelError(
            f"The settings of this server do not allow the {kind} {value!r}.",
            code="permission_denied",
            origin="local",
            hint=f"Allowed is what matches {', '.join(allowed) or 'nothing'}: that is `access.{key}` in the settings.",
        )
