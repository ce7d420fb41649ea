"""What a model's type and its provider's id say of its endpoint."""

from typing import Any

import pytest

from blaxel_mcp.catalog.records import ModelRecord, api_of, choose_path, model_path, needs_integration

CHAT = "/v1/chat/completions"
GEMINI = "/v1beta/models"


@pytest.mark.parametrize(
    ("runtime_type", "provider_model", "api", "path"),
    [
        ("openai", "gpt-4o-mini", "chat-completions", CHAT),
        ("openai", None, "chat-completions", CHAT),
        ("openai", "text-embedding-3-small", "embeddings", "/v1/embeddings"),
        ("openai", "gpt-4o-mini-tts", "speech", "/v1/audio/speech"),
        ("openai", "tts-1-hd", "speech", "/v1/audio/speech"),
        ("openai", "nottsville", "chat-completions", CHAT),
        ("openai", "whisper-1", "transcriptions", "/v1/audio/transcriptions"),
        ("openai", "gpt-4o-transcribe-diarize", "transcriptions", "/v1/audio/transcriptions"),
        ("openai", "dall-e-3", "images", "/v1/images/generations"),
        ("openai", "chatgpt-image-latest", "images", "/v1/images/generations"),
        ("azure-openai-service", "Text-Embedding-Ada-002", "embeddings", "/v1/embeddings"),
        ("azure-ai-inference", "phi-4", "chat-completions", "/chat/completions"),
        ("azure-ai-inference", "cohere-embed-v3", "embeddings", "/embeddings"),
        ("mistral", "mistral-embed", "embeddings", "/v1/embeddings"),
        ("mistral", "mistral-large-latest", "chat-completions", CHAT),
        ("xai", "grok-2-image-1212", "images", "/v1/images/generations"),
        ("groq", "whisper-large-v3", "transcriptions", "/v1/audio/transcriptions"),
        ("deepseek", "deepseek-chat", "chat-completions", CHAT),
        ("anthropic", "claude-sonnet-4-5", "messages", "/v1/messages"),
        ("cohere", "command-a-03-2025", "cohere-chat", "/v2/chat"),
        ("cohere", "rerank-v3.5", "rerank", "/v2/rerank"),
        ("cohere", "embed-v4.0", "embeddings", "/compatibility/v1/embeddings"),
        ("gemini", "gemini-2.5-flash", "generate-content", f"{GEMINI}/gemini-2.5-flash:generateContent"),
        ("gemini", "gemini-2.5-tts", "generate-content", f"{GEMINI}/gemini-2.5-tts:generateContent"),
        ("gemini", None, "generate-content", None),
        ("gemini", "gemini-embedding-001", "raw", f"{GEMINI}/gemini-embedding-001:embedContent"),
        ("huggingface", "demo/sentiment", "raw", None),
        ("brand-new", "model-1", "raw", None),
        (None, "model-1", "raw", None),
    ],
)
def test_a_type_and_the_providers_id_tell_the_api_and_the_path(
    runtime_type: str | None, provider_model: str | None, api: str, path: str | None
) -> None:
    record = ModelRecord(name="m", runtime_type=runtime_type, provider_model=provider_model, generation="mk2")

    assert (api_of(record).name, model_path(record)) == (api, path)


@pytest.mark.parametrize("runtime_type", ["openai", "anthropic", "gemini", "azure-ai-inference", "brand-new", None])
def test_an_mk3_model_speaks_chat_completions_whatever_its_provider(runtime_type: str | None) -> None:
    record = ModelRecord(name="m", runtime_type=runtime_type, provider_model="m-embed", generation="mk3")

    assert (api_of(record).name, model_path(record)) == ("chat-completions", CHAT)
    assert not needs_integration(record)


@pytest.mark.parametrize(
    ("integration_path", "api"),
    [(None, "raw"), ("", "raw"), (CHAT, "chat-completions"), ("/v1/embeddings", "embeddings"), ("/predict", "raw")],
)
def test_where_the_type_leaves_it_open_the_integration_tells(integration_path: str | None, api: str) -> None:
    record = ModelRecord(name="m", runtime_type="huggingface", integration_path=integration_path)

    assert needs_integration(record)
    assert (api_of(record).name, model_path(record)) == (api, integration_path)


@pytest.mark.parametrize(
    ("endpoints", "path"),
    [
        pytest.param({"/v1/completions": {}, CHAT: {}, "/chat/completions": {}}, CHAT, id="the usual one is preferred"),
        pytest.param({"/v1/completions": {}, "/chat/completions": {}}, "/chat/completions", id="then another for chat"),
        pytest.param(
            {"/v2/completions": {}, "/v1/completions": {}, "/v10/completions": {}},
            "/v1/completions",
            id="then by its name",
        ),
        pytest.param({"v1/chat/completions": {}}, CHAT, id="without its slash"),
        pytest.param({"/embed": {}, CHAT: {}}, CHAT, id="beside others"),
        pytest.param({"/embed": {}}, "/embed", id="the only one"),
        pytest.param({"/": {}}, "", id="the base endpoint alone"),
        pytest.param({"/embed": {}, "/rank": {}}, None, id="several of a kind"),
        pytest.param({}, None, id="none"),
        pytest.param({"/m/{model}:x": {}}, None, id="a template"),
        pytest.param({"/../up": {}}, None, id="a path that climbs"),
        pytest.param({"/v1/x?y=1": {}}, None, id="a query"),
        pytest.param(["/embed"], None, id="not a map"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_an_integrations_endpoint_is_chosen_predictably(endpoints: Any, path: str | None) -> None:
    assert choose_path({"name": "x", "endpoints": endpoints}) == path
    if isinstance(endpoints, dict):
        assert choose_path({"endpoints": dict(reversed(endpoints.items()))}) == path


@pytest.mark.parametrize("integration", [None, [], "x", {}])
def test_what_is_no_integration_names_no_path(integration: Any) -> None:
    assert choose_path(integration) is None
