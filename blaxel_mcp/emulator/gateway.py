"""The inference gateway: who may call which model, and by which URL (Blaxel docs, Query a model)."""

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
from blaxel_mcp.emulator.apis.base import Endpoint, ProviderCall, find_endpoint, read_form, read_json_object
from blaxel_mcp.emulator.faults.faults import fault_response, find_model
from blaxel_mcp.emulator.middleware import recorded_request
from blaxel_mcp.emulator.platform.authentication import WORKSPACE_HEADER, authenticate, check_workspaces
from blaxel_mcp.emulator.platform.errors import RefusedError, edge_error
from blaxel_mcp.emulator.platform.paths import path_segments
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
    ModelRecord,
)
from blaxel_mcp.emulator.platform.state import Emulator

ENDPOINTS: Mapping[str, Mapping[str, Endpoint]] = MappingProxyType(
    {
        "openai": {
            CHAT_PATH: chat.serve,
            RESPONSES_PATH: responses.serve,
            EMBEDDINGS_PATH: embeddings.serve,
            IMAGES_PATH: images.serve,
            SPEECH_PATH: speech.serve,
            TRANSCRIPTIONS_PATH: transcriptions.serve,
        },
        "anthropic": {MESSAGES_PATH: messages.serve},
        "gemini": {GENERATE_PATH: generate_content.serve, STREAM_GENERATE_PATH: generate_content.serve},
        "cohere": {COHERE_CHAT_PATH: cohere_chat.serve, RERANK_PATH: rerank.serve},
        "huggingface": {"": classification.serve},
    }
)
"""What answers each provider's sub-endpoints; "" is the base endpoint."""

SANDBOX_PATHS = (CHAT_PATH,)
"""All that the trial model of a new workspace serves."""


class Gateway:
    """The routes of the inference gateway and of the models that have a URL of their own."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def answer(self, request: Request) -> Response:
        """Answer `/{workspace}/models/{model}[/{path}]` and `/direct/{model}[/{path}]`."""
        segments = path_segments(request.scope["raw_path"])
        if segments is None:
            raise edge_error("BAD_REQUEST", "The path has empty, dot or otherwise unacceptable segments.")
        match segments:
            case ("direct", name, *rest):
                self._admit(request, ())
                return await self._call(request, self._own_url_model(name), _sub_path(rest))
            case (workspace, "models", name, *rest):
                self._admit(request, (workspace,))
                return await self._call(request, self._gateway_model(name), _sub_path(rest))
            case _:
                self._admit(request, ())
                raise edge_error("ROUTE_NOT_FOUND", "Nothing is served at this path.")

    def _admit(self, request: Request, workspaces: tuple[str, ...]) -> None:
        names = [*workspaces, *request.headers.getlist(WORKSPACE_HEADER)]
        problem = authenticate(request, self._emulator)
        if problem is None and names:
            problem = check_workspaces(names, self._emulator)
        if problem is not None:
            raise edge_error(problem.code, problem.message)
        if recorded_request(request).oversized:
            raise edge_error("REQUEST_ENTITY_TOO_LARGE", "The request body is too large.")

    def _gateway_model(self, name: str) -> ModelRecord:
        record = _serving(find_model(self._emulator, name))
        if record.generation == "mk3":
            raise edge_error("ROUTE_NOT_FOUND", "This model is served at its own URL only.")
        return record

    def _own_url_model(self, name: str) -> ModelRecord:
        record = _serving(self._emulator.models.get(name))
        if record.own_url != f"/direct/{name}":
            raise edge_error("ROUTE_NOT_FOUND", "This model has no URL of its own here.")
        return record

    async def _call(self, request: Request, record: ModelRecord, path: str) -> Response:
        fault = fault_response(self._emulator, record.name, request)
        if fault is not None:
            return fault
        if record.sandbox and path not in SANDBOX_PATHS:
            raise RefusedError(PlainTextResponse("Endpoint not allowed on sandbox model", 403))
        endpoint = find_endpoint(ENDPOINTS, record, path)
        read = read_form if path == TRANSCRIPTIONS_PATH else read_json_object
        body = await read(request, record.type)
        model_id = record.name if record.generation == "mk3" else record.model
        call = ProviderCall(
            emulator=self._emulator, record=record, model_id=model_id, path=path, query=request.url.query, body=body
        )
        return await endpoint(call)


def _serving(record: ModelRecord | None) -> ModelRecord:
    if record is None:
        raise edge_error("WORKLOAD_NOT_FOUND", "The workspace has no model of this name.")
    if not record.enabled or record.status != "DEPLOYED":
        raise edge_error("WORKLOAD_UNAVAILABLE", "The model is not deployed or not enabled.")
    return record


def _sub_path(rest: list[str]) -> str:
    """Return the sub-endpoint; a mere final slash means the base endpoint, as `bl run` sends it."""
    path = "".join(f"/{segment}" for segment in rest)
    return "" if path == "/" else path
