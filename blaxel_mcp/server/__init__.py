"""The MCP server: tenants, stdio, streamable HTTP and the authentication of its callers.

May import: tools, inference, catalog, budget, apis, client, shared, settings, core.
"""
