"""Event streams of the providers, as values: bytes to events, events to the answer they add up to.

Nothing here reads from a network or waits. One more format is one more assembler and its lines
in `recognition`.
"""

from blaxel_mcp.apis.streams.assembler import Assembler
from blaxel_mcp.apis.streams.completeness import incomplete_reason
from blaxel_mcp.apis.streams.events import MAX_EVENT_BYTES, Event, EventDecoder
from blaxel_mcp.apis.streams.registry import assembler_for, event_decoder

__all__ = [
    "MAX_EVENT_BYTES",
    "Assembler",
    "Event",
    "EventDecoder",
    "assembler_for",
    "event_decoder",
    "incomplete_reason",
]
