"""Edits of a client's settings text: what stands around our entry stays readable."""

import pytest

from blaxel_mcp.setup.install.json_edit import JsonText
from blaxel_mcp.setup.install.toml_edit import TomlText

SECTIONS = """\
[mcp_servers.blaxel] # ours
  command = "old" # the command
startup_timeout_sec = 9 # slow here

# about the look
[tui]
theme = "x"

[mcp_servers.blaxel.env] # variables
KEPT = "1" # why
GONE = "2"

[mcp_servers.blaxel.tools.run_model]
approval_mode = "approve"
"""


def test_a_section_of_ours_is_changed_key_by_key_with_its_comments() -> None:
    entry = TomlText(SECTIONS).get("mcp_servers")["blaxel"]
    entry = {**entry, "command": "/new", "args": ["serve"], "env": {"KEPT": "1", "NEW": "3"}}

    changed = TomlText(SECTIONS).put(entry, "mcp_servers", "blaxel")

    assert changed.text == (
        SECTIONS.replace('"old"', '"/new"')
        .replace("slow here\n", 'slow here\nargs = ["serve"]\n')
        .replace('GONE = "2"\n', 'NEW = "3"\n')
    )
    assert changed.drop("mcp_servers", "blaxel").text == '\n# about the look\n[tui]\ntheme = "x"\n\n\n'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"a": 1, // c\n "b": 2}', '{"a": 1 // c\n }'),
        ('{\n  "b": 2, // c\n  "a": 1\n}', '{\n  // c\n  "a": 1\n}'),
        ('{\n  // c\n  "b": 2, "a": 1\n}', '{\n  // c\n  "a": 1\n}'),
        ('{"b":2,"a":1,"b":3}', '{"a":1}'),
        ('{"b": 2}', "{}"),
        ('{\n  "b": 2,\n}', "{}"),
        ('{\n  // c\n  "b": 2\n}', "{\n  // c\n}"),
    ],
)
def test_what_stood_around_a_member_stays_readable_without_it(text: str, left: str) -> None:
    assert JsonText(text, comments=True).drop("b").text == left


def test_a_number_of_any_length_stays_as_it_is_written() -> None:
    text = '{"n": ' + "9" * 5000 + ', "x": 1.10}'

    assert JsonText(text, comments=False).put(1, "y").text == text.replace("}", ', "y": 1}')
