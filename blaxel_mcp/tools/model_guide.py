"""How a model is called, for someone who reads about it: its tool, its endpoint, an example of each way."""

import shlex
from typing import Any

from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.client.endpoints import Endpoint, endpoint_url, resolve_base
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.body import with_defaults, with_locked, with_model
from blaxel_mcp.settings.schema import Settings

_SAMPLES: JSONObject = {"string": "Hello", "integer": 1, "number": 1, "boolean": True, "object": {}}
_TELLING = ("prompt", "input", "inputs")
"""Arguments that an example has even where the schema does not require them."""

_NO_RECORD = Lookup(None)


def models_guide(catalog: Catalog, uri: str) -> JSONObject:
    """Every model in a line, with the resource below `uri` that tells more."""
    models = [
        {
            "name": entry.name,
            "title": entry.title,
            "tool": entry.tool,
            "api": entry.api.name,
            "path": "/" if entry.path == "" else entry.path,
            "description": entry.description,
            "uri": f"{uri}/{entry.name}",
        }
        for entry in catalog.entries
    ]
    return {"models": models, "total": len(models)}


def model_guide(entry: CatalogEntry, settings: Settings, lookup: Lookup = _NO_RECORD) -> JSONObject:
    """Everything about one model.

    Args:
        entry: The model.
        settings: Where it is called.
        lookup: Its record in the control plane, or why there is none.

    Returns:
        What the record says, the tool's schema, an example of the tool's arguments and of the request
        body they become, and the same call in `curl` and, where it can do it, in Blaxel's own CLI. The
        key is never in there: `$BL_API_KEY` stands for it.
    """
    arguments = example_arguments(entry)
    record, path = lookup.record, _path(entry, lookup)
    return {
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "tool": entry.tool,
        "api": entry.api.name,
        "path": "/" if path == "" else path,
        "type": record.runtime_type if record else None,
        "provider_model": record.provider_model if record else None,
        "status": record.status if record else None,
        "timeout_seconds": entry.settings.timeout_seconds or settings.limits.timeout_seconds,
        "input_schema": entry.input_schema,
        "example_arguments": arguments,
        **_commands(entry, settings, lookup, arguments),
        "notes": [lookup.problem] if lookup.problem else [],
    }


def example_arguments(entry: CatalogEntry) -> JSONObject:
    """Arguments that the model's tool takes: the required ones, and what the model is to work on."""
    properties = entry.input_schema.get("properties", {})
    required = entry.input_schema.get("required", [])
    names = [name for name in properties if name in required or name in _TELLING]
    return {name: _sample(properties[name]) for name in names}


def _sample(schema: Any) -> Any:
    schema = schema if isinstance(schema, dict) else {}
    if choices := schema.get("enum"):
        return choices[0]
    kind = schema.get("type", "string")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "array":
        return [_sample(schema.get("items", {}))]
    return _SAMPLES.get(kind)


def _commands(entry: CatalogEntry, settings: Settings, lookup: Lookup, arguments: JSONObject) -> JSONObject:
    """The same call outside of this server; nothing where it has no address."""
    workspace = entry.settings.workspace or settings.workspace
    path = _path(entry, lookup)
    if workspace is None or path is None:
        return {}
    try:
        endpoint = _endpoint(entry, settings, workspace, lookup)
        url = endpoint_url(endpoint, *split_path(path))
    except BlaxelError as error:
        return {"curl": None, "curl_problem": str(error)}
    if entry.api.multipart:
        return {"curl": _curl(url, workspace, entry, _form(entry, arguments))}
    body = _body(entry, arguments, lookup, mk3=endpoint.style == "mk3")
    spelled = shlex.quote(json_text.dump(body))
    return {
        "example_body": body,
        "curl": _curl(url, workspace, entry, f"-H 'Content-Type: application/json' -d {spelled}"),
        "bl": f"bl run model {shlex.quote(entry.name)} --workspace {shlex.quote(workspace)}"
        f"{f' --path {shlex.quote(path)}' if path else ''} --data {spelled}",
    }


def _path(entry: CatalogEntry, lookup: Lookup) -> str | None:
    if entry.path is not None:
        return entry.path
    return entry.api.endpoint_path(lookup.record.provider_model if lookup.record else None)


def _endpoint(entry: CatalogEntry, settings: Settings, workspace: str, lookup: Lookup) -> Endpoint:
    record = lookup.record
    return resolve_base(
        settings,
        workspace=workspace,
        model=entry.name,
        forced_url=entry.settings.url,
        generation=record.generation if record else None,
        own_url=record.url if record else None,
    )


def _body(entry: CatalogEntry, arguments: JSONObject, lookup: Lookup, *, mk3: bool) -> JSONObject:
    body = with_defaults(entry.api.body(arguments), entry.settings.defaults)
    body, _ = with_locked(body, entry.settings.locked)
    if entry.api.takes_model:
        provider_model = lookup.record.provider_model if lookup.record else None
        body, _ = with_model(body, name=entry.name, provider_model=provider_model, mk3=mk3)
    return body


def _form(entry: CatalogEntry, arguments: JSONObject) -> str:
    fields = [
        f"{name}=@/path/to/a/file"
        if name in entry.api.file_arguments
        else f"{name}={value if isinstance(value, str) else json_text.dump(value)}"
        for name, value in arguments.items()
    ]
    return " ".join(f"-F {shlex.quote(field)}" for field in fields)


def _curl(url: str, workspace: str, entry: CatalogEntry, content: str) -> str:
    headers = {"X-Blaxel-Workspace": workspace, **entry.api.headers}
    quoted = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items())
    # In double quotes, so that the shell puts the key in.
    key = '-H "X-Blaxel-Authorization: Bearer $BL_API_KEY"'
    return f"curl {shlex.quote(url)} {key} {quoted} {content}"
