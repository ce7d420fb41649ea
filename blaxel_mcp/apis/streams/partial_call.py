"""Function calls of Gemini whose arguments arrive in pieces (`streamFunctionCallArguments`, Vertex AI)."""

import re
from typing import Any

from blaxel_mcp.apis.streams.assembler import objects_in, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer
from blaxel_mcp.core.json_text import JSONObject

_STEP = re.compile(r"""\.?([^.\[\]"']+)|\[(\d{1,4})\]|\[(?:"([^"]*)"|'([^']*)')\]""")
_MAX_STEPS = 50
_MAX_INDEX = 1000
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialCall:
    """The function call that is being received in one candidate, if one is."""

    def __init__(self) -> None:
        self._open: JSONObject | None = None
        self._open_path = ""

    def apply(self, parts: list[JSONObject], part: JSONObject, call: JSONObject) -> None:
        """Add a part with a function call: to the open call if it has no name of its own, otherwise as a new part."""
        pieces = objects_in(call, "partialArgs")
        if self._open is None or "name" in call:
            if not pieces and not call.get("willContinue"):
                parts.append(part)
                self.close()
                return
            fields = {name: value for name, value in call.items() if name not in ("partialArgs", "willContinue")}
            self._open = {"args": {}, **fields}
            parts.append({**part, "functionCall": self._open})
        for piece in pieces:
            self._set(self._open, piece)
        if not call.get("willContinue"):
            self.close()

    def close(self) -> None:
        """End the open call."""
        self._open, self._open_path = None, ""

    def _set(self, call: JSONObject, piece: JSONObject) -> None:
        path = text_in(piece, "jsonPath")
        name = next((name for name in _VALUES if name in piece), None)
        if name is None:
            return
        container, step = _container_at(call, path)
        value = None if name == "nullValue" else piece[name]
        if isinstance(value, str):
            current = container[step] if path == self._open_path else None
            buffer = current if isinstance(current, TextBuffer) else TextBuffer()
            buffer.append(value)
            value = buffer
        container[step] = value
        self._open_path = path if piece.get("willContinue") else ""


def _container_at(call: JSONObject, path: str) -> tuple[Any, str | int]:
    """Return the object or array in which a JSONPath such as `$.guests[0].name` ends, created on the way; and the key.

    An array is as long as the key requires, so that both can be used alike.
    """
    container: Any = call
    step: Any = "args"
    for name, index, double, single in _STEP.findall(path.removeprefix("$"))[:_MAX_STEPS]:
        kind = list if index else dict
        if not isinstance(container[step], kind):
            container[step] = kind()
        container = container[step]
        step = min(int(index), _MAX_INDEX) if index else name or double or single
        if index:
            container.extend([None] * (step + 1 - len(container)))
        else:
            container.setdefault(step)
    return container, step
