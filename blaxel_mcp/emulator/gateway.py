"""The inference gateway: admission, the choice of model, and the call of its provider (Blaxel docs, Query a model)."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from blaxel_mcp.emulator.apis import (
    chat,
    classification,
    cohere_chat,
    embeddings,
    generate_content,
    images,
    messages,
    rerank,
    responses,
    speech,
    transcriptions,
)
from blaxel_mcp.emulator.apis.base import EndpointHandler, ProviderCall, read_form, read_json_object
from blaxel_mcp.emulator.faults.faults import fault_response, find_model
from blaxel_mcp.emulator.middleware import recorded_request
from blaxel_mcp.emulator.platform.admission import WORKSPACE_HEADER, authenticate, check_workspaces, path_segments
from blaxel_mcp.emulator.platform.errors import RefusalError, edge_error, provider_error
from blaxel_mcp.emulator.platform.records import (
    CHAT_PATH,
    COHERE_CHAT_PATH,
    EMBEDDINGS_PATH,
    GENERATE_PATH,
    IMAGES_PATH,
    MESSAGES_PATH,
    RERANK_PATH,
    RESPONSES_PATH,
    SPEECH_PATH,
    STREAM_GENERATE_PATH,
    TRANSCRIPTIONS_PATH,
    EmulatedModel,
)
from blaxel_mcp.emulator.platform.state import Emulator

ENDPOINTS: Mapping[str, Mapping[str, EndpointHandler]] = MappingProxyType(
    {
        "openai": {
            CHAT_PATH: chat.handle,
            RESPONSES_PATH: responses.handle,
            EMBEDDINGS_PATH: embeddings.handle,
            IMAGES_PATH: images.handle,
            SPEECH_PATH: speech.handle,
            TRANSCRIPTIONS_PATH: transcriptions.handle,
        },
        "anthropic": {MESSAGES_PATH: messages.handle},
        "gemini": {GENERATE_PATH: generate_content.handle, STREAM_GENERATE_PATH: generate_content.handle},
        "cohere": {COHERE_CHAT_PATH: cohere_chat.handle, RERANK_PATH: rerank.handle},
        "huggingface": {"": classification.handle},
    }
)
"""The handler of each provider's sub-endpoints; "" is the base endpoint, and "{model}" the provider's model id."""

SANDBOX_PATHS = (CHAT_PATH,)
"""The only sub-endpoints of the trial model of a new workspace."""


class Gateway:
    """The routes of the inference gateway and of the models that have their own URL."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def answer(self, request: Request) -> Response:
        """Answer `/{workspace}/models/{model}[/{path}]` and `/direct/{model}[/{path}]`."""
        segments = path_segments(request.scope["raw_path"])
        match segments:
            case None:
                raise edge_error("BAD_REQUEST", "The path has empty, dot or otherwise unacceptable segments.")
            case ("direct", name, *rest):
                self._admit(request, ())
                record = self._serving_model(self._emulator.models.get(name))
                if record.own_url != f"/direct/{name}":
                    raise edge_error("ROUTE_NOT_FOUND", "This model has no URL of its own here.")
            case (workspace, "models", name, *rest):
                self._admit(request, (workspace,))
                record = self._serving_model(find_model(self._emulator, name))
                if record.generation == "mk3":
                    raise edge_error("ROUTE_NOT_FOUND", "This model is served at its own URL only.")
            case _:
                self._admit(request, ())
                raise edge_error("ROUTE_NOT_FOUND", "Nothing is served at this path.")
        path = "".join(f"/{segment}" for segment in rest)
        # A mere final slash means the base endpoint: `bl run` without a path sends it.
        return await self._call(request, record, "" if path == "/" else path)

    def _admit(self, request: Request, workspaces: tuple[str, ...]) -> None:
        """Check the credentials, the workspaces in path and headers, and the size of the body."""
        names = [*workspaces, *request.headers.getlist(WORKSPACE_HEADER)]
        authenticate(request, self._emulator, edge_error)
        if names:
            check_workspaces(names, self._emulator, edge_error)
        if recorded_request(request).oversized:
            raise edge_error("REQUEST_ENTITY_TOO_LARGE", "The request body is too large.")

    def _serving_model(self, record: EmulatedModel | None) -> EmulatedModel:
        if record is None:
            raise edge_error("WORKLOAD_NOT_FOUND", "The workspace has no model of this name.")
        if not record.enabled or record.status != "DEPLOYED":
            raise edge_error("WORKLOAD_UNAVAILABLE", "The model is not deployed or not enabled.")
        return record

    async def _call(self, request: Request, record: EmulatedModel, path: str) -> Response:
        fault = fault_response(self._emulator, record.name, request)
        if fault is not None:
            return fault
        if record.sandbox and path not in SANDBOX_PATHS:
            raise RefusalError(PlainTextResponse("Endpoint not allowed on sandbox model", 403))
        handlers = ENDPOINTS.get(record.type, {})
        handler = next((handlers[known] for known in handlers if known.replace("{model}", record.model) == path), None)
        if handler is None:
            raise provider_error(record.type, 404, f"Invalid URL ({path or '/'})", code="unknown_url")
        read = read_form if path == TRANSCRIPTIONS_PATH else read_json_object
        return await handler(
            ProviderCall(
                emulator=self._emulator,
                record=record,
                model_id=record.name if record.generation == "mk3" else record.model,
                path=path,
                query=request.url.query,
                body=await read(request, record.type),
            )
        )
