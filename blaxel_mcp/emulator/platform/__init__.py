"""Records, credentials, tokens and error bodies of the emulated platform."""
