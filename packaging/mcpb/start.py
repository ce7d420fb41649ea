"""Starts the server of the bundle, with the settings file that the user has chosen, if any."""

# ruff: noqa: INP001 - a script, not a package
import os
import sys

from blaxel_mcp.cli.main import main

# For a field that was left empty, a client passes an empty text or the reference itself. As BLAXEL_MCP_CONFIG, both
# would be a mistake: a path that was meant to be there.
LEFT_EMPTY = ("", "${user_config.settings_file}")

if __name__ == "__main__":
    chosen = os.environ.pop("BUNDLE_SETTINGS_FILE", "").strip()
    if chosen not in LEFT_EMPTY:
        os.environ["BLAXEL_MCP_CONFIG"] = chosen
    sys.exit(main())
