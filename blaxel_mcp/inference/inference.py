"""Run one call of a model: look the model up, prepare the request, wait for a slot, send it, read the answer."""

from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.budget.usage import cost_usd, read_usage
from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.client.trace import deadline
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.json_text import is_small
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.answer_stream import AnswerStream
from blaxel_mcp.inference.answers import Answer, JSONAnswer, read_answer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.files import FileReader
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.prepare import PreparedRequest, Route, prepare, resolve_route
from blaxel_mcp.inference.retry import RetryClock, retry_delay
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.schema import ModelSettings, Settings

_UNSIGNED = (
    "sent without credentials: the URL is neither at run_url or api_url nor the model's own URL in the control plane"
)

_READ_INLINE_BYTES = 1024 * 1024
"""A larger answer is parsed in a thread: it may take seconds."""


class Inference:
    """Sends invocations to the inference endpoint.

    Args:
        client: Signs and sends requests.
        control_plane: Looks models up.
        settings: Base URLs, allowlists and limits.
        spending: Reserves each call in the budget and settles it.
        limits: Concurrency and rate limits.
        clock: How the waits between attempts pass.
    """

    def __init__(
        self,
        client: APIClient,
        control_plane: ControlPlane,
        settings: Settings,
        spending: Spending,
        *,
        limits: CallLimits,
        clock: RetryClock,
    ) -> None:
        self._client = client
        self._control_plane = control_plane
        self._settings = settings
        self._spending = spending
        self._clock = clock
        self._limits = limits
        self._files = FileReader(settings.files)

    async def run(self, invocation: Invocation, context: CallContext) -> Answer:
        """Send one invocation and return the answer; `context` is filled in on the way.

        Raises:
            BlaxelError: The call failed; the fields say whether anything was sent.
        """
        model = invocation.settings
        context.model = check_model_name(invocation.model)
        check_access(self._settings.access, invocation.model)
        context.workspace = workspace = self._workspace(model)
        own_deadline = invocation.timeout_seconds or (model and model.timeout_seconds)
        with deadline(own_deadline or self._settings.limits.timeout_seconds, context.trace):
            prepared = context.prepared = await self._prepare(invocation, context, workspace)
            async with (
                self._limits.slot(
                    workspace, invocation.model, model.max_concurrency if model else None, context.progress
                ),
                self._spending.reserve(context, model, prepared.estimate),
            ):
                answer = await self._send(prepared, context, idempotent=bool(model and model.idempotent))
                if context.earlier_attempt_billed:
                    context.notes.append("an attempt before the one that was answered may have been billed too")
                if isinstance(answer, JSONAnswer):
                    context.usage = read_usage(answer.value)
                    if model and (price := model.price):
                        cost = cost_usd(context.usage, input_price=price.input, output_price=price.output)
                        context.cost_usd = cost
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

    async def _prepare(self, invocation: Invocation, context: CallContext, workspace: str) -> PreparedRequest:
        lookup = await self._control_plane.find(workspace, invocation.model)
        context.record = record = lookup.record
        if lookup.problem:
            source = "the model's last known record" if record else "local settings"
            context.notes.append(f"{lookup.problem}; using {source}")
        route = resolve_route(invocation, self._settings, record, workspace=workspace)
        if record and record.url:
            self._client.auth.trust(record.url)
        given = await self._given(invocation, route)
        mode = (invocation.settings and invocation.settings.stream) or self._settings.tools.stream
        stream = mode == "always" or (mode == "auto" and context.progress.wanted)
        compose = partial(prepare, invocation, route, given, stream=stream)
        prepared = compose() if is_small(given) else await anyio.to_thread.run_sync(compose)
        context.repairs += prepared.repairs
        if not self._client.auth.is_trusted(prepared.request.url):
            context.notes.append(_UNSIGNED)
        return prepared

    async def _given(self, invocation: Invocation, route: Route) -> Any:
        """Return the arguments, or else the body, with the files that they name read."""
        given = invocation.body if invocation.arguments is None else invocation.arguments
        # In the body of `run_model`, only multipart APIs have files: other APIs have no field for a path.
        api = (
            invocation.api
            if invocation.arguments is not None
            else route.api
            if route.api and route.api.multipart
            else None
        )
        if api and isinstance(given, dict) and not given.keys().isdisjoint(api.file_arguments):
            return await self._files.load(given, api.file_arguments)
        return given

    async def _send(self, prepared: PreparedRequest, context: CallContext, *, idempotent: bool) -> Answer:
        """Send the request, and again where that is safe, until the deadline around this."""
        while True:
            api, auth = prepared.route.api, self._client.auth
            stream = context.stream = AnswerStream(
                api.name if api else None,
                prepared.route.path,
                context.progress,
                auth.redact,
                auth.partial_secret_length,
            )
            try:
                response = await self._client.send(prepared.request, trace=context.trace, listen=stream.listen)
                if stream.is_stream:
                    return stream.answer(response.status)
                read = partial(read_answer, response.status, response.headers, response.body, context.trace.request_id)
                if len(response.body) <= _READ_INLINE_BYTES:
                    return read()
                return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
            except BlaxelError as error:
                delay = retry_delay(
                    error,
                    attempts=context.retries + 1,
                    idempotent=idempotent,
                    remaining_seconds=anyio.current_effective_deadline() - anyio.current_time(),
                    jitter=self._clock.jitter(),
                )
                if delay is None:
                    raise
                await self._wait_to_retry(error, delay, context)

    async def _wait_to_retry(self, error: BlaxelError, delay: float, context: CallContext) -> None:
        context.retries += 1
        context.earlier_attempt_billed = context.earlier_attempt_billed or error.billed != "no"
        context.trace.sent = context.earlier_attempt_billed
        context.notes.append(f"retried after {delay:.1f} seconds: {error.message}")
        context.progress.set_status(f"{error.message} Retrying in {delay:.1f} seconds (attempt {context.retries + 1}).")
        await self._clock.sleep(delay)
        context.progress.set_status("")
