"""Generated content and interactions of Google (Gemini API reference, "streamGenerateContent" and "Interactions")."""

import re
from typing import Any

from blaxel_mcp.apis.streams.assembler import Assembler, array_at, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer, append_text, joined_text, text_length
from blaxel_mcp.core.json_text import JSONObject

GEMINI_STREAM = ":streamGenerateContent"

_TEXT_FIELDS = {"text", "thought"}
"""Fields of a part that can be joined with the part before it: a signature stays on the part that it came with."""


class GenerateContentAssembler(Assembler):
    """Assembles pieces of generated content."""

    api = "generate-content"
    path_ends = (GEMINI_STREAM,)
    linger_seconds = 10.0
    """Earlier models finish their candidate in each piece."""

    def __init__(self) -> None:
        super().__init__()
        self._candidates: dict[int, JSONObject] = {}
        self._calls: dict[int, PartialCall] = {}

    def _is_complete(self) -> bool:
        is_blocked = bool(object_in(self._answer, "promptFeedback").get("blockReason"))
        return is_blocked or (bool(self._candidates) and not self._open)

    def _text_so_far(self) -> str:
        if not self._candidates:
            return ""
        parts = self._candidates[min(self._candidates)]["content"]["parts"]
        return joined_text(part for part in parts if not part.get("thought"))

    def _built(self) -> JSONObject:
        candidates = [_without_empty_content(candidate) for candidate in in_order(self._candidates)]
        return {**({"candidates": candidates} if candidates else {}), **self._answer}

    @classmethod
    def recognizes(cls, kind: str, data: JSONObject) -> bool:  # noqa: ARG003 - the pieces have no kinds
        """Return whether an event is a piece of generated content."""
        return not data.keys().isdisjoint(("candidates", "promptFeedback"))

    def _apply(self, kind: str, data: JSONObject) -> bool:  # noqa: ARG002 - the pieces have no kinds
        self._set({name: value for name, value in data.items() if name not in ("candidates", "error")})
        for candidate in objects_in(data, "candidates"):
            self._apply_candidate(candidate)
        return True

    def _apply_candidate(self, candidate: JSONObject) -> None:
        index = index_in(candidate)
        target = self._candidates.setdefault(index, {"content": {"parts": []}})
        target |= {name: value for name, value in candidate.items() if name != "content" and value is not None}
        if role := text_in(object_in(candidate, "content"), "role"):
            object_in(target, "content")["role"] = role
        self._note_end(index, ended=bool(target.get("finishReason")))
        parts: list[JSONObject] = target["content"]["parts"]
        for part in objects_in(object_in(candidate, "content"), "parts"):
            self.characters += text_length(part.get("text"))
            if part.get("text") == "" and not part.keys() - _TEXT_FIELDS:
                # The last piece often has an empty text, so that it has a part.
                continue
            if parts and _continues(parts[-1], part):
                append_text(parts[-1], "text", text_in(part, "text"))
            elif call := object_in(part, "functionCall"):
                self._calls.setdefault(index, PartialCall()).apply(parts, part, call)
            elif "functionCall" in part and index in self._calls:
                # An empty call ends the one before it.
                self._calls[index].close()
            else:
                parts.append(part)


def _without_empty_content(candidate: JSONObject) -> JSONObject:
    """Return a candidate as it is without a stream: no empty `parts`, and no `content` that would be empty."""
    content = {name: value for name, value in candidate["content"].items() if value}
    others = {name: value for name, value in candidate.items() if name != "content"}
    return {"content": content, **others} if content else others


def _continues(last: JSONObject, part: JSONObject) -> bool:
    """Whether a part continues the text, or the thought, of the last one."""
    texts = "text" in last and "text" in part and not (last.keys() | part.keys()) - _TEXT_FIELDS
    return texts and bool(last.get("thought")) == bool(part.get("thought"))


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


class InteractionsAssembler(Assembler):
    """Assembles the events of an interaction: steps, or in earlier versions of the API outputs, and their deltas."""

    path_ends = ("/interactions",)
    kind_prefixes = ("interaction.", "step.", "content.")

    def __init__(self) -> None:
        super().__init__()
        self._steps: dict[int, JSONObject] = {}
        self._outputs: dict[int, JSONObject] = {}

    def _text_so_far(self) -> str:
        outputs = [step for step in in_order(self._steps) if step.get("type") == "model_output"]
        parts = [part for step in outputs for part in objects_in(step, "content")]
        return joined_text(part for part in (*parts, *in_order(self._outputs)) if part.get("type") == "text")

    def _built(self) -> JSONObject:
        arrays = {"steps": in_order(self._steps), "outputs": in_order(self._outputs)}
        return {**{name: items for name, items in arrays.items() if items}, **self._answer}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        subject, _, stage = kind.partition(".")
        index = index_in(data)
        if subject == "interaction":
            interaction = object_in(data, "interaction")
            # The last event may repeat an empty list of steps.
            self._set({name: value for name, value in interaction.items() if value not in (None, [], {})})
            is_failed = interaction.get("status") == "failed"
            self.record_error(interaction.get("error") or (is_failed and "The interaction has failed."))
            self.ended = self.ended or stage in ("completed", "complete")
        elif kind == "step.start":
            self._steps[index] = object_in(data, "step")
        elif kind == "step.delta":
            self._apply_step_delta(self._steps.setdefault(index, {"type": "model_output"}), object_in(data, "delta"))
        elif kind == "content.start":
            self._outputs[index] = object_in(data, "content")
        elif kind == "content.delta":
            self._merge(self._outputs.setdefault(index, {}), object_in(data, "delta"))
        else:
            return stage == "stop"
        return True

    def _apply_step_delta(self, step: JSONObject, delta: JSONObject) -> None:
        if text_in(delta, "type") == "text":
            content = array_at(step, "content")
            if not (content and isinstance(content[-1], dict) and content[-1].get("type") == "text"):
                content.append({**delta, "text": ""})
            self._append(content[-1], "text", text_in(delta, "text"))
            return
        fields = {name: value for name, value in delta.items() if name != "type"}
        if isinstance(part := fields.get("content"), dict):
            # A piece of a thought's summary.
            fields["content"] = [part]
        self._merge(step, fields)
