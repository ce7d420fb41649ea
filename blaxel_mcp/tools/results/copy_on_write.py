"""Copies of JSON objects and arrays with some of their values replaced."""

from typing import Any


def with_members(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an object with these members replaced, or the object itself if there are none."""
    return {**members, **changes} if changes else members


def with_items(items: list[Any], changes: dict[int, Any]) -> list[Any]:
    """Return a copy of an array with the items at these indexes replaced, or the array itself if there are none."""
    if not changes:
        return items
    changed = list(items)
    for index, item in changes.items():
        changed[index] = item
    return changed
