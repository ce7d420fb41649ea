"""The HTTP client of Blaxel: authentication, endpoints, bounds, errors.

May import: settings, core.
"""
