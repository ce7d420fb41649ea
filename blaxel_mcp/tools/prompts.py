"""The MCP prompts: starting points that a person picks, for a second opinion, a comparison and a picture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import mcp_types as types
from mcp.shared.exceptions import MCPError

from blaxel_mcp.core.redaction import literal
from blaxel_mcp.core.suggestions import closest

_MAX_COMPLETIONS = 100
"""The maximum number of values in a completion (MCP specification, completion)."""

_MAX_TYPED_CHARS = 10_000
"""A longer text is not completed: each value would repeat it."""

_MAX_CHARS = 1_000_000
"""The maximum length of a prompt's arguments; copying more would delay other requests."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A prompt with a required argument, its `subject`, and an optional one that names models of one of `apis`.

    `text` are the instructions for the agent, with `{subject}` and `{models}`; `any_model` stands for no `{models}`.
    """

    description: str
    subject: tuple[str, str]
    model: str
    apis: frozenset[str]
    text: str
    any_model: str


_CHAT = frozenset({"chat-completions", "responses", "messages", "generate-content", "cohere-chat"})

_PROMPTS: Mapping[str, _Prompt] = {
    "second_opinion": _Prompt(
        "Ask another model the same question, and weigh its answer against your own.",
        ("question", "The question, or the statement to check."),
        "model",
        _CHAT,
        "Answer this yourself first:\n\n{subject}\n\nThen put the same question to {models} through its Blaxel tool, "
        "without your own answer in it. Say where the two answers differ, which is better supported, and why.",
        "a Blaxel model that suits the question",
    ),
    "compare": _Prompt(
        "Put one question to several models, and compare their answers.",
        ("question", "The question."),
        "models",
        _CHAT,
        "Put this question, unchanged, to {models} through their Blaxel tools:\n\n{subject}\n\nShow the answers in a "
        "table with the time, the tokens and the cost of each from its receipt, then say how they differ.",
        "two or three different Blaxel models",
    ),
    "illustrate": _Prompt(
        "Make a picture of something.",
        ("subject", "What the picture shows."),
        "model",
        frozenset({"images"}),
        "Write a detailed description of a picture of this:\n\n{subject}\n\nThen have {models} make it through its "
        "Blaxel tool, and show me the picture.",
        "a Blaxel model for images",
    ),
}


async def list_prompts(_: object, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    """Return the prompts."""
    prompts = [
        types.Prompt(
            name=name,
            description=prompt.description,
            arguments=[
                types.PromptArgument(name=prompt.subject[0], description=prompt.subject[1], required=True),
                types.PromptArgument(name=prompt.model, description="By name. Default: the agent chooses."),
            ],
        )
        for name, prompt in _PROMPTS.items()
    ]
    return types.ListPromptsResult(prompts=prompts)


async def get_prompt(_: object, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    """Return a prompt with its arguments filled in.

    Raises:
        MCPError: There is no such prompt, a required argument is missing (MCP specification, prompts), or the arguments
            are too long.
    """
    prompt = _PROMPTS.get(params.name)
    if prompt is None:
        guess = closest(params.name, _PROMPTS)
        raise _invalid(f"Unknown prompt: {literal(params.name)}." + (f" Did you mean {guess!r}?" if guess else ""))
    arguments = params.arguments or {}
    if (length := sum(map(len, arguments.values()))) > _MAX_CHARS:
        raise _invalid(f"The arguments of a prompt have at most {_MAX_CHARS} characters, not {length}. Shorten them.")
    subject = arguments.get(prompt.subject[0], "").strip()
    if not subject:
        raise _invalid(f"The prompt {params.name!r} needs the argument {prompt.subject[0]!r}.")
    # The person's text goes in last, so that braces in it stay as they are.
    text = prompt.text.replace("{models}", arguments.get(prompt.model, "").strip() or prompt.any_model)
    message = types.TextContent(type="text", text=text.replace("{subject}", subject))
    return types.GetPromptResult(
        description=prompt.description, messages=[types.PromptMessage(role="user", content=message)]
    )


def model_values(prompt: str, argument: str, typed: str, models: Sequence[tuple[str, str]]) -> types.Completion:
    """Return the models that complete an argument of a prompt: in a list of models, its last one.

    `models` has the name and the API of each model.
    """
    its_prompt = _PROMPTS.get(prompt)
    if its_prompt is None or argument != its_prompt.model:
        return completion_of((), typed)
    others, comma, last = typed.rpartition(",") if argument == "models" else ("", "", typed)
    names = (name for name, api in models if api in its_prompt.apis)
    return completion_of(names, last.strip(), before=f"{others}{comma} " if comma else "")


def completion_of(names: Iterable[str], typed: str, *, before: str = "") -> types.Completion:
    """Return the names that begin with the typed text, in any case of letters, each after what is written before it."""
    begun = typed.casefold()
    if len(before) + len(begun) > _MAX_TYPED_CHARS:
        names = ()
    matching = sorted({name for name in names if name.casefold().startswith(begun)})
    values = [f"{before}{name}" for name in matching[:_MAX_COMPLETIONS]]
    return types.Completion(values=values, total=len(matching), has_more=len(values) < len(matching))


def _invalid(message: str) -> MCPError:
    return MCPError(code=types.INVALID_PARAMS, message=message)
