"""Authentication of HTTP callers: static tokens, JWTs of an issuer, or a Blaxel credential of the caller's own."""
