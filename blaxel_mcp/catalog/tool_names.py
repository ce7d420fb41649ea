"""Tool names that every client accepts, made from model names."""

import hashlib
import re

from blaxel_mcp.settings.schema import BUILTIN_TOOLS
from blaxel_mcp.settings.types import TOOL_NAME_LIMIT

_HASH_LENGTH = 6
_RESERVED = frozenset(BUILTIN_TOOLS)


def tool_name(model: str, *, prefix: str = "") -> str:
    """Return a model's name fitted to `[a-z0-9_-]` and 40 characters, prefix included.

    The name depends only on the model's name, so it is the same on every start, with any other models. A name that had
    to change ends in a hash of the original, so two models never share one.
    """
    fitted = re.sub(r"[^a-z0-9_-]+", "-", model.lower()).strip("-") or "model"
    room = TOOL_NAME_LIMIT - len(prefix)
    if fitted == model and len(fitted) <= room and fitted.replace("-", "_") not in _RESERVED:
        return prefix + fitted
    digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{prefix}{fitted[: room - _HASH_LENGTH - 1].rstrip('-')}-{digest}"
