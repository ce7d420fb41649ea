"""The argument parser and one module per command.

May import: everything.
"""
