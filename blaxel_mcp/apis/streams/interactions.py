"""Events of Google's Interactions API (Gemini API reference, "Interactions", streaming)."""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import joined_text
from blaxel_mcp.core.json_text import JSONObject


class InteractionsAssembler(Assembler):
    """Assembles the events of an interaction: steps, or in earlier versions of the API outputs, and their deltas."""

    path_ends = ("/interactions",)
    kind_prefixes = ("interaction.", "step.", "content.")

    def __init__(self) -> None:
        super().__init__()
        self._steps: dict[int, JSONObject] = {}
        self._outputs: dict[int, JSONObject] = {}

    @property
    def text(self) -> str:
        """The text of the model's output, without thoughts."""
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
            content = step["content"] = objects_in(step, "content")
            if not content or content[-1].get("type") != "text":
                content.append({**delta, "text": ""})
            self._append(content[-1], "text", text_in(delta, "text"))
            return
        fields = {name: value for name, value in delta.items() if name != "type"}
        if isinstance(part := fields.get("content"), dict):
            # A piece of a thought's summary.
            fields["content"] = [part]
        self._merge(step, fields)
