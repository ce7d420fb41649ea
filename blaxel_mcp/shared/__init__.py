"""State that several processes share through Redis or Valkey: the connection, leases, and the encryption of answers.

May import: settings, core.
"""
