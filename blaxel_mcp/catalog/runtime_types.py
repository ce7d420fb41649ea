"""The API and the sub-endpoint of a model, by its record.

The paths of the chat APIs are those that the adapters of Blaxel's own SDKs append for each
runtime type. A type stands for a provider and not an API, so the provider's id of the model
counts too.
"""

import re
from collections.abc import Mapping
from typing import Any

from blaxel_mcp.apis import CHAT_COMPLETIONS, RAW, ModelAPI, api_at, api_named
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core.exceptions import InvalidArgumentsError

_CHAT = "chat-completions"
_COHERE = "cohere-chat"
_GEMINI = "generate-content"
_OTHER_PATHS: Mapping[tuple[str, str], str] = {
    # Blaxel's older Python SDK leaves the version out for this type.
    ("azure-ai-inference", _CHAT): "/chat/completions",
    ("azure-ai-inference", "embeddings"): "/embeddings",
    # Cohere's own API for embeddings has another shape; this is its Compatibility API.
    ("cohere", "embeddings"): "/compatibility/v1/embeddings",
    ("gemini", RAW.name): "/v1beta/models/{provider_model}:embedContent",
}
"""Runtime types that serve an API at another path than the rest."""

_CHAT_TYPES = (
    *("azure-ai-inference", "azure-marketplace", "azure-openai-service", "cerebras", "deepseek", "groq", "mistral"),
    *("openai", "public_model", "vertexai", "xai"),
)
_APIS: Mapping[str, str] = {
    "anthropic": "messages",
    "cohere": _COHERE,
    "gemini": _GEMINI,
    **dict.fromkeys(_CHAT_TYPES, _CHAT),
}
"""The API of each runtime type. Hugging Face types are missing on purpose: they serve chat and base-endpoint models."""

RUNTIME_TYPES = frozenset({*_APIS, "hf_private_endpoint", "hf_public_endpoint", "huggingface"})
"""The runtime types that are known; text shows any other only as a quotation."""

_APIS_BY_ID: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    _CHAT: (
        (re.compile(r"embed"), "embeddings"),
        (re.compile(r"(?<![a-z])tts(?![a-z])"), "speech"),
        (re.compile(r"whisper|transcribe"), "transcriptions"),
        (re.compile(r"dall-e|gpt-image|grok-[\w.-]*image"), "images"),
    ),
    _COHERE: ((re.compile(r"rerank"), "rerank"), (re.compile(r"embed"), "embeddings")),
    _GEMINI: ((re.compile(r"embed"), RAW.name),),
}
"""For each API of a type, the ids whose models speak another API instead; the first match counts."""


def api_of(record: ModelRecord) -> ModelAPI:
    """Return a model's API; `RAW` if it is not known.

    Every mk3 model speaks OpenAI's API (Blaxel's TypeScript SDK).
    """
    if record.generation == "mk3":
        return CHAT_COMPLETIONS
    own = _APIS.get(record.runtime_type or "")
    if own is None:
        return api_at(record.integration_path or "") or RAW
    provider_model = (record.provider_model or "").lower()
    name = next((api for pattern, api in _APIS_BY_ID.get(own, ()) if pattern.search(provider_model)), own)
    return api_named(name) or RAW


def model_path(record: ModelRecord) -> str | None:
    """Return the sub-endpoint of a model, empty for the base endpoint; None if it is not known."""
    if needs_integration(record):
        return record.integration_path
    api = api_of(record)
    other = None if record.generation == "mk3" else _OTHER_PATHS.get((record.runtime_type or "", api.name))
    return other.format(provider_model=record.provider_model) if other else api.endpoint_path(record.provider_model)


def needs_integration(record: ModelRecord) -> bool:
    """Return whether only the integration of a model's type says where the model is called."""
    return record.generation != "mk3" and record.runtime_type not in _APIS


def choose_path(integration: Any) -> str | None:
    """Choose the path to call from the endpoints of an integration (`GET /integrations/{type}`).

    `bl run` picks one of the paths with "completions" at random. This prefers `/v1/chat/completions`,
    then the shortest path for chat, then the shortest with "completions"; ties are decided by the alphabet.

    Returns:
        The path, empty for the base endpoint. Without a path with "completions", the only path there is;
        None if there are several.
    """
    endpoints = integration.get("endpoints") if isinstance(integration, Mapping) else None
    if not isinstance(endpoints, Mapping):
        return None
    paths = sorted(
        {path for path in map(_plain_path, endpoints) if path is not None},
        key=lambda path: (
            path != CHAT_COMPLETIONS.path,
            "chat/completions" not in path,
            "completions" not in path,
            len(path),
            path,
        ),
    )
    if paths and ("completions" in paths[0] or len(paths) == 1):
        return paths[0]
    return None


def _plain_path(key: Any) -> str | None:
    """Return the path that a key of `endpoints` names; None if it has a template or a query, or is invalid."""
    if not isinstance(key, str) or "{" in key:
        return None
    try:
        path, query = split_path(key)
    except InvalidArgumentsError:
        return None
    return None if query else path
