"""One call of a model: where it goes, what it carries, what came back."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread

from blaxel_mcp.apis import CHAT_COMPLETIONS, RAW, ModelAPI, api_at
from blaxel_mcp.budget.caps import estimate
from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.catalog.runtime_types import model_path
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.endpoints import Endpoint, check_model_name, endpoint_url, resolve_base
from blaxel_mcp.client.request import APIRequest, deadline
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.answer_stream import AnswerStream
from blaxel_mcp.inference.answers import Answer, JSONAnswer, read_answer
from blaxel_mcp.inference.body import encoded, with_defaults, with_locked, with_model
from blaxel_mcp.inference.files import FileReader
from blaxel_mcp.inference.hints import tell_record
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.inference.retry import RetryClock, send_with_retries
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.schema import ModelSettings, Settings

_UNSIGNED = (
    "sent without credentials: its URL is neither at run_url, nor at api_url, nor the model's own according "
    "to the control plane"
)


_READ_INLINE_BYTES = 1024 * 1024
"""Taking more than this apart is left to a thread: it may last for seconds."""

_TELLS_USAGE = frozenset({"openai", "azure-openai-service"})
"""Types whose streams end in the usage when asked to; others have been seen to refuse the question."""


class Inference:
    """Sends invocations to the inference endpoint.

    Args:
        client: Signs and sends.
        control_plane: Says where a model lives and what its provider calls it.
        settings: Base URLs, access rules and limits.
        spending: Holds the calls to their budget, and counts them.
        limits: Gives the calls their turns.
        backoff: How waits between attempts pass.
    """

    def __init__(
        self,
        client: APIClient,
        control_plane: ControlPlane,
        settings: Settings,
        spending: Spending,
        *,
        limits: CallLimits,
        backoff: RetryClock,
    ) -> None:
        self._client = client
        self._control_plane = control_plane
        self._settings = settings
        self._spending = spending
        self._backoff = backoff
        self._limits = limits
        self._files = FileReader(settings.files)

    async def run(self, invocation: Invocation, receipt: Receipt) -> Answer:
        """Send one invocation and give back what came of it; `receipt` is filled in on the way.

        Raises:
            BlaxelError: nothing was sent, or the call failed; its fields tell which.
        """
        model = invocation.settings
        receipt.model = check_model_name(invocation.model)
        check_access(self._settings.access, invocation.model)
        receipt.workspace = workspace = self._workspace(model)
        own_limit = invocation.timeout_seconds or (model and model.timeout_seconds)
        seconds = own_limit or self._settings.limits.timeout_seconds
        streams: list[AnswerStream] = []
        try:
            with deadline(seconds, receipt.trace):
                request = await self._request(invocation, receipt, workspace)
                return await self._in_turn(request, invocation, receipt, streams)
        except BlaxelError as error:
            tell_record(error, receipt.record)
            if streams:
                streams[-1].keep_part(error)
            raise

    async def _in_turn(
        self, request: APIRequest, invocation: Invocation, receipt: Receipt, streams: list[AnswerStream]
    ) -> Answer:
        """Send the request when it is its turn and fits the budget; each attempt adds its stream."""
        model = invocation.settings
        most = model.max_concurrency if model else None
        async with (
            self._limits.turn(request.workspace, invocation.model, most, receipt.live.announce),
            self._spending.of(receipt, model, receipt.expected),
        ):
            answer = await send_with_retries(
                partial(self._answer, request, receipt, streams),
                trace=receipt.trace,
                idempotent=bool(model and model.idempotent),
                announce=receipt.live.announce,
                note=receipt.notes.append,
                means=self._backoff,
            )
            if isinstance(answer, JSONAnswer):
                receipt.charge(answer.value, model.price if model else None)
            return answer

    async def _answer(self, request: APIRequest, receipt: Receipt, streams: list[AnswerStream]) -> Answer:
        api = receipt.api.name if receipt.api else None
        auth = self._client.auth
        stream = AnswerStream(api, urlsplit(request.url).path, receipt.live, auth.redact, auth.begun_in)
        streams.append(stream)
        response = await self._client.send(request, trace=receipt.trace, listen=stream.listen)
        if stream.found:
            return stream.answer(response.status)
        read = partial(
            read_answer, response.status, response.headers, response.body, request_id=receipt.trace.request_id
        )
        if len(response.body) <= _READ_INLINE_BYTES:
            return read()
        return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)

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
        receipt.record = lookup.record
        if lookup.problem:
            instead = "what was known before" if lookup.record else "the settings alone"
            receipt.notes.append(f"{lookup.problem}; the call went by {instead}")
        path, query = split_path(_path(invocation, lookup.record))
        check_access(self._settings.access, invocation.model, path)
        receipt.api = api = invocation.api or api_at(path)
        endpoint = self._endpoint(invocation, lookup.record, workspace)
        mk3 = _is_mk3(endpoint, lookup.record)
        body = await self._body(invocation, api, receipt, mk3=mk3, record=lookup.record)
        receipt.expected = estimate(body, writes=invocation.method == "POST" and _writes(api))
        if self._is_streamed(invocation, api, body, receipt):
            path, query, body = _streamed(api or RAW, path, query, body, lookup.record, mk3=mk3)
        url = endpoint_url(endpoint, path, "&".join(part for part in (query, invocation.query) if part))
        receipt.method, receipt.url = invocation.method, scrub(url)
        if not self._client.auth.is_trusted(url):
            receipt.notes.append(_UNSIGNED)
        return _api_request(invocation, url, workspace, body, api or RAW)

    def _is_streamed(self, invocation: Invocation, api: ModelAPI | None, body: Any, receipt: Receipt) -> bool:
        if not (api and api.streams and isinstance(body, dict)) or "stream" in body or invocation.method != "POST":
            return False
        kind = (invocation.settings and invocation.settings.stream) or self._settings.tools.stream
        return kind == "always" or (kind == "auto" and receipt.live.wanted)

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

    async def _body(
        self, invocation: Invocation, api: ModelAPI | None, receipt: Receipt, *, mk3: bool, record: ModelRecord | None
    ) -> Any:
        """The body with everything filled in; the receipt tells which of the caller's values gave way."""
        body = await self._given_body(invocation, api)
        if not isinstance(body, dict):
            return body
        if invocation.settings:
            if invocation.path in (None, invocation.own_path):
                body = with_defaults(body, invocation.settings.defaults)
            body, told = with_locked(body, invocation.settings.locked)
            receipt.repairs += told
        if api and api.takes_model:
            provider_model = record.provider_model if record else None
            body, told = with_model(body, name=invocation.model, provider_model=provider_model, mk3=mk3)
            receipt.repairs += told
        if invocation.api:
            invocation.api.check(body)
        return body

    async def _given_body(self, invocation: Invocation, api: ModelAPI | None) -> Any:
        if invocation.api and invocation.arguments is not None:
            loaded = await self._files.load(invocation.arguments, invocation.api.file_arguments)
            return invocation.api.body(loaded)
        if api and api.multipart and isinstance(invocation.body, dict):
            return await self._files.load(invocation.body, api.file_arguments)
        return invocation.body


def _streamed(
    api: ModelAPI, path: str, query: str, body: JSONObject, record: ModelRecord | None, *, mk3: bool
) -> tuple[str, str, JSONObject]:
    """The path, the query and the body that ask for the answer as a stream, with its usage where that is safe."""
    path, body = api.streamed(f"{path}?{query}" if query else path, body)
    if api is CHAT_COMPLETIONS and (mk3 or (record and record.runtime_type in _TELLS_USAGE)):
        body = {"stream_options": {"include_usage": True}, **body}
    return (*split_path(path), body)


def _api_request(invocation: Invocation, url: str, workspace: str, body: Any, api: ModelAPI) -> APIRequest:
    content = encoded(body, api)
    return APIRequest(
        method=invocation.method,
        url=url,
        workspace=workspace,
        content=content.content if content else None,
        headers={**api.headers, "Accept": api.accept, **({"Content-Type": content.content_type} if content else {})},
    )


def _writes(api: ModelAPI | None) -> bool:
    """Whether a model at such an endpoint may write text; at an unknown one it may."""
    return api is None or api is RAW or api.streams


def _is_mk3(endpoint: Endpoint, record: ModelRecord | None) -> bool:
    return endpoint.style == "mk3" or bool(endpoint.style == "forced" and record and record.generation == "mk3")


def _path(invocation: Invocation, record: ModelRecord | None) -> str:
    """The path as asked for, else the entry's, else the one of the model's type, else the base endpoint."""
    asked = invocation.own_path if invocation.path is None else invocation.path
    if asked is not None:
        return asked
    if invocation.api:
        own = invocation.api.endpoint_path(record.provider_model if record else None)
        if own is None:
            raise ConfigurationError(
                f"The path of the model {invocation.model!r} names the provider's id of it, which is not known.",
                hint="Give the whole path as `path` in the model's [[models]] entry.",
            )
        return own
    if record is None:
        return ""
    return model_path(record) or ""
