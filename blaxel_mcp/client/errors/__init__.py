"""Turns a failed request into a `BlaxelError`: of the network, Blaxel or the provider."""
