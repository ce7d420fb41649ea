"""A person at an MCP client who answers questions, and calls that need consent under `ask_over_usd = 0.5`."""

from dataclasses import dataclass, field
from typing import Any

import mcp_types as types

CHAT = {"name": "house-chat", "api": "chat-completions", "price": {"input": 1000, "output": 1000}}
QUESTION = {"prompt": "What is 6 * 7?", "max_tokens": 1000}
SMALL = {"prompt": "What is 6 * 7?", "max_tokens": 10}


@dataclass
class Person:
    """Answers questions, and remembers them.

    Attributes:
        action: The answer.
        content: What the form is filled in with.
        asked: The questions.
    """

    action: Any = "accept"
    content: dict[str, Any] = field(default_factory=dict)
    asked: list[types.ElicitRequestFormParams] = field(default_factory=list)

    async def answer(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ARG002 - the name is the SDK's
        """Return the answer to a question, as the callback of the SDK's client."""
        assert isinstance(params, types.ElicitRequestFormParams)
        self.asked.append(params)
        return types.ElicitResult(action=self.action, content=self.content if self.action == "accept" else None)
