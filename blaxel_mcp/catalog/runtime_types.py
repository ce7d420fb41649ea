"""What a model's record says of its endpoint: which API it speaks, and at which sub-endpoint.

The paths of the chat APIs are those that the adapters of Blaxel's own SDKs append for each
type. A type is a provider and not an API, so the provider's id of the model has a say as well.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core.exceptions import InvalidArgumentsError

_CHAT = "chat-completions"
_COHERE = "cohere-chat"
_GEMINI = "generate-content"
_RAW = "raw"

_PATHS: Mapping[str, str] = MappingProxyType(
    {
        _CHAT: "/v1/chat/completions",
        _COHERE: "/v2/chat",
        "embeddings": "/v1/embeddings",
        _GEMINI: "/v1beta/models/{provider_model}:generateContent",
        "images": "/v1/images/generations",
        "messages": "/v1/messages",
        "rerank": "/v2/rerank",
        "responses": "/v1/responses",
        "speech": "/v1/audio/speech",
        "transcriptions": "/v1/audio/transcriptions",
    }
)

_OTHER_PATHS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        # Blaxel's older Python SDK leaves the version out for this type.
        ("azure-ai-inference", _CHAT): "/chat/completions",
        ("azure-ai-inference", "embeddings"): "/embeddings",
        # Cohere's own API for embeddings has another shape; this is its Compatibility API.
        ("cohere", "embeddings"): "/compatibility/v1/embeddings",
        ("gemini", _RAW): "/v1beta/models/{provider_model}:embedContent",
    }
)
"""Where a type serves an API at another path than the rest."""

_APIS: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "messages",
        "azure-ai-inference": _CHAT,
        "azure-marketplace": _CHAT,
        "azure-openai-service": _CHAT,
        "cerebras": _CHAT,
        "cohere": _COHERE,
        "deepseek": _CHAT,
        "gemini": _GEMINI,
        "groq": _CHAT,
        "mistral": _CHAT,
        "openai": _CHAT,
        "public_model": _CHAT,
        "vertexai": _CHAT,
        "xai": _CHAT,
    }
)
"""What a type speaks. Hugging Face types are missing on purpose: they serve chat and base-endpoint models alike."""

_APIS_BY_ID: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]] = MappingProxyType(
    {
        _CHAT: (
            (re.compile(r"embed"), "embeddings"),
            (re.compile(r"(?<![a-z])tts(?![a-z])"), "speech"),
            (re.compile(r"whisper|transcribe"), "transcriptions"),
            (re.compile(r"dall-e|gpt-image|grok-[\w.-]*image"), "images"),
        ),
        _COHERE: ((re.compile(r"rerank"), "rerank"), (re.compile(r"embed"), "embeddings")),
        _GEMINI: ((re.compile(r"embed"), _RAW),),
    }
)
"""What a model with such an id speaks instead, by what its type speaks; the first that fits counts."""


def api_name(record: ModelRecord) -> str:
    """Name the API that a model speaks, as `api` in the settings does; `raw` where nothing tells.

    An mk3 model is OpenAI-shaped whatever its provider (Blaxel's TypeScript SDK).
    """
    if record.generation == "mk3":
        return _CHAT
    own = _APIS.get(record.runtime_type or "")
    if own is None:
        return next((api for api, path in _PATHS.items() if path == record.integration_path), _RAW)
    provider_model = (record.provider_model or "").lower()
    return next((api for pattern, api in _APIS_BY_ID.get(own, ()) if pattern.search(provider_model)), own)


def model_path(record: ModelRecord) -> str | None:
    """The sub-endpoint that a model is called at, empty for the base endpoint, or None where nothing tells."""
    if leaves_path_open(record):
        return record.integration_path
    api = api_name(record)
    path = _PATHS.get(api)
    if record.generation != "mk3":
        path = _OTHER_PATHS.get((record.runtime_type or "", api), path)
    if path is None or "{provider_model}" not in path:
        return path
    return path.format(provider_model=record.provider_model) if record.provider_model else None


def leaves_path_open(record: ModelRecord) -> bool:
    """Whether a model's type does not tell where it is called."""
    return record.generation != "mk3" and record.runtime_type not in _APIS


def path_of_integration(integration: Any) -> str | None:
    """Choose among the endpoints of an integration (`GET /integrations/{type}`) the one to call.

    `bl run` takes any of those whose path holds "completions", at random. Here it is
    `/v1/chat/completions` if that is there, else the shortest for chat, else the shortest; among
    equals the first of the alphabet. Without any such path it is the only one there is.

    Returns:
        The path, empty for the base endpoint; None where nothing distinguishes one.
    """
    endpoints = integration.get("endpoints") if isinstance(integration, Mapping) else None
    if not isinstance(endpoints, Mapping):
        return None
    paths = sorted({path for path in map(_plain_path, endpoints) if path is not None}, key=_preference)
    if paths and ("completions" in paths[0] or len(paths) == 1):
        return paths[0]
    return None


def _preference(path: str) -> tuple[bool, bool, bool, int, str]:
    return path != _PATHS[_CHAT], "chat/completions" not in path, "completions" not in path, len(path), path


def _plain_path(key: Any) -> str | None:
    """Return the path that a key of `endpoints` names; None for a template, a query or what is no path at all."""
    if not isinstance(key, str) or "{" in key:
        return None
    try:
        path, query = split_path(key)
    except InvalidArgumentsError:
        return None
    return None if query else path
