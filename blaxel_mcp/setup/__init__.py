"""Installing into MCP clients, diagnostics, and a first settings file.

May import: tools, inference, catalog, budget, apis, client, settings, core.
"""
