"""The APIs that a model can speak: request bodies, schemas, answers, event streams.

May import: core.

Each API has its own module. A new one also needs an entry in `APIS`.
"""

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.chat_completions import ChatCompletions
from blaxel_mcp.apis.cohere_chat import CohereChat
from blaxel_mcp.apis.embeddings import Embeddings
from blaxel_mcp.apis.generate_content import GenerateContent
from blaxel_mcp.apis.images import Images
from blaxel_mcp.apis.messages import Messages
from blaxel_mcp.apis.raw import Raw
from blaxel_mcp.apis.rerank import Rerank
from blaxel_mcp.apis.responses import Responses
from blaxel_mcp.apis.speech import Speech
from blaxel_mcp.apis.transcriptions import Transcriptions

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
