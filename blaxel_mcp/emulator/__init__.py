"""The Blaxel platform on loopback, for demos and tests.

May import: nothing of this project.

It serves the inference gateway, the control plane's records and the token endpoint, and
rejects what the platform would reject. Its answers are computed from the request. It shares
no code with the client, so one misreading of the API cannot hide in both.
"""

from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.emulator.platform.state import Emulator, RecordedRequest
from blaxel_mcp.emulator.platform.upstream import Upstream
from blaxel_mcp.emulator.server import create_app, run_emulator

__all__ = ["EmulatedModel", "Emulator", "RecordedRequest", "Upstream", "create_app", "run_emulator"]
