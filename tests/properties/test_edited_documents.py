"""Entries put into any settings text of a client, and removed again, with the rest of the text unchanged."""

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.setup.install.json_edit import JsonText
from blaxel_mcp.setup.install.toml_edit import TomlText
from tests.properties.examples import tried

Draw = Callable[[st.SearchStrategy[Any]], Any]

ENTRY = {"command": '/opt/über "x"/blaxel-mcp', "args": ["serve", "--config", "C:\\é"], "env": {"A": "1"}}
CHANGED = {"command": "/opt/blaxel-mcp", "args": ["serve"], "env": {"A": "${A}", "B": "2"}, "timeout": 5}

BLANKS = ["", "", " ", "\n", "\n\t", "\r\n    "]
COMMENTS = [" /* } , */ ", '// ] "\n', "\n  // x\r\n", "/**/"]
COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|(//[^\r\n]*|/\*.*?\*/)', re.DOTALL)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def written(draw: Draw, value: Any, *, comments: bool) -> str:
    """Return a value in one of the ways to write it."""
    gaps = st.sampled_from([*BLANKS, *(COMMENTS if comments else [])])
    if not isinstance(value, dict | list) or not value:
        ascii_only = draw(st.booleans())
        return json.dumps(value, ensure_ascii=ascii_only)
    parts = []
    for item in value:
        name = f"{json.dumps(item)}{draw(gaps)}:{draw(gaps)}" if isinstance(value, dict) else ""
        inner = value[item] if isinstance(value, dict) else item
        parts.append(f"{draw(gaps)}{name}{written(draw, inner, comments=comments)}{draw(gaps)}")
    last = "," if comments and draw(st.booleans()) else ""
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}{','.join(parts)}{last}{draw(gaps)}{closing}"


@st.composite
def documents(draw: Draw, *, comments: bool) -> tuple[dict[str, Any], str]:
    """Generate a client's settings with other servers, and their text."""
    before = draw(st.dictionaries(st.text(max_size=3), values, max_size=2))
    servers = draw(st.dictionaries(st.text(max_size=3), values, min_size=1, max_size=3))
    after = draw(st.dictionaries(st.text(min_size=4, max_size=6), values, max_size=2))
    data = {**before, "mcpServers": servers, **after}
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return data, mark + written(draw, data, comments=comments) + draw(st.sampled_from(BLANKS))


def comments_in(text: str) -> list[str]:
    return [found[1].rstrip() for found in COMMENT.finditer(text) if found[1]]


@tried(50)
@given(documents(comments=False))
def test_json_with_our_entry_keeps_all_other_data(document: tuple[dict[str, Any], str]) -> None:
    data, text = document

    changed = JsonText(text, comments=False, within="mcpServers").put(ENTRY, "mcpServers", "blaxel")

    assert changed.text == JsonText(text, comments=False).put(ENTRY, "mcpServers", "blaxel").text
    expected = {**data, "mcpServers": {**data["mcpServers"], "blaxel": ENTRY}}
    assert json.loads(changed.text.removeprefix("\ufeff")) == expected
    assert changed.put(ENTRY, "mcpServers", "blaxel").text == changed.text
    assert changed.drop("mcpServers", "blaxel").text == text


@tried(50)
@given(documents(comments=True))
def test_json_with_comments_keeps_them_and_is_restored_byte_for_byte(document: tuple[dict[str, Any], str]) -> None:
    data, text = document

    added = JsonText(text, comments=True).put(ENTRY, "mcpServers", "blaxel")
    changed = added.put(CHANGED, "mcpServers", "blaxel")

    for step, entry in ((added, ENTRY), (changed, CHANGED)):
        assert comments_in(step.text) == comments_in(text)
        assert {key: step.get(key) for key in data} == {
            **data,
            "mcpServers": {**data["mcpServers"], "blaxel": entry},
        }
    assert changed.drop("mcpServers", "blaxel").text == text


@tried(50)
@given(documents(comments=True), st.data())
def test_removing_an_entry_removes_nothing_else(document: tuple[dict[str, Any], str], more: st.DataObject) -> None:
    data, text = document
    name = more.draw(st.sampled_from(list(data["mcpServers"])))

    left = JsonText(text, comments=True).drop("mcpServers", name)

    kept = {key: value for key, value in data["mcpServers"].items() if key != name}
    assert {key: left.get(key) for key in data} == {**data, "mcpServers": kept}
    # In their order; comments inside the removed entry are removed with it.
    inside = iter(comments_in(text))
    for comment in comments_in(left.text):
        assert comment in inside


LINES = st.sampled_from(
    [
        "# a comment [mcp_servers.blaxel]",
        "",
        "[tui]",
        "[mcp_servers.other]",
        '[mcp_servers.other.env] # "',
        "[[list]]",
        'key = "x # y" # z',
        "text = '''\n[mcp_servers.blaxel]\n'''",
        'more = """a"""""',
        'array = [ # [\n  "]", { a = 1 }, # x\n]',
        "dotted.key = 1979-05-27",
        "'quoted key' = { b = [1, 2] }",
    ]
)


@tried(150)
@given(st.lists(LINES, max_size=9), st.sampled_from(["\n", "\r\n"]))
def test_toml_with_our_section_keeps_all_other_data_and_is_restored_byte_for_byte(
    lines: list[str], newline: str
) -> None:
    text = "".join(f"{line}\n" for line in lines).replace("\n", newline)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return

    added = TomlText(text).put(ENTRY, "mcp_servers", "blaxel")
    changed = added.put(CHANGED, "mcp_servers", "blaxel")

    servers = data.get("mcp_servers", {})
    for step, entry in ((added, ENTRY), (changed, CHANGED)):
        assert tomllib.loads(step.text) == {**data, "mcp_servers": {**servers, "blaxel": entry}}
        assert step.text.startswith(text)
        assert not text or step.text.count("\n") == step.text.count(newline)
    assert changed.drop("mcp_servers", "blaxel").text.rstrip() == text.rstrip()
