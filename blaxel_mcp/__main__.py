"""Run `blaxel-mcp` as `python -m blaxel_mcp`."""

import sys

from blaxel_mcp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
