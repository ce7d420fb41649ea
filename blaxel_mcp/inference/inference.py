"""Run one call of a model: look the model up, prepare the request, wait for a slot, send it, read the answer."""

from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread

from blaxel_mcp.budget.prices import ModelPrice, configured_price, expect_table_price, table_price
from blaxel_mcp.budget.usage import MAX_CHARS_PER_TOKEN, Usage, plausible_usage, read_usage
from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.client.request import APIResponse
from blaxel_mcp.client.trace import deadline
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.json_text import is_small
from blaxel_mcp.core.logs import call_id
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.answer_stream import AnswerStream
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, check_answer, read_answer, written_characters
from blaxel_mcp.inference.consent import agree
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.files import FileReader
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.prepare import PreparedRequest, prepare, resolve_route
from blaxel_mcp.inference.retry import RetryClock, retry_delay
from blaxel_mcp.inference.spending import ReservedCall, Spending
from blaxel_mcp.settings.schema import Settings

_UNSIGNED = (
    "sent without credentials: the URL is neither at run_url or api_url nor the model's own URL in the control plane"
)

_SHORT_CHARS = 1000
"""Characters of an answer beyond its text, such as names and ids: an answer is checked for its length above this."""

_LABEL_CHARS = 200
"""An answer with less text and without usage may come from a model that knows no tokens."""

_READ_INLINE_BYTES = 1024 * 1024
"""A larger answer is parsed and measured in a thread: it may take seconds."""


class Inference:
    """Sends invocations to the inference endpoint."""

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
        call_id.set(context.call_id)
        model = invocation.settings
        own_deadline = invocation.timeout_seconds or (model and model.timeout_seconds)
        with deadline(own_deadline or self._settings.limits.timeout_seconds, context.trace):
            prepared = await self.expect(invocation, context)
            if context.asker and self._spending.asks:
                await agree(self._spending, context, context.asker)
            async with (
                self._limits.slot(context, model.max_concurrency if model else None),
                self._spending.reserve(context) as call,
            ):
                if context.before_sending:
                    await context.before_sending()
                answer = await self._send(prepared, call, idempotent=bool(model and model.idempotent))
                # The answer is here, so a deadline that passes now must not lose it.
                with anyio.CancelScope(shield=True):
                    await self._account(answer, prepared, invocation, context)
                return answer

    async def expect(self, invocation: Invocation, context: CallContext, *, is_priced: bool = False) -> PreparedRequest:
        """Prepare the request of an invocation, and estimate its usage. Only the control plane is called.

        The context is filled in; `is_priced` looks the price up even if no cap depends on it.

        Raises:
            BlaxelError: The call cannot be made.
        """
        model = invocation.settings
        context.model = check_model_name(invocation.model)
        check_access(self._settings.access, invocation.model)
        context.workspace = workspace = (model and model.workspace) or self._settings.workspace
        if workspace is None:
            raise ConfigurationError(
                "No Blaxel workspace is set, so the model has no address.",
                hint="Set BL_WORKSPACE in the server's environment, or `workspace` in the settings file, "
                "or run `bl login WORKSPACE`.",
            )
        prepared = context.prepared = await self._prepare(invocation, context, workspace)
        if prepared.settings and prepared.settings.price:
            context.price = configured_price(prepared.settings.price)
        elif is_priced or self._spending.budget.limits_money(prepared.settings):
            context.price = await self._table_price(context)
        elif self._settings.prices == "table" and context.record and context.record.runtime_type:
            expect_table_price(context.record.runtime_type)
        context.settings, expected = prepared.settings, prepared.estimate
        context.expected = replace(expected, price=context.price) if context.price else expected
        return prepared

    async def _account(
        self, answer: Answer, prepared: PreparedRequest, invocation: Invocation, context: CallContext
    ) -> None:
        """Set the usage and the cost of an answered call in its context."""
        if context.earlier_attempt_billed:
            context.notes.append("an attempt before the one that was answered may have been billed too")
        measure = partial(_usage_of, answer, context, prepared)
        is_short = isinstance(answer, BinaryAnswer) or len(answer.text) <= _READ_INLINE_BYTES
        context.usage = measure() if is_short else await anyio.to_thread.run_sync(measure)
        context.price = context.price or await self._table_price(context, answer)
        if context.price is None and context.record is None and invocation.settings and invocation.settings.price:
            # The request then probably has the provider's name of this model.
            context.price = configured_price(invocation.settings.price)
        if context.price:
            context.cost_usd = context.price.usd(context.usage or Usage())

    async def _table_price(self, context: CallContext, answer: Answer | None = None) -> ModelPrice | None:
        """Return the price of a model in the price table; None if it has none, or if the settings exclude it.

        The name of a deployment of Azure's is in no table, but its answers name the model.
        """
        record, named = context.record, context.prepared and context.prepared.model
        if self._settings.prices == "configured" or record is None:
            return None
        model = record.provider_model if named == context.model else named
        price = await anyio.to_thread.run_sync(table_price, record.runtime_type, model)
        answered = answer.value if isinstance(answer, JSONAnswer) else None
        if price or not isinstance(answered, dict) or not isinstance(answered.get("model"), str):
            return price
        return await anyio.to_thread.run_sync(table_price, record.runtime_type, answered["model"])

    async def _prepare(self, invocation: Invocation, context: CallContext, workspace: str) -> PreparedRequest:
        lookup = await self._control_plane.find(workspace, invocation.model)
        context.record = record = lookup.record
        if lookup.problem:
            source = "the model's last known record" if record else "local settings"
            context.notes.append(f"{lookup.problem}; using {source}")
        route = resolve_route(invocation, self._settings, record, workspace=workspace)
        if record and record.url:
            self._client.auth.trust(record.url)
        payload, api = invocation.arguments, invocation.api
        if payload is None:
            # Of the bodies of `run_model`, only those of multipart APIs have a field for a path.
            payload, api = invocation.body, route.api if route.api and route.api.multipart else None
        if api and isinstance(payload, dict) and not payload.keys().isdisjoint(api.file_arguments):
            payload = await self._files.load(payload, api.file_arguments)
        mode = (invocation.settings and invocation.settings.stream) or self._settings.tools.stream
        stream = mode == "always" or (mode == "auto" and context.progress.wanted)
        compose = partial(prepare, invocation, route, payload, self._settings, stream=stream)
        prepared = compose() if is_small(payload) else await anyio.to_thread.run_sync(compose)
        context.repairs += prepared.repairs
        if prepared.model != invocation.model:
            context.notes.append(f"the request names the model {literal(prepared.model)}, and the call counts for it")
        if not self._client.auth.is_trusted(prepared.request.url):
            context.notes.append(_UNSIGNED)
        return prepared

    async def _send(self, prepared: PreparedRequest, call: ReservedCall, *, idempotent: bool) -> Answer:
        """Send the request, and retry it where that is safe, until the deadline."""
        context, auth = call.context, self._client.auth
        while True:
            api = prepared.route.api
            stream = context.stream = AnswerStream(
                api.name if api else None,
                prepared.route.path,
                context.progress,
                auth.redact,
                auth.partial_secret_length,
                writes=prepared.writes,
                expected=prepared.may_stream,
            )
            request = context.attempts.begin(prepared) if context.attempts else prepared.request
            try:
                response = await self._client.send(request, trace=context.trace, listen=stream.listen)
                return await self._read(response, stream, prepared, context)
            except BlaxelError as error:
                if stream.is_complete and error.origin == "network":
                    # Only the connection ended badly.
                    response = APIResponse(status=context.trace.status or 0, headers=context.trace.headers, body=b"")
                    return await self._read(response, stream, prepared, context)
                if context.attempts:
                    context.attempts.end(error)
                delay = retry_delay(
                    error,
                    attempts=context.retries + 1,
                    idempotent=idempotent,
                    remaining_seconds=anyio.current_effective_deadline() - anyio.current_time(),
                    jitter=self._clock.jitter(),
                )
                if delay is None:
                    raise
                await self._wait_to_retry(error, delay, call)

    async def _read(
        self, response: APIResponse, stream: AnswerStream, prepared: PreparedRequest, context: CallContext
    ) -> Answer:
        """Return the answer in a response, or raise an UpstreamError if it is incomplete, unreadable or an error."""
        api = prepared.route.api.name if prepared.route.api else None
        status, body, request_id = response.status, response.body, context.trace.request_id
        if stream.is_stream or b"\n" in body:
            stream.finish()
        if stream.is_stream:
            answer: Answer = stream.answer(status)
        else:
            read = partial(read_answer, status, response.headers, body, request_id, api)
            is_short = len(body) <= _READ_INLINE_BYTES
            # All of it is here: see `run`.
            with anyio.CancelScope(shield=True):
                answer = read() if is_short else await anyio.to_thread.run_sync(read)
        check_answer(answer, api, prepared.route.path, status, request_id, redact=self._client.auth.redact)
        return answer

    async def _wait_to_retry(self, error: BlaxelError, delay: float, call: ReservedCall) -> None:
        context = call.context
        if error.billed != "no":
            try:
                await self._spending.count_attempt(call)
            except BlaxelError:
                # Without the figures, which callers who share the budget are not shown.
                context.notes.append("not retried: the budget does not allow another attempt")
                raise error from None
        context.retries += 1
        context.earlier_attempt_billed = context.earlier_attempt_billed or error.billed != "no"
        context.trace.sent = context.earlier_attempt_billed
        context.notes.append(f"retried after {delay:.1f} seconds: {error.message}")
        context.progress.set_status(f"{error.message} Retrying in {delay:.1f} seconds (attempt {context.retries + 1}).")
        await self._clock.sleep(delay)
        context.progress.set_status("")


def _usage_of(answer: Answer, context: CallContext, prepared: PreparedRequest) -> Usage | None:
    """Return the reported usage, or an estimate if it is missing or far too low for the text."""
    # Either may name the provider's model.
    model = f"{context.record.provider_model if context.record else None} {prepared.route.path}"
    usage = read_usage(answer.value, model) if isinstance(answer, JSONAnswer) else None
    output = (usage and usage.output_tokens) or 0
    length = 0 if isinstance(answer, BinaryAnswer) else len(answer.text)
    if not prepared.writes or (output and length <= _SHORT_CHARS + output * MAX_CHARS_PER_TOKEN):
        return usage
    stream, api = context.stream, prepared.route.api
    characters = stream.characters if stream and stream.is_stream else written_characters(answer, api)
    if usage is None and not (api and api.streams) and characters < _LABEL_CHARS:
        return None
    return plausible_usage(usage, characters, input_tokens=prepared.estimate.input_tokens)
