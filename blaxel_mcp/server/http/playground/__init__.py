"""The Playground: a page on loopback that is an MCP client of the server behind it."""
