"""The settings that lead to the emulator's workspace."""

from typing import Any

DEMO_WORKSPACE = "demo"
DEMO_KEY = "demo-key"

DEMO_MODELS: tuple[dict[str, Any], ...] = (
    {
        "name": "house-chat",
        "api": "chat-completions",
        "description": "Short questions, arithmetic, a second opinion.",
        "price": {"input": 0.15, "output": 0.60},
    },
    {"name": "house-embed", "api": "embeddings", "description": "Embeds texts, to compare their meaning."},
    {"name": "house-classifier", "api": "raw", "description": "Classifies the sentiment of a text, given as `inputs`."},
    {
        "name": "edge-chat",
        "api": "chat-completions",
        "title": "Edge chat (mk3)",
        "description": "A chat model of generation mk3, served at its own URL.",
    },
)
"""The models of the tour of `demo`, as `[[models]]` entries."""

_OTHERS: tuple[dict[str, Any], ...] = (
    {"name": "house-claude", "api": "messages"},
    {"name": "house-gemini", "path": "/v1beta/models/gemini-2.5-flash:generateContent"},
    {"name": "house-cohere", "api": "cohere-chat"},
    {"name": "house-rerank", "api": "rerank"},
    {"name": "house-painter", "api": "images"},
    {"name": "house-voice", "api": "speech"},
    {"name": "house-ears", "api": "transcriptions"},
    {"name": "sandbox-openai", "api": "chat-completions"},
)
"""The other models of the emulator's workspace."""


def demo_overrides(*, run_url: str, api_url: str) -> dict[str, Any]:
    """Return the settings that `--demo` stands for, which lead every call to the base URLs of an emulator."""
    return {
        "workspace": DEMO_WORKSPACE,
        "api_key": DEMO_KEY,
        # A demo must not use the user's own workspaces or their keys.
        "workspaces": {},
        "discovery": {"workspaces": []},
        "run_url": run_url,
        "api_url": api_url,
        "budget": {"ledger": ":memory:"},
        "models": [*DEMO_MODELS, *_OTHERS],
    }
