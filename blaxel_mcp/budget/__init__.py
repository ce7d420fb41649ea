"""Prices, token usage, budget caps and the ledger.

May import: shared, settings, core.
"""
