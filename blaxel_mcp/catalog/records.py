"""Model records of the control plane, parsed leniently, and the API and the sub-endpoint of a model by its record.

A value of an unknown type is omitted rather than rejected: the platform adds types, statuses and fields without notice.
The fields are those of the Model resource in Blaxel's Python SDK, client/models/model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.apis import CHAT_COMPLETIONS, RAW, ModelAPI, api_at, api_named
from blaxel_mcp.client.endpoints import split_path
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import Redact, literal, quote

DEPLOYED = "DEPLOYED"
"""The status of a model that serves requests."""

_MAX_ID = 200
_MAX_URL = 2000
_MAX_DISPLAY_NAME = 80
_MAX_STATUS = 40
_MAX_POLICIES = 5
_MAX_POLICY = 60
_STATUS = re.compile(r"[A-Z]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The fields of a Model resource that this server uses. Absent and empty values are None.

    Identifiers are exactly as the platform sent them, or omitted. `display_name` and `status` are
    only shown, and are cleaned for that.

    Attributes:
        name: The model API's name in its workspace.
        display_name: The name for people.
        runtime_type: The type of the provider, such as `openai`.
        provider_model: The provider's own id of the model.
        generation: `mk2`, `mk3` or None.
        url: The model's own endpoint URL.
        status: A status such as `DEPLOYED`; never a reason to reject a call.
        sandbox: Whether it is the trial model of a new workspace.
        policies: The names of the first few policies that limit the model.
        integration_path: The sub-endpoint from the integration of the model's type, empty for the base
            endpoint. It is requested only if `needs_integration` is true.
    """

    name: str
    display_name: str | None = None
    runtime_type: str | None = None
    provider_model: str | None = None
    generation: str | None = None
    url: str | None = None
    status: str | None = None
    enabled: bool = True
    sandbox: bool = False
    policies: tuple[str, ...] = ()
    integration_path: str | None = None

    @property
    def shown_status(self) -> str:
        """The status for a sentence: a word such as `FAILED` as it is, anything else quoted, empty if absent."""
        status = self.status or ""
        return status if not status or _STATUS.fullmatch(status) else literal(status)


def read_record(value: Any, redact: Redact | None = None) -> ModelRecord | None:
    """Parse a Model resource, any JSON value; None if it has no name. `redact` cleans the texts that are shown."""
    metadata, spec = _object(value, "metadata"), _object(value, "spec")
    runtime = _object(spec, "runtime")
    name = _id(metadata.get("name"))
    if name is None:
        return None
    policies = spec.get("policies")
    policies = policies if isinstance(policies, list) else []
    return ModelRecord(
        name=name,
        display_name=_display_text(metadata.get("displayName"), _MAX_DISPLAY_NAME, redact),
        runtime_type=_id(runtime.get("type")),
        provider_model=_id(runtime.get("model")),
        generation=_id(runtime.get("generation")),
        url=_id(metadata.get("url"), limit=_MAX_URL),
        status=_display_text(value.get("status"), _MAX_STATUS, redact),
        enabled=spec.get("enabled") is not False,
        sandbox=spec.get("sandbox") is True,
        policies=tuple(name for policy in policies[:_MAX_POLICIES] if (name := _id(policy, limit=_MAX_POLICY))),
    )


def read_model_list(value: Any, redact: Redact | None = None) -> tuple[list[ModelRecord], str | None]:
    """Parse a response of `GET /models`: a bare array, or a page with a cursor (Blaxel docs, API versioning).

    Returns the records, without invalid entries, and the cursor of the next page, None on the last; raises TypeError
    for any other shape.
    """
    meta = _object(value, "meta")
    if isinstance(value, Mapping) and "data" in value:
        # Go, in which the platform's tools are written, encodes an empty list as null.
        value = [] if value["data"] is None else value["data"]
    if not isinstance(value, list):
        raise TypeError("it is not a list of models")
    records = [record for item in value if (record := read_record(item, redact))]
    cursor = _id(meta.get("nextCursor"), limit=_MAX_URL)
    return records, None if meta.get("hasMore") is False else cursor


def _object(value: Any, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _id(value: Any, *, limit: int = _MAX_ID) -> str | None:
    """Return an identifier unchanged; None if it is too long or unprintable, since a cleaned one is another one."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip() if len(value) <= limit and value.isprintable() else None


def _display_text(value: Any, limit: int, redact: Redact | None) -> str | None:
    return quote(value, limit, redact) or None if isinstance(value, str) else None


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
