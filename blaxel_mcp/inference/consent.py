"""A person's consent to a call whose estimate is above `budget.ask_over_usd`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import anyio

from blaxel_mcp.budget.caps import Budget
from blaxel_mcp.budget.figures import NANO
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.limits import BudgetSettings

if TYPE_CHECKING:
    from blaxel_mcp.inference.context import CallContext
    from blaxel_mcp.inference.spending import Spending

ANSWER_SECONDS = 300.0
"""Time for a person's answer, but at most half of the time to the call's deadline."""

Reply = Literal["person", "session", "declined", "cancelled", "nobody"]
"""`person` agreed now, `session`: agreed earlier; `cancelled`: closed the question; `nobody` could be asked."""


@dataclass(frozen=True, slots=True)
class SpendingQuestion:
    """What a person is asked before an expensive call.

    Attributes:
        model: The name of the model that runs, as a sentence shows it.
        usd: The estimated cost in USD; None without a known price.
        tokens: The estimated tokens, input and output together.
        budget: The caps that apply and their usage, as in the receipt.
    """

    model: str
    usd: float | None
    tokens: int
    budget: JSONObject | None = None

    @property
    def estimate(self) -> str:
        """The estimate in words."""
        return f"{self.tokens:,} tokens at an unknown price" if self.usd is None else f"${self.usd:.2f}"


Asker = Callable[[SpendingQuestion], Awaitable[Reply]]


async def agree(spending: "Spending", context: "CallContext", asker: Asker) -> None:
    """Ask a person before a prepared call that is estimated above `ask_over_usd`; the context notes who agreed.

    Raises:
        BlaxelError: The person does not agree, or nobody answers; nothing is sent.
    """
    question = _question(spending.budget, context)
    # A call that the budget refuses anyway needs no question; `Spending.reserve` raises the error.
    if question and await spending.preview(context) is None:
        context.agreed_by = await _consent(replace(question, budget=context.budget), asker, spending.settings)


async def agree_together(spending: "Spending", context: "CallContext", calls: Sequence["CallContext"]) -> None:
    """Ask a person once before several prepared calls: if one of them needs consent, or all together.

    The context is that of the call that makes them; it notes who agreed.

    Raises:
        BlaxelError: The person does not agree, or nobody answers; nothing is sent.
    """
    questions = [_question(spending.budget, call) for call in calls]
    usd = sum(call.expected.nano_usd / NANO for call in calls)
    limit = spending.budget.ask_over_usd(None)
    if context.asker is None or not (any(questions) or (limit is not None and usd > limit)):
        return
    for call in calls:
        # As above: then all of them are refused.
        if await spending.preview(call) is not None:
            return
    together = SpendingQuestion(
        model=", ".join(call.model or "" for call in calls),
        usd=None if any(question and question.usd is None for question in questions) else usd,
        tokens=sum(call.expected.tokens for call in calls),
        budget=calls[0].budget and {**calls[0].budget, "model": None},
    )
    context.agreed_by = await _consent(together, context.asker, spending.settings)


def _question(budget: Budget, context: "CallContext") -> SpendingQuestion | None:
    """Return the question for a prepared call, without its caps; None if it needs no consent.

    A call without a known price needs it, unless `unpriced` allows such calls.
    """
    expected, limit = context.expected, budget.ask_over_usd(context.settings)
    if limit is None:
        return None
    usd = expected.nano_usd / NANO if expected.is_priced else None
    if budget.allows_unpriced(context.settings) if usd is None else usd <= limit:
        return None
    name = context.model or ""
    runs = context.prepared.model if context.prepared else name
    # The request may name another model, in any words: it is a quotation, so that none of them speaks to the person.
    shown = name if runs == name else f"{literal(runs)} through {name}"
    return SpendingQuestion(shown, usd, expected.tokens)


async def _consent(question: SpendingQuestion, asker: Asker, settings: BudgetSettings) -> str:
    """Ask a person, and return who agreed: `person`, `session` or `settings` (`when_nobody_answers = "send"`)."""
    reply: Reply = "nobody"
    remaining = anyio.current_effective_deadline() - anyio.current_time()
    with anyio.move_on_after(min(ANSWER_SECONDS, remaining / 2)):
        reply = await asker(question)
    if reply in ("person", "session"):
        return reply
    about = f"the call of {question.model!r}, estimated at {question.estimate}"
    if reply == "nobody":
        if settings.when_nobody_answers == "send":
            return "settings"
        raise unanswered(about)
    done = "declined" if reply == "declined" else "closed the question about"
    raise BlaxelError(
        f"The person {done} {about}, so it was not sent.",
        code="permission_denied",
        origin="caller",
        hint="Do not call it again unless they ask for it. A smaller call or another model may cost less.",
    )


def unanswered(about: str) -> BlaxelError:
    """Make the error of a call that nobody has agreed to."""
    return BlaxelError(
        f"Nobody agreed to {about}, so it was not sent: it is above budget.ask_over_usd.",
        code="budget_exceeded",
        hint="This client cannot ask a person, or nobody answered. Try a smaller call, or let the owner set "
        'budget.when_nobody_answers = "send" or a higher budget.ask_over_usd.',
    )
