"""The MCP resources: a guide to each model, the usage, and the complete answer of each call."""

import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import anyio.to_thread
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.model_guide import MODELS_URI, guide_uri, model_guide, models_guide, request_guide
from blaxel_mcp.tools.prompts import completion_of, model_values
from blaxel_mcp.tools.results.content_blocks import CALLS_URI, parse_call_uri, text_block
from blaxel_mcp.tools.results.media import pick
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answers import INLINE_BYTES, StoredAnswer
from blaxel_mcp.tools.visibility import Visibility

USAGE_URI = "blaxel://usage"
MODEL_TEMPLATE = f"{MODELS_URI}/{{name}}"
REQUEST_TEMPLATE = f"{MODEL_TEMPLATE}/request{{?arguments}}"
CALL_TEMPLATE = f"{CALLS_URI}{{call_id}}"

_ALL = f"The resources are {MODELS_URI}, {MODEL_TEMPLATE}, {REQUEST_TEMPLATE}, {USAGE_URI} and {CALL_TEMPLATE}."
_JSON = "application/json"
_MAX_URI_CHARS = 100_000
_USAGE_DAYS = 7

_RESOURCES = (
    types.Resource(
        name="models", title="The models", uri=MODELS_URI, description="Every model that has a tool.", mime_type=_JSON
    ),
    types.Resource(
        name="usage",
        title="Usage",
        uri=USAGE_URI,
        description=f"Calls, tokens and USD of each model in the last {_USAGE_DAYS} days, and the remaining budget.",
        mime_type=_JSON,
    ),
)

_TEMPLATES = (
    types.ResourceTemplate(
        name="model",
        title="A model",
        uri_template=MODEL_TEMPLATE,
        description="How to call a model: its schema, an example, and the same call in curl and bl.",
        mime_type=_JSON,
    ),
    types.ResourceTemplate(
        name="request",
        title="A request",
        uri_template=REQUEST_TEMPLATE,
        description="The request that a model's tool would send for its arguments, a JSON object: the body, and the "
        "same in curl, bl and Python. Nothing is sent.",
        mime_type=_JSON,
    ),
    types.ResourceTemplate(
        name="call",
        title="The answer of a call",
        uri_template=CALL_TEMPLATE,
        description="The complete answer of a recent call. A JSON Pointer after the call's id picks a part.",
    ),
)

RequestContext = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The resources of one caller, as handlers of the protocol's requests.

    Attributes:
        catalog: Returns the current catalog.
        store: The answers. They are not listed: a caller who knows a call's id may read its answer.
        look_up: Returns a model's record, or a phrase on why there is none.
    """

    catalog: Callable[[], Catalog]
    store: CallStore
    settings: Settings
    look_up: Callable[[CatalogEntry], Awaitable[Lookup]]
    spending: Spending
    visibility: Visibility

    async def list_resources(
        self, _: RequestContext, __: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """List the guides to the models, and the usage."""
        catalog = self.catalog()
        models = [
            types.Resource(
                name=catalog.reference(entry),
                title=entry.title,
                uri=guide_uri(catalog, entry),
                description=entry.description,
                mime_type=_JSON,
            )
            for entry in catalog.entries
        ]
        return types.ListResourcesResult(resources=[*_RESOURCES, *models])

    async def list_templates(
        self, _: RequestContext, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """List the URI templates of a model and of a call's answer."""
        return types.ListResourceTemplatesResult(resource_templates=list(_TEMPLATES))

    async def read(self, _: RequestContext, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """Read one resource.

        Raises:
            MCPError: There is no such resource; the MCP specification makes that INVALID_PARAMS.
        """
        return types.ReadResourceResult(contents=[await self.contents(params.uri)])

    async def contents(self, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
        """Return the contents of one resource; MCPError as in `read`."""
        if len(uri) > _MAX_URI_CHARS:
            raise _missing(uri[:_MAX_URI_CHARS], f"A URI has at most {_MAX_URI_CHARS:,} characters.")
        if uri == MODELS_URI:
            return _json_contents(uri, models_guide(self.catalog()))
        if uri == USAGE_URI:
            return _json_contents(uri, self.visibility.usage(await self.spending.report(_USAGE_DAYS)))
        if uri.startswith(f"{MODELS_URI}/"):
            return _json_contents(uri, await self._guide(uri))
        if call := parse_call_uri(uri):
            call_id, pointer = call
            try:
                answer = await self.store.get(call_id)
                if len(answer.data) <= INLINE_BYTES:
                    return answer_contents(uri, answer, pointer)
                return await anyio.to_thread.run_sync(answer_contents, uri, answer, pointer, abandon_on_cancel=True)
            except BlaxelError as error:
                raise _missing(uri, str(error)) from None
        raise _missing(uri, _ALL)

    async def _guide(self, uri: str) -> JSONObject:
        name, is_request, query = uri.removeprefix(f"{MODELS_URI}/").partition("/request?")
        try:
            entry = self.catalog().find(unquote(name))
        except BlaxelError as error:
            raise _missing(uri, str(error)) from None
        if entry is None:
            raise _missing(uri, "There is no such model; blaxel://models lists all models.")
        arguments: Any = None
        if is_request:
            with suppress(ValueError):
                arguments = json_text.parse(dict(parse_qsl(query)).get("arguments", ""), finite=True)
            if not isinstance(arguments, dict):
                raise _missing(uri, "`arguments` must be a JSON object, URL-encoded.")
        lookup = self.visibility.lookup(await self.look_up(entry))
        if is_request:
            # Deeply nested arguments take long to be written as Python.
            return await anyio.to_thread.run_sync(request_guide, entry, self.settings, lookup, arguments)
        return model_guide(entry, self.settings, lookup)

    async def complete(self, _: RequestContext, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Complete the name in the URI of a model, or the models in an argument of a prompt."""
        catalog, reference, argument = self.catalog(), params.ref, params.argument
        if isinstance(reference, types.PromptReference):
            models = [(catalog.reference(entry), entry.api.name) for entry in catalog.entries]
            values = model_values(reference.name, argument.name, argument.value, models)
        else:
            is_model = reference.uri == MODEL_TEMPLATE and argument.name == "name"
            values = completion_of(catalog.names if is_model else (), argument.value)
        return types.CompleteResult(completion=values)


def answer_contents(
    uri: str, answer: StoredAnswer, pointer: str | None
) -> types.TextResourceContents | types.BlobResourceContents:
    """Return an answer, or the part that a JSON Pointer picks: text as text, media as bytes.

    Raises:
        BlaxelError: The pointer leads nowhere.
    """
    if answer.kind == "binary":
        return _blob_contents(uri, answer.data, answer.media_type)
    if pointer is None or answer.kind == "text":
        return _text_contents(uri, answer.text, answer.media_type)
    part, medium = pick(answer.text, pointer)
    return _blob_contents(uri, medium.data, medium.media_type) if medium else _text_contents(uri, part, _JSON)


def _json_contents(uri: str, value: JSONObject) -> types.TextResourceContents:
    return _text_contents(uri, json_text.dump(value), _JSON)


def _text_contents(uri: str, text: str, media_type: str) -> types.TextResourceContents:
    return types.TextResourceContents(uri=uri, mime_type=media_type, text=text_block(text).text)


def _blob_contents(uri: str, data: bytes, media_type: str) -> types.BlobResourceContents:
    blob = base64.b64encode(data).decode("ascii")
    return types.BlobResourceContents(uri=uri, mime_type=media_type, blob=blob)


def _missing(uri: str, reason: str) -> MCPError:
    return MCPError(
        code=types.INVALID_PARAMS, message=f"There is no resource {literal(uri)}. {reason}", data={"uri": uri}
    )
