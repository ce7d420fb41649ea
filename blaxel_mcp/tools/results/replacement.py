"""Copies of JSON values in which some parts are replaced by something shorter."""

from collections.abc import Callable, Mapping
from typing import Any

Steps = tuple[str | int, ...]
"""The path from the top of an answer to a part of it."""

Replace = Callable[[Any, Steps, Mapping[str, Any]], Any]
"""Returns what replaces a part; None if the part stays.

It is called with the part, the path to it, and the members of the object that has it, which are empty in an array.
"""

_NOTHING: Mapping[str, Any] = {}
_REPLACEABLE = (str, dict, list)
"""Other parts are skipped without a function call: most values of large answers are numbers."""


def replace_parts(value: Any, replace: Replace, steps: Steps = (), beside: Mapping[str, Any] = _NOTHING) -> Any:
    """Return a JSON value with its strings, arrays and objects replaced, the outermost first.

    An array or object without a replaced part is the same object in the result.
    """
    replacement = replace(value, steps, beside)
    if replacement is not None:
        return replacement
    if isinstance(value, dict):
        members = {
            name: changed
            for name, part in value.items()
            if isinstance(part, _REPLACEABLE)
            and (changed := replace_parts(part, replace, (*steps, name), value)) is not part
        }
        return {**value, **members} if members else value
    if isinstance(value, list):
        items = {
            index: changed
            for index, part in enumerate(value)
            if isinstance(part, _REPLACEABLE) and (changed := replace_parts(part, replace, (*steps, index))) is not part
        }
        return [items.get(index, part) for index, part in enumerate(value)] if items else value
    return value
