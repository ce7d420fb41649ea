"""Streamable HTTP: addresses, authentication, in-flight requests, shutdown, worker processes."""
