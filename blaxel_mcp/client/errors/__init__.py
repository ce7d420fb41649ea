"""Classify a failed request and word its error: the network, Blaxel or the provider."""
