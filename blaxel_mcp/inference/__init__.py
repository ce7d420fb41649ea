"""One call of a model: prepare, limit, reserve, send, retry, read.

May import: catalog, budget, apis, client, shared, settings, core.
"""
