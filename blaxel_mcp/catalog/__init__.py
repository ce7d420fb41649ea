"""Which models the workspace has: control plane, discovery, cache.

May import: apis, client, settings, core.
"""
