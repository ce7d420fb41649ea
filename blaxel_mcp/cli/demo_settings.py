"""The settings that lead to the emulator's workspace."""

from typing import Any

from blaxel_mcp.settings.schema import ModelSettings

DEMO_WORKSPACE = "demo"
DEMO_KEY = "demo-key"

DEMO_MODELS: tuple[dict[str, Any], ...] = (
    {
        "name": "house-chat",
        "api": "chat-completions",
        "description": "The in-house chat model: short questions, arithmetic, a second opinion.",
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
"""Models of the emulator's workspace, as `[[models]]` entries."""


def demo_overrides(*, run_url: str, api_url: str) -> dict[str, Any]:
    """Return settings, as from the command line, that lead every call to an emulator."""
    return {
        "workspace": DEMO_WORKSPACE,
        "api_key": DEMO_KEY,
        "run_url": run_url,
        "api_url": api_url,
        "budget": {"ledger": ":memory:"},
        "models": [ModelSettings.model_validate(model) for model in DEMO_MODELS],
    }
