"""The tables of docs/ that are generated from the code: settings, variables, APIs, tools, commands, fields."""

import argparse
import ast
import inspect
import json
import types as pytypes
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from blaxel_mcp.apis import APIS, ModelAPI
from blaxel_mcp.cli.parser import build_parser
from blaxel_mcp.settings.environment import blaxel_variables, hosting_variables
from blaxel_mcp.settings.layers import fails_closed
from blaxel_mcp.settings.limits import CapSettings
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.problems import COMPANIONS
from blaxel_mcp.settings.schema import Settings, WorkspaceSettings
from tests.support.docs_pages import table
from tests.support.docs_words import EXIT_CODES
from tests.support.sources import PACKAGE

JSON_NAMES = {"input_schema": "a JSON Schema"}

# Settings


def settings_table() -> str:
    """Return the settings, section by section."""
    plain = {name: field for name, field in Settings.model_fields.items() if _section(field) is None}
    parts = ["### At the top\n", _keys(Settings, plain)]
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            title = f"[[{name}]]" if section is ModelSettings else f"[{name}]"
            title = "[workspaces.NAME]" if section is WorkspaceSettings else title
            about = inspect.cleandoc(section.__doc__ or "")
            parts += [f"### `{title}`\n\n{about}\n", _keys(section, section.model_fields)]
    return "\n" + "".join(parts)


def _keys(model: type[BaseModel], fields: Mapping[str, FieldInfo]) -> str:
    meaning = setting_descriptions(model)
    rows = [[f"`{name}`", _kind(name, field), _default(field), meaning.get(name, "")] for name, field in fields.items()]
    return table(("key", "value", "default", "meaning"), rows)


@cache
def _classes_of_schema() -> dict[str, ast.ClassDef]:
    files = [PACKAGE / "settings" / f"{name}.py" for name in ("schema", "http", "limits", "models")]
    bodies = [ast.parse(file.read_text(encoding="utf-8")).body for file in files]
    return {node.name: node for body in bodies for node in body if isinstance(node, ast.ClassDef)}


def setting_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the text below each key in the source of a table of settings, inherited keys included."""
    names = [part.__name__ for part in reversed(model.__mro__)]
    classes = _classes_of_schema()
    return {
        key.target.id: " ".join(text.value.value.split())
        for name in names
        if name in classes
        for key, text in pairwise(classes[name].body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a section; None for a key that is no section."""
    return next((part for part in _parts(field.annotation) if _is_table(part)), None)


def _is_table(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the parts of an annotation, without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin is dict and _is_table(get_args(annotation)[1]):
        yield get_args(annotation)[1]
    elif origin in (Union, pytypes.UnionType, tuple):
        for argument in get_args(annotation):
            yield from _parts(argument)
    elif annotation not in (type(None), Ellipsis):
        yield annotation


_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "text, secret"}


def _kind(name: str, field: FieldInfo) -> str:
    if name in JSON_NAMES:
        return JSON_NAMES[name]
    part, *others = dict.fromkeys(_parts(field.annotation))
    if _is_table(part):
        return f"a table: {', '.join(f'`{key}`' for key in part.model_fields)}"
    if get_origin(part) is dict:
        return "a table of JSON values"
    words = (
        " ".join(f'`"{value}"`' for value in get_args(each)) if get_origin(each) is Literal else _KINDS[each]
        for each in (part, *others)
    )
    word = " or ".join(words)
    return f"list: {word}" if "tuple" in str(field.annotation) else word


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined:
        return "-"
    return f"`{json.dumps(value)}`" if value != {} else "`{}`"


def closed_table() -> str:
    """The keys that shut something, those with the same values and rejections in one row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for place, name, field in _closed_keys(Settings, ""):
        kind = _kind(name, field).partition(":")[0] if _section(field) else _kind(name, field)
        kind = "list of tables" if name == "models" and not place else kind
        kind = "table" if name == "workspaces" and not place else kind
        rows.setdefault((place.partition(".")[0], kind, _also_rejected(f"{place}{name}")), []).append(place + name)
    return table(
        ("key", "value", "also rejected"),
        [[", ".join(f"`{key}`" for key in keys), kind, also] for (_, kind, also), keys in rows.items()],
    )


def _closed_keys(model: type[BaseModel], at: str) -> Iterator[tuple[str, str, FieldInfo]]:
    for name, field in model.model_fields.items():
        section = _section(field)
        location = (*at.replace("[]", "").split(".")[:-1], name)
        at_inner = f"{name}.NAME" if section is WorkspaceSettings else f"{name}[]" if section is ModelSettings else name
        if fails_closed(location):
            yield at, name, field
        if section and not (at and issubclass(section, CapSettings)):
            yield from _closed_keys(section, f"{at}{at_inner}.")


_ALSO_REJECTED = {
    "http.host": "beside `BL_CLOUD`, unless `http.auth` is `token`, `oauth` or `caller`",
    "http.bearer_tokens": "a token that could be guessed, that is here twice, or that a page shows",
    "files.allowed_dirs": "a relative folder",
    "files.output_dir": "a relative folder",
    "audit.file": "a relative file",
    "models[].locked": "a text that is only a placeholder that was not expanded",
    "models[].budget": "as in `[budget]`",
}


def _also_rejected(key: str) -> str:
    auth = COMPANIONS.get(key.removeprefix("http.")) if key.startswith("http.") else None
    reasons = [f'without `http.auth = "{auth}"`' if auth else "", _ALSO_REJECTED.get(key, "")]
    return "; ".join(filter(None, reasons)) or "-"


VARIABLES = {
    "BL_WORKSPACE": "acme",
    "BL_API_KEY": "key",
    "BL_CLIENT_CREDENTIALS": "aWQ6c2VjcmV0",
    "BL_ENV": "dev",
    "BL_API_URL": "https://api.example.com/v0",
    "BL_RUN_URL": "https://run.example.com",
    "BL_API_VERSION": "2026-04-28",
    "HOST": "127.0.0.1",
    "PORT": "8000",
}
"""The variables of Blaxel and of hosting platforms, each with a valid value."""

_BESIDE = {"HOST": "PORT"}
"""Variables that are read only together with another one."""


def variables_table() -> str:
    """Return the settings that each variable of Blaxel and of hosting platforms sets."""
    return table(("variable", "gives"), [[f"`{name}`", _given_by(name)] for name in VARIABLES])


def _given_by(name: str) -> str:
    environ = {name: VARIABLES[name]}
    beside = _BESIDE.get(name)
    both = environ | ({beside: VARIABLES[beside]} if beside else {})
    values = {**blaxel_variables(both).values, **hosting_variables(both).values}
    if beside:
        values = {key: value for key, value in values.items() if value == VARIABLES[name]}
    keys = ", ".join(f"`{'.'.join(map(str, key))}`" for key in values)
    return f"{keys}, beside `{beside}`" if beside else keys


# APIs and tools


def apis_table() -> str:
    """Return the APIs: path, shorthand arguments, and whether they stream."""
    rows = [
        [f"[`{api.name}`](#{api.name})", f"`{api.path or '/'}`", _shorthand(api), _yes(api.streams)] for api in APIS
    ]
    return table(("`api`", "path", "shorthand for an agent", "streams"), rows)


def _yes(value: bool) -> str:
    return "yes" if value else "-"


def _shorthand(api: ModelAPI) -> str:
    names = ("prompt", "system", "images", "file")
    known = [name for name in names if name in api.input_schema()["properties"] and _is_shorthand(api, name)]
    return ", ".join(f"`{name}`" for name in known) or "-"


def _is_shorthand(api: ModelAPI, name: str) -> bool:
    """Return whether an argument is a shorthand instead of a field of the body."""
    return name in api.file_arguments or name not in api.body({name: "x"})


def arguments_table(api: ModelAPI) -> str:
    """Return the arguments of an API's tool."""
    return schema_table(api.input_schema())


def schema_table(schema: Mapping[str, Any]) -> str:
    """Return the arguments that a schema names."""
    required = schema.get("required", ())
    rows = [
        [f"`{name}`", _type(value), value.get("description", "") + (" Required." if name in required else "")]
        for name, value in schema["properties"].items()
    ]
    return table(("argument", "type", "meaning"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    kind: str = schema.get("type", "any")
    return f"array of {schema['items'].get('type', 'any')}s" if kind == "array" else kind


# Commands


def commands_part() -> str:
    """Return a table of the commands, and a section on each command that has options of its own."""
    parser = build_parser()
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    about = {choice.dest: choice.help or "" for choice in subparsers._choices_actions}
    common = {option for action in parser._actions for option in action.option_strings}
    parts = [table(("command", "does"), [[f"`blaxel-mcp {name}`", about[name]] for name in subparsers.choices])]
    for name, command in subparsers.choices.items():
        if rows := [[_spelled(action), _help(action)] for action in _own(command, common)]:
            parts.append(f"### `blaxel-mcp {name}`\n{table(('option', 'meaning'), rows)}")
    return "".join(parts)


def common_options_table() -> str:
    """Return the options of every command."""
    actions = [action for action in build_parser()._actions if action.option_strings and action.dest != "help"]
    return table(("option", "meaning"), [[_spelled(action), _help(action)] for action in actions])


def exit_codes_table() -> str:
    """Return the exit codes."""
    return table(("code", "means"), [[str(number), meaning] for number, meaning in EXIT_CODES.items()])


def fields_table(fields: Mapping[str, str]) -> str:
    """Return the fields of a receipt or an error."""
    return table(("field", "what it is"), [[f"`{name}`", meaning] for name, meaning in fields.items()])


def _own(command: argparse.ArgumentParser, common: set[str]) -> Iterator[argparse.Action]:
    for action in command._actions:
        if not common.intersection(action.option_strings):
            yield action


def _help(action: argparse.Action) -> str:
    return action.help or ""


def _spelled(action: argparse.Action) -> str:
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    shown = "" if action.nargs == 0 else str(value)
    *others, longest = sorted(action.option_strings, key=len) or [""]
    return ", ".join(f"`{name}`" for name in (*others, f"{longest} {shown}".strip()))
