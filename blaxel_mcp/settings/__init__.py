"""The settings schema, and where values come from: command line, environment, TOML file, `bl login`.

May import: core.
"""
