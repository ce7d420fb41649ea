"""The settings that lead to the emulator's workspace."""

from typing import Any

from blaxel_mcp.settings.schema import ModelSettings

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
"""Models of the emulator's workspace, as `[[models]]` entries."""

_OTHERS: tuple[dict[str, str], ...] = (
    {"name": "house-claude", "api": "messages"},
    {"name": "house-gemini", "path": "/v1beta/models/gemini-2.5-flash:generateContent"},
    {"name": "house-cohere", "api": "cohere-chat"},
    {"name": "house-rerank", "api": "rerank"},
    {"name": "house-painter", "api": "images"},
    {"name": "house-voice", "api": "speech"},
    {"name": "house-ears", "api": "transcriptions"},
    {"name": "sandbox-openai", "api": "chat-completions"},
)
"""The other models of the emulator's workspace; the tour of `demo` has no tools for them."""


def demo_overrides(*, run_url: str, api_url: str, every_model: bool = False) -> dict[str, Any]:
    """Return the settings that `--demo` stands for, which lead every call to an emulator.

    Args:
        run_url: The emulator's base URL of inference.
        api_url: The emulator's base URL of the control plane.
        every_model: Whether each of its models has a tool, and not only those of the tour.
    """
    return {
        "workspace": DEMO_WORKSPACE,
        "api_key": DEMO_KEY,
        # A demo must not use the user's own workspaces or their keys.
        "workspaces": {},
        "discovery": {"workspaces": []},
        "run_url": run_url,
        "api_url": api_url,
        "budget": {"ledger": ":memory:"},
        "models": [ModelSettings.model_validate(model) for model in (*DEMO_MODELS, *(_OTHERS if every_model else ()))],
    }
