"""Model calls with observers of their begin and end: the audit file, spans and metrics.

Without observers, `runtime.build_runtime` leaves all of this out of a call.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any, Protocol

import anyio

from blaxel_mcp.budget.estimates import Estimate
from blaxel_mcp.core.exceptions import Billed, BlaxelError
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.answers import Answer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.prepare import PreparedRequest

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")

Outcome = Answer | BaseException
"""How a call ended: with an answer, with a `BlaxelError`, or cancelled."""


class RunsCalls(Protocol):
    """Sends invocations to the inference endpoint, as `Inference` does."""

    async def run(self, invocation: Invocation, context: CallContext) -> Answer:
        """Send one invocation and return the answer; `context` is filled in on the way.

        Raises:
            BlaxelError: The call failed; the fields say whether anything was sent.
        """

    async def expect(
        self, invocation: Invocation, context: CallContext, *, is_priced: bool = False
    ) -> tuple[PreparedRequest, Estimate]:
        """Prepare the request of an invocation and estimate its usage; nothing is sent to the model.

        Raises:
            BlaxelError: The call cannot be made.
        """


class CallObserver(Protocol):
    """Sees the calls of one runtime."""

    async def begin(self, context: CallContext) -> None:
        """See a call that is about to begin.

        Raises:
            BlaxelError: The call may not begin.
        """

    async def end(self, context: CallContext, outcome: Outcome) -> None:
        """See a call that has ended, even if `begin` refused it. An exception is logged and costs no answer."""


class ObservedCalls:
    """Runs calls, and notifies observers of each.

    Args:
        inner: Runs the calls.
        observers: The observers, the outermost first.
    """

    def __init__(self, inner: RunsCalls, observers: Sequence[CallObserver]) -> None:
        self._inner = inner
        self._observers = observers

    async def run(self, invocation: Invocation, context: CallContext) -> Answer:
        """Do as `RunsCalls` says."""
        outcome: Outcome | None = None
        try:
            for observer in self._observers:
                await observer.begin(context)
            outcome = answer = await self._inner.run(invocation, context)
        except BaseException as error:
            outcome = error
            raise
        finally:
            assert outcome is not None
            with anyio.CancelScope(shield=True):
                for observer in reversed(self._observers):
                    try:
                        await observer.end(context, outcome)
                    except Exception:
                        # The answer is paid for.
                        logger.exception("call %s was not recorded completely", context.call_id)
        return answer

    async def expect(
        self, invocation: Invocation, context: CallContext, *, is_priced: bool = False
    ) -> tuple[PreparedRequest, Estimate]:
        """Do as `RunsCalls` says, unobserved: no call begins."""
        return await self._inner.expect(invocation, context, is_priced=is_priced)


def billed(context: CallContext, outcome: Outcome) -> Billed:
    """Return whether a call was charged for, all of its attempts together."""
    if not isinstance(outcome, BaseException):
        return "yes"
    if isinstance(outcome, BlaxelError):
        return "maybe" if context.earlier_attempt_billed and outcome.billed == "no" else outcome.billed
    return "maybe" if context.trace.sent or context.earlier_attempt_billed else "no"


def name_or_none(text: Any) -> str | None:
    """Return text that has the form of a name, such as a model's or an id; None for anything else, or a credential."""
    return text if isinstance(text, str) and _NAME.fullmatch(text) and scrub(text) == text else None
