"""Event streams of the providers: bytes to events, events to the answer that they add up to.

Nothing here does I/O. A new format is a new assembler and its entry in `registry`.
"""

from blaxel_mcp.apis.streams.assembler import Assembler
from blaxel_mcp.apis.streams.decoders import MAX_EVENT_BYTES, Event, EventDecoder
from blaxel_mcp.apis.streams.registry import FormatChooser, decoder_by_content, event_decoder, has_stream_format

__all__ = [
    "MAX_EVENT_BYTES",
    "Assembler",
    "Event",
    "EventDecoder",
    "FormatChooser",
    "decoder_by_content",
    "event_decoder",
    "has_stream_format",
]
