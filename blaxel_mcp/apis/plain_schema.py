"""JSON Schemas of everyday keywords, as functions.

A value that such a function accepts is not validated by `jsonschema`, which takes twenty times as long and a fifth of
the server's start to import. Only schemas with other keywords need it, and descriptions of what is wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sized
from operator import ge, gt, le, lt
from typing import Any

Predicate = Callable[[Any], bool]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
_NUMBERS = (int, float)
_SCALARS = (str, int, float, bool, type(None))


class _NotPlainError(Exception):
    """A schema has an unknown keyword, or a value that its keyword does not allow."""


def plain_check(schema: Any) -> Predicate | None:
    """Return a function that checks a JSON value; None for an invalid schema or one with other keywords.

    Args:
        schema: A JSON Schema (draft 2020-12).
    """
    try:
        return _check(schema)
    except _NotPlainError:
        return None


def _check(schema: Any) -> Predicate:
    if isinstance(schema, bool):
        return lambda _: schema
    _demand(isinstance(schema, Mapping) and schema.keys() <= _KEYWORDS.keys())
    checks = [check for keyword, value in schema.items() if (check := _KEYWORDS[keyword](value, schema))]

    def check_all(value: Any) -> bool:
        for check in checks:  # noqa: SIM110 - a generator takes twice as long
            if not check(value):
                return False
        return True

    return checks[0] if len(checks) == 1 else check_all


def _demand(condition: object) -> None:
    if not condition:
        raise _NotPlainError


def _annotation(*kinds: type) -> Callable[[Any, Mapping[str, Any]], None]:
    def annotation(value: Any, _: Mapping[str, Any]) -> None:
        _demand(not kinds or isinstance(value, kinds))

    return annotation


def _type(kinds: Any, _: Mapping[str, Any]) -> Predicate:
    names = [kinds] if isinstance(kinds, str) else kinds
    _demand(isinstance(names, list) and names and all(isinstance(name, str) and name in _TYPES for name in names))
    _demand(len(set(names)) == len(names))
    types = frozenset(kind for name in names for kind in _TYPES[name])
    if "integer" in names and float not in types:
        return lambda value: type(value) in types or (type(value) is float and value.is_integer())
    return lambda value: type(value) in types


def _enum(values: Any, _: Mapping[str, Any]) -> Predicate:
    _demand(isinstance(values, list) and all(type(value) in _SCALARS for value in values))
    # True equals 1 in Python, and does not in JSON.
    flags = frozenset(value for value in values if type(value) is bool)
    others = frozenset(value for value in values if type(value) is not bool)
    return lambda value: type(value) in _SCALARS and value in (flags if type(value) is bool else others)


def _bound(is_beyond: Callable[[Any, Any], bool]) -> Callable[[Any, Mapping[str, Any]], Predicate]:
    def bound(limit: Any, _: Mapping[str, Any]) -> Predicate:
        _demand(type(limit) in _NUMBERS)
        return lambda value: type(value) not in _NUMBERS or not is_beyond(value, limit)

    return bound


def _size(kind: type[Sized], is_beyond: Callable[[Any, Any], bool]) -> Callable[[Any, Mapping[str, Any]], Predicate]:
    def size(limit: Any, _: Mapping[str, Any]) -> Predicate:
        _demand(type(limit) is int and limit >= 0)
        return lambda value: not isinstance(value, kind) or not is_beyond(len(value), limit)

    return size


def _items(schema: Any, _: Mapping[str, Any]) -> Predicate:
    item = _check(schema)
    return lambda value: not isinstance(value, list) or all(map(item, value))


def _required(names: Any, _: Mapping[str, Any]) -> Predicate:
    _demand(isinstance(names, list) and all(isinstance(name, str) for name in names))
    demanded = frozenset(names)
    _demand(len(demanded) == len(names))
    return lambda value: not isinstance(value, dict) or demanded <= value.keys()


def _properties(schemas: Any, _: Mapping[str, Any]) -> Predicate:
    _demand(isinstance(schemas, Mapping) and all(isinstance(name, str) for name in schemas))
    checks = {name: _check(schema) for name, schema in schemas.items()}

    def check(value: Any) -> bool:
        if isinstance(value, dict):
            for name, member in value.items():
                known = checks.get(name)
                if known and not known(member):
                    return False
        return True

    return check


def _additional_properties(schema: Any, parent: Mapping[str, Any]) -> Predicate | None:
    check = _check(schema)
    if schema in (True, {}):
        return None
    known = parent.get("properties", {})

    def others(value: dict[str, Any]) -> Iterable[Any]:
        return (member for name, member in value.items() if name not in known)

    return lambda value: not isinstance(value, dict) or all(map(check, others(value)))


_KEYWORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], Predicate | None]] = {
    **dict.fromkeys(("title", "description", "format", "$comment", "$schema"), _annotation(str)),
    **dict.fromkeys(("deprecated", "readOnly", "writeOnly"), _annotation(bool)),
    "default": _annotation(),
    "examples": _annotation(list),
    "type": _type,
    "enum": _enum,
    "const": lambda value, parent: _enum([value], parent),
    "minimum": _bound(lt),
    "maximum": _bound(gt),
    "exclusiveMinimum": _bound(le),
    "exclusiveMaximum": _bound(ge),
    "minLength": _size(str, lt),
    "maxLength": _size(str, gt),
    "minItems": _size(list, lt),
    "maxItems": _size(list, gt),
    "minProperties": _size(dict, lt),
    "maxProperties": _size(dict, gt),
    "items": _items,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional_properties,
}

PLAIN_KEYWORDS = frozenset(_KEYWORDS)
"""The keywords that a plain schema may have."""
