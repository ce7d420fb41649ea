"""A first settings file: what a workspace has, written so that its owner only has to change it.

What stands in it comes from outside, so every value is escaped as TOML, in comments too: a line break in one
would be a line of settings.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from blaxel_mcp.catalog.catalog import build_catalog
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.settings.schema import Settings

KEY_MARK = "#: "
"""Before a key that is not in force; taking it away puts it in force."""

_MAX_TEXT = 500
# TOML takes none of these as they are, and an editor shows none of them.
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_HEAD = """\
# The settings of blaxel-mcp, as `blaxel-mcp init` wrote them. config.example.toml documents every key.
#
# A key after "#: " is not in force: take the "#: " away to set it.
"""

_WORKSPACE = """\
# The workspace whose models are called. BL_WORKSPACE in the environment goes before it.
"""

_CREDENTIALS = """\
# Credentials are looked for in this order: BL_API_KEY or BL_CLIENT_CREDENTIALS in the environment of the server, one
# of the keys below, what `bl login` saved for the workspace. No key has to stand in this file: a command can print it.
#: api_key_command = ["op", "read", "op://Private/Blaxel/key"]
"""

_TAIL = """\
# What may be called at all; globs.
[access]
#: models = ["*"]
#: paths = ["*"]

# What may be spent in a day, by all processes of this user together; days begin at midnight UTC.
[budget]
#: calls_per_day = 500
#: tokens_per_day = 2000000
# Needs a `price` for each model, in USD per million tokens.
#: usd_per_day = 5.0
"""

_DISCOVERY = """\
# The models below have a tool each, and no others. With enabled = true the workspace's other models get one too, and
# so do those that are made later.
[discovery]
#: enabled = true
#: exclude = []
"""

_ALL_DISCOVERED = """\
# As long as no [[models]] stands in this file, every model of the workspace has a tool of its own.
[discovery]
#: exclude = []
"""

_EXAMPLE = """\
# A model that gets a tool of its own. Repeat the table for each of them.
#: [[models]]
#: name = "gpt-4o-mini"
#: api = "chat-completions"
#: description = "A quick second opinion."
#: price = { input = 0.15, output = 0.60 }
#: budget = { calls_per_day = 100 }
"""


@dataclass(frozen=True, slots=True)
class FirstSettings:
    """A settings file, and what became of the models that there are.

    Attributes:
        text: The file.
        listed: The names of the models with an entry in force.
        left_out: The names of those whose entry is not, with the reason.
    """

    text: str
    listed: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def first_settings(workspace: str | None, records: Iterable[ModelRecord] = (), *, missing: str = "") -> FirstSettings:
    """Write a first settings file.

    Args:
        workspace: The workspace; None where none is known.
        records: Its models.
        missing: Why they are not known, in a sentence; empty where they are. Then nothing is put in force.
    """
    states = {record.name: record for record in records}
    # Without what may be otherwise tomorrow, which a description would keep for good.
    lasting = (replace(record, status=None, enabled=True) for record in states.values())
    entries = build_catalog(Settings(workspace=workspace), lasting).entries
    reasons = {
        entry.name: _reason(states[entry.name], index, Settings().tools.max_tools)
        for index, entry in enumerate(entries)
    }
    parts = [_HEAD]
    if missing:
        parts.append(f"# The models of the workspace are not in here. {_plain(missing)}\n")
    mark, name = KEY_MARK if missing else "", toml_string(workspace or "your-workspace")
    parts += [
        f"{_WORKSPACE}{mark}workspace = {name}\n",
        _CREDENTIALS,
        _DISCOVERY if entries else _ALL_DISCOVERED,
        _TAIL,
        *([_entry(entry, states[entry.name], reasons[entry.name]) for entry in entries] or [_EXAMPLE]),
    ]
    return FirstSettings(
        "\n".join(parts),
        tuple(name for name, reason in reasons.items() if not reason),
        tuple((name, reason) for name, reason in reasons.items() if reason),
    )


def _reason(record: ModelRecord, index: int, most: int) -> str:
    """Say why a model's entry is not put in force; empty where it is."""
    if not record.enabled:
        return "it is disabled in Blaxel"
    return f"there are {most} before it, as many as get a tool of their own (tools.max_tools)" if index >= most else ""


def _entry(entry: CatalogEntry, record: ModelRecord, reason: str) -> str:
    facts = (record.display_name, record.runtime_type, record.provider_model, record.generation, record.status)
    about = [record.name, *(fact for fact in dict.fromkeys(facts) if fact and fact != record.name)]
    if record.sandbox:
        about.append("the trial model of a new workspace")
    comments = [f"# {_plain(', '.join(about))}"]
    if reason:
        comments.append(f"# Not in force, since {reason}.")
    keys = {"name": entry.name, "api": entry.api.name, "path": entry.path or None, "description": entry.description}
    lines = ["[[models]]", *(f"{key} = {toml_string(value)}" for key, value in keys.items() if value is not None)]
    mark = KEY_MARK if reason else ""
    return "\n".join([*comments, *(f"{mark}{line}" for line in lines), ""])


def toml_string(text: str) -> str:
    """Write a text as a basic string of TOML, on one line; what no TOML file can hold becomes a question mark."""
    # JSON's escapes are TOML's, all but for what TOML takes even less.
    written = json.dumps(_SURROGATE.sub("?", text[:_MAX_TEXT]), ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _plain(text: str) -> str:
    """A text as it can stand in a comment: on one line, without what TOML does not take there."""
    return toml_string(" ".join(text.split()))[1:-1].replace('\\"', '"')


def left_out_sentence(left_out: Sequence[tuple[str, str]]) -> str:
    """Say which models' entries are not in force, and why."""
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out:
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{len(names)} not in force, since {reason}" for reason, names in reasons.items())
