"""A loopback stand-in for the documented platform.

It serves the inference gateway, the control plane's records and the token endpoint, and
refuses what the platform would refuse. Its answers are computed from the request. It
shares no code with the client, so that one misreading of the API cannot hide in both.
"""

from blaxel_mcp.emulator.app import create_app
from blaxel_mcp.emulator.recording import RecordedRequest
from blaxel_mcp.emulator.records import ModelRecord
from blaxel_mcp.emulator.server import run_emulator
from blaxel_mcp.emulator.state import Emulator
from blaxel_mcp.emulator.upstream import Upstream

__all__ = ["Emulator", "ModelRecord", "RecordedRequest", "Upstream", "create_app", "run_emulator"]
