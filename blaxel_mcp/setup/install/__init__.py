"""This server's entry in the files of MCP clients: its place, its format, and edits of it."""
