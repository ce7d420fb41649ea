"""Fill in the default fields of a request body."""

from collections.abc import Mapping
from typing import Any

from blaxel_mcp.core.json_text import JSONObject


def with_defaults(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> JSONObject:
    """Return the body with absent fields filled in, inside nested objects too."""
    filled = dict(body)
    for name, default in defaults.items():
        value = filled.get(name)
        if name not in filled:
            filled[name] = default
        elif isinstance(value, Mapping) and isinstance(default, Mapping):
            filled[name] = with_defaults(value, default)
    return filled
