"""What a model is shown of the server, as a page that people can read and a test can compare."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CALL_ID = re.compile(r"call_[A-Za-z0-9_-]{22}")
_CHANGING = (
    (re.compile(r'("created(?:_at)?":)\d+'), r"\g<1>0"),
    (re.compile(r"Wall time: [\d.]+ seconds"), "Wall time: N seconds"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"~/\S+(\.[a-z0-9]+)"), r"~/FILE\g<1>"),
    # How small a picture is packed is the packer's business.
    (re.compile(r"(image/png, )[\d,]+ bytes"), r"\g<1>N bytes"),
)
"""What is another time another, and what is written in its place."""

_PREFACE = """\
Made by `tests/clients/test_transcripts.py` from a run of the client itself; ids, times, ports and base64 are replaced.
`UPDATE_SNAPSHOTS=1` writes it anew."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]{200,}={0,2}")


@dataclass(frozen=True, slots=True)
class Round:
    """One call of a model, and what it came to.

    Attributes:
        why: What it is to show.
        tool: The tool's name in our server.
        arguments: Of the call.
        failed: Whether the model sees it as failed.
        blocks: What the model is shown, as its API was given it.
    """

    why: str
    tool: str
    arguments: dict[str, Any]
    failed: bool
    blocks: Sequence[dict[str, Any]]


def page(client: str, instructions: str, tools: Sequence[dict[str, Any]], rounds: Sequence[Round]) -> str:
    """The page on one client, in Markdown.

    Args:
        client: The client's name.
        instructions: Where the model is shown the server's.
        tools: The definitions of the tools, as the model's API was given them.
        rounds: The calls that the model made.
    """
    parts = [
        f"# What a model sees through {client}",
        _PREFACE,
        f"The server's instructions are in {instructions}.",
        "## The tools",
        *(_definition(tool) for tool in sorted(tools, key=lambda tool: str(tool["name"]))),
        "## The calls",
        *(_text_of(round_) for round_ in rounds),
    ]
    return "\n\n".join(parts) + "\n"


def normalised(text: str, home: str) -> str:
    """A page without what differs from run to run."""
    text = text.replace(home, "~")
    numbers: dict[str, str] = {}
    text = _CALL_ID.sub(lambda found: numbers.setdefault(found[0], f"call_{len(numbers) + 1}"), text)
    for pattern, replacement in _CHANGING:
        text = pattern.sub(replacement, text)
    return _BASE64.sub("BASE64", text)


def _definition(tool: dict[str, Any]) -> str:
    schema = tool.get("input_schema") or tool.get("parameters")
    return f"### {tool['name']}\n\n{tool['description']}\n\n```json\n{json.dumps(schema, indent=1)}\n```"


def _text_of(round_: Round) -> str:
    arguments = json.dumps(round_.arguments, ensure_ascii=False)
    outcome = "It is shown, as a failure:" if round_.failed else "It is shown:"
    blocks = "\n\n".join(_block(block) for block in round_.blocks)
    return f"### {round_.why}\n\nIt calls `{round_.tool}`:\n\n```json\n{arguments}\n```\n\n{outcome}\n\n{blocks}"


def _block(block: dict[str, Any]) -> str:
    """Text as it is; of anything else all but its bytes."""
    if isinstance(block.get("text"), str):
        return f"```text\n{block['text']}\n```"
    return f"```json\n{json.dumps(block, ensure_ascii=False)}\n```"
