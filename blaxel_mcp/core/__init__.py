"""Exceptions, JSON text, redaction, logging, private files.

May import: nothing of this project.
"""
