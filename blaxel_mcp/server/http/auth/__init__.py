"""Verify the bearer tokens of HTTP callers: static tokens and JWTs of a named issuer."""
