"""Diagnostics of a set-up: each check that fails comes with a fix.

A check is an async function in the module of its subject. `runner` lists the checks and runs them.
"""
