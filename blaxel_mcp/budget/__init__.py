"""Prices, token usage, budget caps, the ledger, and the state that several processes share through Redis or Valkey.

May import: settings, core.
"""
