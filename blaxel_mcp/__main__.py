"""`python -m blaxel_mcp` is `blaxel-mcp`."""

import sys

from blaxel_mcp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
