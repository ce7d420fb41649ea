"""config.example.toml loads, names every key and no other, and shows the right defaults."""

import itertools
import secrets
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.settings.schema import Settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
KEY_LINE = "#: "
EXAMPLE_KEY = "the-output-of-openssl-rand-hex-32"


def uncommented(example: str) -> str:
    """Remove the mark before every key, as the first lines of the example say."""
    return "\n".join(line.removeprefix(KEY_LINE) for line in example.splitlines())


def schema_keys(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of a settings file and its default."""
    for name, field in model.model_fields.items():
        table = next(tables_in(field.annotation), None)
        if table is not None:
            yield from schema_keys(table, f"{at}{name}.")
        else:
            yield f"{at}{name}", field.get_default(call_default_factory=True, validated_data={})


def tables_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from tables_in(argument)


def value_at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[0] if isinstance(tree, list) else tree
        tree = tree[part]
    return tree


def test_the_example_file_changes_nothing_as_it_stands() -> None:
    config = load_settings(config_file=EXAMPLE, environ={})
    assert (config.settings, config.sources, config.warnings) == (Settings(), {}, ())


def test_the_example_file_names_every_key_and_no_unknown_one(home: Path) -> None:
    # The example's own key is refused, so that nobody encrypts by it.
    text = uncommented(EXAMPLE.read_text(encoding="utf-8")).replace(EXAMPLE_KEY, secrets.token_hex(32))
    path = home / "config.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    assert load_settings(config_file=path, environ={}).warnings == ()
    document = tomllib.loads(text)
    for key, _ in schema_keys(Settings):
        assert value_at(document, key) is not None


@pytest.mark.parametrize(
    ("key", "default"),
    [
        pytest.param(key, default, id=key)
        for key, default in schema_keys(Settings)
        if default not in (None, PydanticUndefined, {})
    ],
)
def test_the_example_file_shows_the_default_where_there_is_one(key: str, default: Any) -> None:
    shown = value_at(tomllib.loads(uncommented(EXAMPLE.read_text(encoding="utf-8"))), key)
    assert (tuple(shown) if isinstance(shown, list) else shown) == default


def test_the_example_file_explains_every_key() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    unexplained = [
        line
        for before, line in itertools.pairwise(lines)
        if line.startswith(KEY_LINE) and not (before.startswith("# ") and before.endswith((".", ":")))
    ]
    assert unexplained == []
