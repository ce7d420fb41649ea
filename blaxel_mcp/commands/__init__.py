"""What each command of `blaxel-mcp` does, one file each."""
