"""Ask the person behind a client whether an expensive call may be sent, by elicitation in either protocol era."""

from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.consent import Asker, Reply, SpendingQuestion

_MODERN = "2026-07-28"
"""From this version on, a server asks by its result, and the client repeats the request with the answer."""

_KEY = "consent"

Context = ServerRequestContext[Any, Any]

Agreed = dict[tuple[str, bool], float]
"""By model, and whether the price is known: the highest estimate that a person has agreed to, in USD or in tokens."""


@dataclass(eq=False)
class InputRequiredError(Exception):
    """A call that goes on when the client repeats the request with a person's answer to the question in `result`."""

    result: types.InputRequiredResult


def consent_asker(
    context: Context, params: types.CallToolRequestParams, agreed: Agreed | None, *, shows_budget: bool
) -> Asker:
    """Return a function that asks the person behind a request, whose parameters may have the answer.

    It raises `InputRequiredError` if the client has to repeat the request, and updates `agreed`, what the person has
    agreed to in this session; None where callers have no session of their own.
    """

    async def ask(question: SpendingQuestion) -> Reply:
        kind, estimate = (question.model, question.usd is not None), _estimate(question)
        if agreed is not None and estimate <= agreed.get(kind, -1.0):
            return "session"
        capabilities = context.session.client_capabilities
        elicitation = capabilities.elicitation if capabilities else None
        # Elicitation without a mode means forms.
        if elicitation is None or (elicitation.form is None and elicitation.url is not None):
            return "nobody"
        form = _form(question, remembers=agreed is not None, shows_budget=shows_budget)
        if context.protocol_version >= _MODERN:
            answer = _answer_in(params, question)
            if answer is None:
                requests: dict[str, Any] = {_KEY: types.ElicitRequest(params=form)}
                state = json_text.dump([*kind, estimate])
                raise InputRequiredError(types.InputRequiredResult(input_requests=requests, request_state=state))
        else:
            try:
                schema = form.requested_schema
                answer = await context.session.elicit_form(form.message, schema, context.request_id)
            except MCPError:
                # The client cannot show the question, or its connection has no way back.
                return "nobody"
        if answer.action != "accept":
            return "declined" if answer.action == "decline" else "cancelled"
        if agreed is not None and (answer.content or {}).get("remember") is True:
            agreed[kind] = estimate
        return "person"

    return ask


def _form(question: SpendingQuestion, *, remembers: bool, shows_budget: bool) -> types.ElicitRequestFormParams:
    left = _left(question.budget) if shows_budget and question.budget else ""
    text = f"Send this call to {question.model}? It is estimated at {question.estimate}"
    text += "." if question.usd is None else f" ({question.tokens:,} tokens)."
    title = f"Do not ask again in this session for {question.model}, up to this estimate"
    remember = {"remember": {"type": "boolean", "title": title, "default": False}} if remembers else {}
    schema = {"type": "object", "properties": remember}
    return types.ElicitRequestFormParams(message=" ".join(filter(None, (text, left))), requested_schema=schema)


def _left(budget: JSONObject) -> str:
    """Return a sentence on the remaining budget in USD; empty without such a cap."""
    caps = (("of today's budget", budget["all"]), ("of the model's", budget["model"]))
    left = [
        f"${max(usage['usd']['cap'] - usage['usd']['used'], 0):.2f} of ${usage['usd']['cap']:.2f} {whose}"
        for whose, usage in caps
        if usage and usage["usd"]["cap"] is not None
    ]
    return f"{' and '.join(left)} is left." if left else ""


def _answer_in(params: types.CallToolRequestParams, question: SpendingQuestion) -> types.ElicitResult | None:
    """Return the answer to a question that a repeated request brings; None if it brings no answer to this question.

    The state has been sealed by this server. If the estimate has grown since, the answer does not count.
    """
    answer = (params.input_responses or {}).get(_KEY)
    if not isinstance(answer, types.ElicitResult) or not params.request_state:
        return None
    model, is_priced, estimate = json_text.parse(params.request_state)
    is_same = (model, is_priced) == (question.model, question.usd is not None)
    return answer if is_same and _estimate(question) <= estimate else None


def _estimate(question: SpendingQuestion) -> float:
    """Return the estimate in USD, or in tokens without a price."""
    return question.tokens if question.usd is None else question.usd
