"""The streams of `tests/apis/streams/data`, decoded and assembled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blaxel_mcp.apis.streams import Assembler, Event, EventDecoder, FormatChooser, event_decoder

FOLDER = Path(__file__).parents[1] / "apis" / "streams" / "data"
CONTENT_TYPES = {
    ".sse": ("text/event-stream; charset=utf-8", ""),
    ".ndjson": ("application/x-ndjson", ""),
    ".array": ("application/json; charset=UTF-8", "/v1beta/models/gemini-2.5-flash:streamGenerateContent"),
}
STREAMS = sorted(file for file in FOLDER.iterdir() if file.suffix in CONTENT_TYPES)


@dataclass(frozen=True, slots=True)
class Read:
    """The events of a stream, and whether it ended inside one."""

    events: list[Event]
    unfinished: bool


def decoder_of(stream: Path) -> EventDecoder:
    content_type, path = CONTENT_TYPES[stream.suffix]
    decoder = event_decoder(content_type, path)
    assert decoder is not None
    return decoder


def read(stream: Path, content: bytes | None = None, *, size: int = 1 << 20) -> Read:
    """Decode a stream in chunks of `size` bytes."""
    decoder = decoder_of(stream)
    content = stream.read_bytes() if content is None else content
    events = [event for at in range(0, len(content), size) for event in decoder.feed(content[at : at + size])]
    return Read(events + decoder.finish(), decoder.unfinished)


def expected_of(stream: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads(stream.with_name(f"{stream.stem}.expected.json").read_text(encoding="utf-8"))
    return expected


def assembled(events: list[Event], api: str | None) -> Assembler:
    assembler = FormatChooser(api).choose(events, ended=True)
    assert assembler is not None
    return assembler


REPLACEMENTS: tuple[Any, ...] = (None, "", "x", -1, 1e300, True, [], {}, [None], [[]], {"text": 1})
"""A value of each type, and some with another one inside."""


def mangled(value: Any, replacement: Any) -> list[Any]:
    """Copies of a value, each with one of the values inside it replaced."""
    if isinstance(value, dict):
        inner = [
            {**value, name: changed}
            for name, inner_value in value.items()
            for changed in mangled(inner_value, replacement)
        ]
        return [*inner, replacement]
    if isinstance(value, list):
        inner_items = [
            [*value[:at], changed, *value[at + 1 :]]
            for at, item in enumerate(value)
            for changed in mangled(item, replacement)
        ]
        return [*inner_items, replacement]
    return [replacement]
