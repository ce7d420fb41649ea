"""An MCP server that gives an agent one tool per Blaxel model API."""

__version__ = "0.1.0"
