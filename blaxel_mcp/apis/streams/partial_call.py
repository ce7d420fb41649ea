"""Function calls of Gemini whose arguments arrive in pieces (`streamFunctionCallArguments`, Vertex AI)."""

import re
from itertools import pairwise
from typing import Any

from blaxel_mcp.apis.streams.assembler import objects_in, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer
from blaxel_mcp.core.json_text import JSONObject

_STEP = re.compile(r"""\.?([^.\[\]"']+)|\[(\d{1,4})\]|\[(?:"([^"]*)"|'([^']*)')\]""")
_MAX_STEPS = 50
_MAX_INDEX = 1000
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")

_Step = str | int


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
        value = None if name == "nullValue" else piece[name]
        container, step = _container_at(call, ["args", *_steps(path)])
        if isinstance(value, str):
            current = _child(container, step)
            buffer = current if isinstance(current, TextBuffer) and path == self._open_path else TextBuffer()
            buffer.append(value)
            value = buffer
        _put(container, step, value)
        self._open_path = path if piece.get("willContinue") else ""


def _steps(path: str) -> list[_Step]:
    """Return the steps of a JSONPath such as `$.guests[0].name`."""
    steps: list[_Step] = []
    for name, index, double, single in _STEP.findall(path.removeprefix("$"))[:_MAX_STEPS]:
        steps.append(min(int(index), _MAX_INDEX) if index else name or double or single)
    return steps


def _container_at(root: JSONObject, steps: list[_Step]) -> tuple[Any, _Step]:
    """Return the object or array that holds the last step, created along the way, and that step."""
    container: Any = root
    for step, following in pairwise(steps):
        kind: type[Any] = list if isinstance(following, int) else dict
        child = _child(container, step)
        if not isinstance(child, kind):
            child = kind()
            _put(container, step, child)
        container = child
    return container, steps[-1]


def _child(container: Any, step: _Step) -> Any:
    if isinstance(container, list):
        return container[step] if isinstance(step, int) and step < len(container) else None
    return container.get(step)


def _put(container: Any, step: _Step, value: Any) -> None:
    if isinstance(container, list) and isinstance(step, int):
        container.extend([None] * (step + 1 - len(container)))
        container[step] = value
    else:
        container[step] = value
