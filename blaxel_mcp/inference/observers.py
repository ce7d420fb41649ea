"""Model calls with observers of their begin and end: the audit file, spans and metrics."""

import logging
import re
from collections.abc import Sequence
from typing import Any, Protocol

import anyio

from blaxel_mcp.core.exceptions import Billed, BlaxelError
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.answers import Answer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.invocation import Invocation

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")

Outcome = Answer | BaseException
"""How a call ended: with an answer, with a `BlaxelError`, or cancelled."""


class CallObserver(Protocol):
    """Sees the calls of one runtime."""

    async def begin(self, context: CallContext) -> None:
        """See a call that is about to begin, or refuse it by a BlaxelError."""

    async def end(self, context: CallContext, outcome: Outcome) -> None:
        """See a call that has ended, even if `begin` refused it. An exception is logged and costs no answer."""


class ObservedInference(Inference):
    """Calls models, and notifies observers of each call, the outermost first."""

    observers: Sequence[CallObserver] = ()

    async def run(self, invocation: Invocation, context: CallContext) -> Answer:
        """Do as `Inference.run` does."""
        outcome: Outcome | None = None
        try:
            for observer in self.observers:
                await observer.begin(context)
            outcome = answer = await super().run(invocation, context)
        except BaseException as error:
            outcome = error
            raise
        finally:
            assert outcome is not None
            with anyio.CancelScope(shield=True):
                for observer in reversed(self.observers):
                    try:
                        await observer.end(context, outcome)
                    except Exception:
                        # The answer is paid for.
                        logger.exception("call %s was not recorded completely", context.call_id)
        return answer


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
