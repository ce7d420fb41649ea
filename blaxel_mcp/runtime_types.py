"""What a model's runtime type says of its endpoint.

The paths are those that the adapters of Blaxel's own SDKs append for each type.
"""

from collections.abc import Mapping
from types import MappingProxyType

_CHAT = "/v1/chat/completions"

_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "/v1/messages",
        "azure-ai-inference": "/chat/completions",
        "azure-marketplace": _CHAT,
        "azure-openai-service": _CHAT,
        "cerebras": _CHAT,
        "cohere": "/v2/chat",
        "deepseek": _CHAT,
        "gemini": "/v1beta/models/{provider_model}:generateContent",
        "groq": _CHAT,
        "mistral": _CHAT,
        "openai": _CHAT,
        "public_model": _CHAT,
        "vertexai": _CHAT,
        "xai": _CHAT,
    }
)
"""Hugging Face types are missing on purpose: they serve chat and base-endpoint models alike."""


def default_path(runtime_type: str | None, *, generation: str | None, provider_model: str | None) -> str | None:
    """The sub-endpoint that a model of this type is called at, or None where the type leaves it open.

    An mk3 model is OpenAI-shaped whatever its provider.
    """
    if generation == "mk3":
        return _CHAT
    path = _PATHS.get(runtime_type or "")
    if path is None or ("{provider_model}" in path and not provider_model):
        return None
    return path.format(provider_model=provider_model)
