"""A first settings file, with the models of a workspace.

The models' names and descriptions come from outside, so every value is escaped as TOML, in comments too: a line break
in a value would otherwise start a line of settings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from blaxel_mcp.catalog.catalog import build_catalog
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.install.toml_edit import toml_value

KEY_MARK = "#: "
"""The comment mark of a key that is not set; removing it sets the key."""

_MAX_CHARS = 500

_HEAD = """\
# Settings of blaxel-mcp, written by `blaxel-mcp init`. config.example.toml documents every key.
#
# A key after "#: " is not set: remove the "#: " to set it.
"""

_WORKSPACE = """\
# The workspace whose models are called. BL_WORKSPACE in the environment takes precedence.
"""

_CREDENTIALS = """\
# The first source of credentials wins: BL_API_KEY or BL_CLIENT_CREDENTIALS in the server's environment, then api_key,
# client_credentials or api_key_command in this file, then `bl login`. With api_key_command, no key is in this file.
#: api_key_command = ["op", "read", "op://Private/Blaxel/key"]
"""

_TAIL = """\
# The models and paths that may be called, as glob patterns.
[access]
#: models = ["*"]
#: paths = ["*"]

# Daily caps, shared by all processes of this user. A day begins at midnight UTC.
[budget]
#: calls_per_day = 500
#: tokens_per_day = 2000000
# This cap needs a `price` for each model, in USD per million tokens.
#: usd_per_day = 5.0
"""

_DISCOVERY = """\
# Only the models below get a tool. With enabled = true, so do the workspace's other models, including those created
# later.
[discovery]
#: enabled = true
#: exclude = []
"""

_ALL_DISCOVERED = """\
# As long as this file has no [[models]], each model in the workspace gets its own tool.
[discovery]
#: exclude = []
"""

_EXAMPLE = """\
# A model that gets its own tool. Repeat this table for each model.
#: [[models]]
#: name = "gpt-4o-mini"
#: api = "chat-completions"
#: description = "A quick second opinion."
#: price = { input = 0.15, output = 0.60 }
#: budget = { calls_per_day = 100 }
"""


@dataclass(frozen=True, slots=True)
class FirstSettings:
    """The text of a first settings file, its active models, and those that are commented out, with the reason."""

    text: str
    listed: tuple[str, ...]
    left_out: Mapping[str, str]


def first_settings(workspace: str | None, records: Iterable[ModelRecord] = (), *, empty: bool = False) -> FirstSettings:
    """Return a first settings file; if it is to be `empty`, every key in it is commented out."""
    states = {record.name: record for record in records}
    # Without facts that may soon change, which the description would keep for good.
    lasting = (replace(record, status=None, enabled=True) for record in states.values())
    entries = build_catalog(Settings(workspace=workspace), lasting).entries
    limit, left_out = Settings().tools.max_tools, {}
    for index, entry in enumerate(entries):
        if not states[entry.name].enabled:
            left_out[entry.name] = "disabled in Blaxel"
        elif index >= limit:
            left_out[entry.name] = f"more than {limit} models (tools.max_tools)"
    mark, name = KEY_MARK if empty else "", toml_string(workspace or "your-workspace")
    blocks = (
        _HEAD,
        f"{_WORKSPACE}{mark}workspace = {name}\n",
        _CREDENTIALS,
        _DISCOVERY if entries else _ALL_DISCOVERED,
        _TAIL,
        *([_entry(entry, states[entry.name], left_out.get(entry.name)) for entry in entries] or [_EXAMPLE]),
    )
    listed = tuple(entry.name for entry in entries if entry.name not in left_out)
    return FirstSettings("\n".join(blocks), listed, left_out)


def _entry(entry: CatalogEntry, record: ModelRecord, reason: str | None) -> str:
    facts = (record.display_name, record.runtime_type, record.provider_model, record.generation, record.status)
    about = [record.name, *(fact for fact in dict.fromkeys(facts) if fact and fact != record.name)]
    if record.sandbox:
        about.append("the trial model of a new workspace")
    # On one line, and without characters that TOML does not allow in a comment.
    plain = toml_string(" ".join(", ".join(about).split()))[1:-1].replace('\\"', '"')
    comments = [f"# {plain}"]
    if reason:
        comments.append(f"# Commented out: {reason}.")
    keys = {"name": entry.name, "api": entry.api.name, "path": entry.path or None, "description": entry.description}
    lines = ["[[models]]", *(f"{key} = {toml_string(value)}" for key, value in keys.items() if value is not None)]
    mark = KEY_MARK if reason else ""
    return "\n".join([*comments, *(f"{mark}{line}" for line in lines), ""])


def toml_string(text: str) -> str:
    """Return a text as a TOML basic string, of which at most 500 characters are kept."""
    return toml_value(text[:_MAX_CHARS])
