"""Turns failed requests into `BlaxelError`s: failures of the network, of Blaxel or of the provider."""
