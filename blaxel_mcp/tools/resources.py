"""The resources: what there is to know of each model, and the whole answer of each call."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext

from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_pointer import locate
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.model_guide import model_guide, models_guide
from blaxel_mcp.tools.results.content_blocks import CALLS_URI, parse_call_uri, text_block
from blaxel_mcp.tools.results.media import decode_media
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answer import StoredAnswer

MODELS_URI = "blaxel://models"
USAGE_URI = "blaxel://usage"
MODEL_TEMPLATE = f"{MODELS_URI}/{{name}}"
CALL_TEMPLATE = f"{CALLS_URI}{{call_id}}"

_ALL = f"There are {MODELS_URI}, {MODEL_TEMPLATE}, {USAGE_URI} and {CALL_TEMPLATE}."
_JSON = "application/json"
_MAX_COMPLETIONS = 100
"""The most that the protocol lets a completion give."""

_DAYS = 7
"""How many days `blaxel://usage` tells of."""

TEMPLATES = (
    types.ResourceTemplate(
        name="model",
        title="A model",
        uri_template=MODEL_TEMPLATE,
        description="How a model is called: its schema, an example, and the same call in curl and bl.",
        mime_type=_JSON,
    ),
    types.ResourceTemplate(
        name="call",
        title="The answer of a call",
        uri_template=CALL_TEMPLATE,
        description="The whole answer of a recent call. A JSON Pointer after the call's id picks a part of it.",
    ),
)

Context = ServerRequestContext[Any, Any]
LookUp = Callable[[CatalogEntry], Awaitable[Lookup]]
"""Finds a model's record in the control plane, or says why it cannot."""


class Resources:
    """The resources of one caller, as handlers of the protocol's requests.

    Args:
        catalog: Gives the models as they are now.
        store: Keeps the answers. They are not listed: who knows a call's id may read its answer.
        settings: Where the models are called.
        look_up: Finds their records.
        spending: Knows what the calls have taken.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        store: CallStore,
        settings: Settings,
        look_up: LookUp,
        spending: Spending,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._settings = settings
        self._look_up = look_up
        self._spending = spending

    async def list_resources(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        """Every model, and what the calls have taken."""
        return types.ListResourcesResult(resources=resources(self._catalog()))

    async def list_templates(
        self, _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """The addresses with a place for a name."""
        return types.ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def read(self, _: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """One resource.

        Raises:
            MCPError: there is none at this address; the specification makes that INVALID_PARAMS.
        """
        return types.ReadResourceResult(contents=[await self._contents(params.uri)])

    async def complete(self, _: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Names of models for the address of one."""
        return types.CompleteResult(completion=completion(self._catalog(), params))

    async def _contents(self, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
        if uri == MODELS_URI:
            return _json_contents(uri, models_guide(self._catalog(), MODELS_URI))
        if uri == USAGE_URI:
            return _json_contents(uri, await self._spending.report(_DAYS))
        if uri.startswith(f"{MODELS_URI}/"):
            entry = self._catalog().find(unquote(uri.removeprefix(f"{MODELS_URI}/")))
            if entry is None:
                raise _missing(uri, "There is no such model; blaxel://models lists them.")
            return _json_contents(uri, model_guide(entry, self._settings, await self._look_up(entry)))
        if called := parse_call_uri(uri):
            try:
                return answer_contents(uri, await self._store.get(called[0]), called[1])
            except BlaxelError as error:
                raise _missing(uri, str(error)) from None
        raise _missing(uri, _ALL)


def resources(catalog: Catalog) -> list[types.Resource]:
    """The list of models, each of them, and what the calls have taken."""
    listing = types.Resource(
        name="models", title="The models", uri=MODELS_URI, description="Every model that has a tool.", mime_type=_JSON
    )
    usage = types.Resource(
        name="usage",
        title="Usage",
        uri=USAGE_URI,
        description=f"Calls, tokens and USD of each model in the last {_DAYS} days, and what is left of the budget.",
        mime_type=_JSON,
    )
    return [listing, usage, *(_resource(entry) for entry in catalog.entries)]


def completion(catalog: Catalog, params: types.CompleteRequestParams) -> types.Completion:
    """The names of models that begin with what was typed; none for the arguments of anything else."""
    reference = params.ref
    if (
        not isinstance(reference, types.ResourceTemplateReference)
        or reference.uri != MODEL_TEMPLATE
        or params.argument.name != "name"
    ):
        return types.Completion(values=[], total=0, has_more=False)
    typed = params.argument.value.casefold()
    names = sorted({entry.name for entry in catalog.entries if entry.name.casefold().startswith(typed)})
    shown = names[:_MAX_COMPLETIONS]
    return types.Completion(values=shown, total=len(names), has_more=len(shown) < len(names))


def answer_contents(
    uri: str, answer: StoredAnswer, pointer: str | None
) -> types.TextResourceContents | types.BlobResourceContents:
    """A kept answer, or the part of it that a JSON Pointer picks: text as text, media as their bytes.

    Raises:
        BlaxelError: the pointer leads nowhere.
    """
    if answer.kind == "binary":
        return _blob_contents(uri, answer.data, answer.media_type)
    if pointer is None or answer.kind == "text":
        return _text_contents(uri, answer.text, answer.media_type)
    found = answer.text[locate(answer.text, pointer)]
    decoded = decode_media(json_text.parse(found)) if found.startswith('"') else None
    return _blob_contents(uri, *decoded) if decoded else _text_contents(uri, found, _JSON)


def _resource(entry: CatalogEntry) -> types.Resource:
    return types.Resource(
        name=entry.name,
        title=entry.title,
        uri=f"{MODELS_URI}/{entry.name}",
        description=entry.description,
        mime_type=_JSON,
    )


def _json_contents(uri: str, value: JSONObject) -> types.TextResourceContents:
    return _text_contents(uri, json_text.dump(value), _JSON)


def _text_contents(uri: str, text: str, media_type: str) -> types.TextResourceContents:
    return types.TextResourceContents(uri=uri, mime_type=media_type, text=text_block(text).text)


def _blob_contents(uri: str, data: bytes, media_type: str) -> types.BlobResourceContents:
    blob = base64.b64encode(data).decode("ascii")
    return types.BlobResourceContents(uri=uri, mime_type=media_type, blob=blob)


def _missing(uri: str, why: str) -> MCPError:
    return MCPError(code=types.INVALID_PARAMS, message=f"There is no resource {literal(uri)}. {why}", data={"uri": uri})
