"""Streamable HTTP: addresses, authentication, requests in flight, shutdown."""
