"""The models of the demo workspace, and the integrations that serve them."""

from dataclasses import dataclass, replace
from typing import Any, Literal

API = Literal[
    "chat-completions",
    "responses",
    "messages",
    "generate-content",
    "cohere-chat",
    "embeddings",
    "images",
    "speech",
    "transcriptions",
    "rerank",
    "classification",
]

DEMO_WORKSPACE = "demo"

CHAT_PATH = "/v1/chat/completions"
RESPONSES_PATH = "/v1/responses"
EMBEDDINGS_PATH = "/v1/embeddings"
MESSAGES_PATH = "/v1/messages"
COHERE_CHAT_PATH = "/v2/chat"
IMAGES_PATH = "/v1/images/generations"
SPEECH_PATH = "/v1/audio/speech"
TRANSCRIPTIONS_PATH = "/v1/audio/transcriptions"
RERANK_PATH = "/v2/rerank"
GENERATE_PATH = "/v1beta/models/{model}:generateContent"
STREAM_GENERATE_PATH = "/v1beta/models/{model}:streamGenerateContent"
"""The paths of Gemini name the model by the provider's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedModel:
    """One model API of the workspace.

    Args:
        type: The provider's integration, `spec.runtime.type` of the record.
        model: The provider's id of the model, `spec.runtime.model` of the record.
        apis: The APIs of the provider's model.
        generation: `mk2` is served under the workspace's gateway URL, `mk3` at `own_url`.
        own_url: The model's own URL; one that starts with "/" is relative to the emulator's.
        sandbox: Whether it is the trial model of a new workspace.
    """

    name: str
    type: str = "openai"
    model: str = "gpt-4o-mini"
    apis: tuple[API, ...] = ("chat-completions",)
    generation: str = "mk2"
    own_url: str | None = None
    enabled: bool = True
    sandbox: bool = False
    status: str = "DEPLOYED"
    policies: tuple[str, ...] = ()
    created_at: str = "2026-08-20T10:00:00.000Z"

    def to_json(self, workspace: str, base_url: str) -> dict[str, Any]:
        """Return the Model resource of the control plane (Blaxel's Python SDK, client/models/model)."""
        metadata: dict[str, Any] = {
            "name": self.name,
            "displayName": self.name,
            "workspace": workspace,
            "labels": {},
            "createdAt": self.created_at,
            "updatedAt": self.created_at,
            "createdBy": "demo-user",
            "updatedBy": "demo-user",
        }
        if self.own_url is not None:
            metadata["url"] = base_url + self.own_url if self.own_url.startswith("/") else self.own_url
        return {
            "metadata": metadata,
            "spec": {
                "enabled": self.enabled,
                "sandbox": self.sandbox,
                "integrationConnections": [f"{workspace}-{self.type}"],
                "policies": list(self.policies),
                "flavors": [],
                "runtime": {"type": self.type, "model": self.model, "generation": self.generation},
            },
            "status": self.status,
            "events": [],
        }


def demo_models() -> dict[str, EmulatedModel]:
    """Return a new copy of the demo workspace's models by name, newest first."""
    records = (
        EmulatedModel(name="house-chat", apis=("chat-completions", "responses")),
        EmulatedModel(name="house-embed", model="text-embedding-3-small", apis=("embeddings",)),
        EmulatedModel(
            name="house-classifier", type="huggingface", model="demo/house-sentiment", apis=("classification",)
        ),
        EmulatedModel(name="sandbox-openai", sandbox=True),
        EmulatedModel(
            name="edge-chat", apis=("chat-completions", "embeddings"), generation="mk3", own_url="/direct/edge-chat"
        ),
        EmulatedModel(name="house-claude", type="anthropic", model="claude-sonnet-4-5", apis=("messages",)),
        EmulatedModel(name="house-gemini", type="gemini", model="gemini-2.5-flash", apis=("generate-content",)),
        EmulatedModel(name="house-cohere", type="cohere", model="command-a-03-2025", apis=("cohere-chat",)),
        EmulatedModel(name="house-rerank", type="cohere", model="rerank-v3.5", apis=("rerank",)),
        EmulatedModel(name="house-painter", model="gpt-image-1", apis=("images",)),
        EmulatedModel(name="house-voice", model="gpt-4o-mini-tts", apis=("speech",)),
        EmulatedModel(name="house-ears", model="whisper-1", apis=("transcriptions",)),
    )
    return {
        record.name: replace(record, created_at=f"2026-08-20T10:00:{11 - index:02}.000Z")
        for index, record in enumerate(records)
    }


def _endpoint_entry(body: dict[str, Any], stream_key: str, tokens: dict[str, str]) -> dict[str, Any]:
    return {
        "method": "POST",
        "body": body,
        "models": [],
        "ignoreModels": [],
        "streamKey": stream_key,
        "token": tokens,
        "streamToken": tokens if stream_key else {},
    }


def integrations() -> dict[str, dict[str, Any]]:
    """Return the integrations by type, each with its endpoints by path (Blaxel CLI, the default path of `bl run`)."""
    usage = {"received": "usage.prompt_tokens", "sent": "usage.completion_tokens", "total": "usage.total_tokens"}
    responses_usage = {"received": "usage.input_tokens", "sent": "usage.output_tokens", "total": "usage.total_tokens"}
    gemini_usage = {
        "received": "usageMetadata.promptTokenCount",
        "sent": "usageMetadata.candidatesTokenCount",
        "total": "usageMetadata.totalTokenCount",
    }
    cohere_usage = {"received": "usage.tokens.input_tokens", "sent": "usage.tokens.output_tokens", "total": ""}
    chat = {"messages": [{"role": "user", "content": "Hello"}]}
    contents = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    openai = {
        CHAT_PATH: _endpoint_entry(chat, "choices.0.delta.content", usage),
        RESPONSES_PATH: _endpoint_entry({"input": "Hello"}, "delta", responses_usage),
        EMBEDDINGS_PATH: _endpoint_entry({"input": "Hello"}, "", usage),
        IMAGES_PATH: _endpoint_entry({"prompt": "A house"}, "", {}),
        SPEECH_PATH: _endpoint_entry({"input": "Hello", "voice": "alloy"}, "", {}),
        TRANSCRIPTIONS_PATH: _endpoint_entry({}, "", {}),
    }
    anthropic = {MESSAGES_PATH: _endpoint_entry({**chat, "max_tokens": 100}, "delta.text", responses_usage)}
    gemini = {
        GENERATE_PATH: _endpoint_entry(contents, "", gemini_usage),
        STREAM_GENERATE_PATH: _endpoint_entry(contents, "candidates.0.content.parts.0.text", gemini_usage),
    }
    cohere = {
        COHERE_CHAT_PATH: _endpoint_entry(chat, "delta.message.content.text", cohere_usage),
        RERANK_PATH: _endpoint_entry({"query": "Hello", "documents": ["Hello"]}, "", {}),
    }
    endpoints = {
        "openai": openai,
        "anthropic": anthropic,
        "gemini": gemini,
        "cohere": cohere,
        "huggingface": {"/": _endpoint_entry({"inputs": "Hello"}, "", {})},
    }
    return {name: {"name": name, "endpoints": paths, "headers": {}, "params": {}} for name, paths in endpoints.items()}
