"""The tools of a tenant: their list, and their calls."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.shared.exceptions import MCPError

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.inference.consent import Asker, unanswered
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import PARTIAL_FOLLOWS, cancelled, describe, unexpected
from blaxel_mcp.inference.progress import Progress
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.calls import CallRegistry, CallResult, Report
from blaxel_mcp.tools.consent import InputRequiredError
from blaxel_mcp.tools.handles import detach_seconds, lost_call, running_result
from blaxel_mcp.tools.paid_once import (
    KEY_ARGUMENTS,
    OWN_KEY,
    PaidOnce,
    arguments_digest,
    key_digest,
    key_of,
    other_arguments,
    replayed,
    unreadable_result,
)
from blaxel_mcp.tools.results.results import error_result
from blaxel_mcp.tools.shared_calls import Seen
from blaxel_mcp.tools.store.call_keys import CallKeysError, Claim

logger = logging.getLogger(__name__)

_VALIDATORS = anyio.CapacityLimiter(2)
"""Threads that validate large arguments at the same time: with more, the event loop would wait for each in turn."""

Run = Callable[[JSONObject, CallContext], Awaitable[types.CallToolResult]]
"""Runs a tool with valid arguments."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its definition for the client, and how to validate the arguments and run it.

    Attributes:
        calls_a_model: Whether its calls cost money, and may outlive their requests.
        takes_key: Whether it has the argument `call_key`.
        may_repeat: Returns whether the model that the arguments name is marked `idempotent = true`.
        is_for_apps: Whether only an app that the client shows may see it, and the model never does.
    """

    definition: types.Tool
    validator: ArgumentValidator
    run: Run
    calls_a_model: bool = False
    takes_key: bool = False
    may_repeat: Callable[[Mapping[str, Any]], bool] = lambda _: False
    is_for_apps: bool = False

    @property
    def name(self) -> str:
        """The name that clients call it by."""
        return self.definition.name


def closed_validator(definition: types.Tool, accepted: JSONObject | None = None) -> ArgumentValidator:
    """Return a validator that rejects arguments beyond those of the tool, whose schema `accepted` may widen."""
    schema = {**(accepted or definition.input_schema), "additionalProperties": False}
    return ArgumentValidator(schema, owner=f"The schema of {definition.name}")


class ToolRegistry:
    """The tools of one tenant, in a fixed order.

    Args:
        calls: Runs the model calls.
        once: Makes calls with a key once; `owner` is the caller's id in keys.

    Attributes:
        rejection: The error that every call fails with; None if calls are accepted.
    """

    def __init__(self, calls: CallRegistry, *, once: PaidOnce | None = None, owner: str = "") -> None:
        self._calls = calls
        self._once = once
        self._owner = owner
        self.rejection: BlaxelError | None = None
        self._tools: dict[str, Tool] = {}
        self._settings = Settings()
        self._silent_seconds = 0.0

    def replace(self, tools: Iterable[Tool], settings: Settings) -> None:
        """Use these tools and settings from now on; running calls go on."""
        self._tools = {tool.name: tool for tool in tools}
        self._settings = settings
        self._silent_seconds = detach_seconds(settings)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    @property
    def definitions(self) -> list[types.Tool]:
        """Every tool as `tools/list` shows it to clients without apps."""
        return [tool.definition for tool in self._tools.values() if not tool.is_for_apps]

    @property
    def tools(self) -> list[Tool]:
        """Every tool, those for apps too."""
        return list(self._tools.values())

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        report: Report | None = None,
        client: str = "",
        *,
        sent_key: str | None = None,
        asker: Asker | None = None,
    ) -> CallResult:
        """Call a tool. A failure that the agent can act on is a result that says what to do next.

        `client` is the name that the client gave, and `sent_key` its own id for the call, which it keeps when it
        repeats the call. `report` is there if it asked for progress.

        Raises:
            MCPError: There is no such tool; the specification makes that a protocol error.
        """
        if self.rejection is not None:
            return error_result(self.rejection, CallContext())
        tool = self._tools.get(name)
        if tool is None:
            guess = closest(name, [definition.name for definition in self.definitions])
            message = f"Unknown tool: {literal(name)}." + (f" Did you mean {guess!r}?" if guess else "")
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        context = CallContext(tool=name, client=client, asker=asker, progress=Progress(wanted=report is not None))
        scope, arguments = anyio.CancelScope(), arguments or {}
        if not tool.calls_a_model:
            return await self._run(tool, arguments, context, scope)
        seconds = detach_seconds(self._settings, client, reports=True) if report else self._silent_seconds
        if self._once and (sent_key or tool.takes_key) and (key := await self._key(tool, arguments, sent_key)):
            return await self._call_once(
                self._once, key, tool, arguments, context, scope=scope, report=report, seconds=seconds
            )
        # From here on the call may outlive the request.
        call = self._calls.start(context, scope, self._run(tool, arguments, context, scope))
        if await self._calls.join(call, seconds, report):
            return call.task.result()
        return running_result(call.context, call.seen(), prefix=self._settings.tools.prefix)

    async def _key(self, tool: Tool, arguments: Mapping[str, Any], sent_key: str | None) -> str | None:
        """Return the key of a call; None without one, and for arguments that will be rejected."""
        if tool.takes_key and ("model" not in arguments or not KEY_ARGUMENTS.isdisjoint(arguments)):
            # All of them may be in one string, and `dry_run` may be the word "false".
            try:
                arguments, _ = await anyio.to_thread.run_sync(tool.validator.validate, arguments, limiter=_VALIDATORS)
            except InvalidArgumentsError:
                return None
            return key_of(arguments, sent_key)
        return sent_key and f"client {sent_key}"

    async def _call_once(
        self,
        once: PaidOnce,
        key: str,
        tool: Tool,
        arguments: Mapping[str, Any],
        context: CallContext,
        *,
        scope: anyio.CancelScope,
        report: Report | None,
        seconds: float,
    ) -> CallResult:
        digest = key_digest(self._owner, self._settings.workspace, key)
        if json_text.is_small(arguments):
            content = arguments_digest(tool.name, arguments)
        else:
            content = await anyio.to_thread.run_sync(arguments_digest, tool.name, arguments, limiter=_VALIDATORS)
        earlier = self._calls.keyed(digest, content)
        if earlier is None:
            try:
                again = tool.may_repeat(arguments)
                claim = await once.settled_claim(digest, content, context.call_id, seconds, again=again)
                if claim.state != "new":
                    return self._result_of(claim, has_own_key=key.startswith(OWN_KEY))
            except CallKeysError as error:
                context.notes.append(f"in another process, a repetition of this call would be paid again: {error}")
                # Another request with this key may have started it meanwhile.
                earlier = self._calls.keyed(digest, content)
                if earlier is None:
                    context.before_sending = once.adopt(digest, content, context.call_id)

        async def make_once() -> CallResult:
            result = await self._run(tool, arguments, context, scope)
            with anyio.CancelScope(shield=True):
                await once.finish(digest, context.call_id, result)
            return result

        call = earlier or self._calls.start(context, scope, make_once(), key=(digest, content))
        if not await self._calls.join(call, seconds, report, may_go_on=True):
            return running_result(call.context, call.seen(), prefix=self._settings.tools.prefix)
        result = call.task.result()
        if earlier is None or isinstance(result, types.InputRequiredResult):
            return result
        return replayed(result.model_dump_json(by_alias=True, exclude_none=True))

    def _result_of(self, claim: Claim, *, has_own_key: bool) -> types.CallToolResult:
        context = CallContext(call_id=claim.call_id)
        if claim.state == "other":
            return error_result(other_arguments(claim.call_id), context)
        if claim.state == "running":
            seen = Seen(progress="another process of this server makes the call")
            return running_result(context, seen, prefix=self._settings.tools.prefix, has_own_key=has_own_key)
        if claim.state == "done":
            return replayed(claim.result) if claim.result else error_result(unreadable_result(claim.call_id), context)
        return error_result(lost_call(claim.call_id, Seen()), context)

    async def _run(
        self, tool: Tool, arguments: Mapping[str, Any], context: CallContext, scope: anyio.CancelScope
    ) -> CallResult:
        """Run a tool and return its result, or that of its failure or cancellation."""
        max_chars = self._settings.limits.max_result_chars
        receipt = self._settings.tools.receipt if tool.calls_a_model else "meta"
        with scope:
            try:
                if tool.validator.is_plain and json_text.is_small(arguments):
                    valid, repairs = tool.validator.validate(arguments)
                else:
                    validate = tool.validator.validate
                    valid, repairs = await anyio.to_thread.run_sync(validate, arguments, limiter=_VALIDATORS)
                context.repairs += repairs
                return await tool.run(valid, context)
            except InputRequiredError as pending:
                if self._calls.find(context.call_id) is None:
                    return pending.result
                # The reader of a handle cannot answer questions.
                return error_result(unanswered(f"the call of {context.model!r}"), context, receipt=receipt)
            except BlaxelError as error:
                described = describe(error, context, partial=PARTIAL_FOLLOWS)
                return error_result(described, context, max_chars=max_chars, receipt=receipt)
            except Exception:
                # Left alone, the SDK sends the exception's text to the client, and it may contain a secret.
                logger.exception("call %s of the tool %r failed", context.call_id, tool.name)
                return error_result(unexpected(context), context, receipt=receipt)
        return error_result(cancelled(context), context, max_chars=max_chars, receipt=receipt)
