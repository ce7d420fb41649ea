"""Keys that shut something: whatever says nothing there is an error that names the key, from every source."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.layers import fails_closed
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.types import parts_of
from tests.properties.examples import tried

Key = tuple[str, ...]


def closed_keys(model: type[BaseModel] = Settings, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key that shuts something, the sections included, with its type."""
    for name, field in model.model_fields.items():
        if fails_closed((*at, name)):
            yield (*at, name), field.annotation
        for part in parts_of(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from closed_keys(part, (*at, name))


KEYS = dict(closed_keys())
ONE_KEY = st.sampled_from(sorted(KEYS))
LIST_KEYS = sorted(key for key, kind in KEYS.items() if get_origin(kind) is tuple and key != ("models",))

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{2,11}", fullmatch=True)
SYNTAXES = (
    *("${%s}", "$%s", "$(%s)", "%%%s%%", "{{%s}}", "{{ %s }}", "<%s>", "${env:%s}", "${input:%s}", "${{ %s }}"),
    *("#{%s}", "%%(%s)s", "{%s}", "@%s@", "__%s__", "${%s:-x}", "  ${%s}\n", "a-${%s}", "/data/$%s/x", "$env:%s"),
)
PLACEHOLDERS = st.builds(lambda syntax, name: syntax % name, st.sampled_from(SYNTAXES), NAMES)
BLANKS = st.text(st.sampled_from(" \t\r\n\u00a0\u2003\u200b\u200d\ufeff\u2060"), max_size=4)
USELESS = BLANKS | PLACEHOLDERS
WRONG_TYPES = st.sampled_from([True, False, [], [[]], [7], {"no-such-key": 1}, {"": ""}, "\u2603"])


def tree_of(key: Key, value: Any) -> dict[str, Any]:
    """The settings with one value, in the first entry if it is a model's."""
    for name in reversed(key[1:]):
        value = {name: value}
    if key[0] == "models" and len(key) > 1:
        value = [{"name": "m", **value}]
    return {key[0]: value}


def toml_of(key: Key, value: Any) -> str:
    return "\n".join(f"{name} = {_toml(inner)}" for name, inner in tree_of(key, value).items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + " }"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)


def rejected(key: Key, value: Any, folder: Path) -> list[str]:
    """The messages with which the value is rejected from the file, the command line and the variables."""
    file = folder / "settings.toml"
    file.write_text(toml_of(key, value), encoding="utf-8")
    tree = tree_of(key, value)
    section = {f"BLAXEL_MCP_{key[0].upper()}": json.dumps(tree[key[0]])}
    sources: list[dict[str, Any]] = [{"config_file": file}, {"overrides": tree}, {"environ": section}]
    # A variable of one key holds text, whatever it looks like.
    if len(key) < 3 and key[0] != "models" and (isinstance(value, str) or get_origin(KEYS[key]) is tuple):
        own = value if isinstance(value, str) else json.dumps(value)
        sources.append({"environ": {f"BLAXEL_MCP_{'__'.join(key).upper()}": own}})
    messages = []
    for source in sources:
        with pytest.raises(ConfigurationError) as caught:
            load_settings(**{"environ": {}, **source})
        messages.append(str(caught.value))
    return messages


def names_it(key: Key, message: str) -> bool:
    dotted = ".".join(key).replace("models.", "models[0].")
    return dotted in message or f"BLAXEL_MCP_{'__'.join(key).upper()}" in message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


@tried(80)
@given(key=ONE_KEY, value=USELESS)
def test_a_blank_or_unexpanded_value_of_a_key_that_shuts_something_is_an_error(
    folder: Path, key: Key, value: str
) -> None:
    for message in rejected(key, value, folder):
        assert names_it(key, message), message


@tried(60)
@given(key=st.sampled_from(LIST_KEYS), value=USELESS, before=st.lists(st.just("gpt-4o"), max_size=2))
def test_a_blank_or_unexpanded_item_of_a_list_that_shuts_something_is_an_error(
    folder: Path, key: Key, value: str, before: list[str]
) -> None:
    for message in rejected(key, [*before, value], folder):
        assert names_it(key, message), message


def is_of_the_type(key: Key, value: Any) -> bool:
    """Whether a value of the wrong types happens to be a right one for this key."""
    parts = list(parts_of(KEYS[key]))
    if isinstance(value, bool):
        return bool in parts
    if value == []:
        return any(get_origin(part) is tuple for part in parts)
    if isinstance(value, dict):
        return any(get_origin(part) is dict for part in parts)
    return isinstance(value, str) and (str in parts or any("SecretStr" in str(part) for part in parts))


@tried(80)
@given(key=ONE_KEY, value=WRONG_TYPES)
def test_a_value_of_another_type_is_an_error_for_a_key_that_shuts_something(folder: Path, key: Key, value: Any) -> None:
    if not is_of_the_type(key, value):
        for message in rejected(key, value, folder):
            assert names_it(key, message), message


def test_the_keys_that_shut_something_are_those_that_are_meant() -> None:
    assert {("http",), ("http", "auth"), ("http", "bearer_tokens"), ("http", "scopes"), ("http", "host")} <= set(KEYS)
    assert {("access", "models"), ("access", "paths"), ("budget", "usd_per_day"), ("budget",), ("access",)} <= set(KEYS)
    assert {("files", "allowed_dirs"), ("limits", "calls_per_minute"), ("models", "budget"), ("url_source",)} <= set(
        KEYS
    )
    assert {("models", "budget", "calls_per_day"), ("models", "locked"), ("models",)} <= set(KEYS)
    # Unset, these let nobody in.
    assert not {("workspace",), ("api_key",), ("client_credentials",), ("api_key_command",)} & set(KEYS)
    assert "locked" in ModelSettings.model_fields
