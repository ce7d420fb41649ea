"""MCP tools and resources, the shape of their results, and the store of complete answers.

May import: inference, catalog, budget, apis, client, shared, settings, core.
"""
