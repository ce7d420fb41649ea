"""The APIs that a model can speak: request bodies, schemas, answers, event streams.

May import: core.

A new API is a class, and its entry in `APIS`.
"""

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.conversations import ChatCompletions, CohereChat, Messages, Responses
from blaxel_mcp.apis.generate_content import GenerateContent
from blaxel_mcp.apis.media import Images, Speech, Transcriptions
from blaxel_mcp.apis.raw import Raw
from blaxel_mcp.apis.retrieval import Embeddings, Rerank

CHAT_COMPLETIONS = ChatCompletions()
RAW = Raw()

APIS: tuple[ModelAPI, ...] = (
    CHAT_COMPLETIONS,
    Responses(),
    Messages(),
    GenerateContent(),
    CohereChat(),
    Embeddings(),
    Images(),
    Speech(),
    Transcriptions(),
    Rerank(),
    RAW,
)


def api_named(name: str) -> ModelAPI | None:
    """Return the API with this name in the settings (`models[].api`), or None if there is none."""
    return next((api for api in APIS if api.name == name), None)


def api_at(path: str) -> ModelAPI | None:
    """Return the API that answers at a sub-endpoint, for callers that pass only a path; None if none does."""
    return next((api for api in APIS if api.answers_at(path)), None)


__all__ = ["APIS", "CHAT_COMPLETIONS", "RAW", "ModelAPI", "api_at", "api_named"]
