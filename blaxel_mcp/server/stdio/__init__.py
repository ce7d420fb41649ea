"""The stdio transport: standard streams, frames, and the end of the process.

The command line claims the standard streams before it imports anything else, so this file imports nothing.
"""
