"""The names under which settings and results speak of a model's API."""

from typing import Literal

ApiName = Literal["chat-completions", "embeddings", "raw"]
"""What `api` in a `[[models]]` entry may say."""
