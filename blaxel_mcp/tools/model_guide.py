"""The guide of a model: its tool, its endpoint, and an example of each way to call it."""

import pprint
import shlex
from typing import Any
from urllib.parse import quote

from blaxel_mcp.apis.base import FileData, FileURL
from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.client.endpoints import endpoint_url
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import OPAQUE
from blaxel_mcp.inference.dry_run import bl_command, curl_command, form_options
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.prepare import compose_body, resolve_route
from blaxel_mcp.settings.schema import Settings

_SAMPLES: JSONObject = {"string": "Hello", "integer": 1, "number": 1, "boolean": True, "object": {}}
_QUESTIONS = ("prompt", "input", "inputs")
"""Arguments that an example contains even if the schema does not require them."""


MODELS_URI = "blaxel://models"


def guide_uri(catalog: Catalog, entry: CatalogEntry) -> str:
    """Return the URI of a model's guide."""
    return f"{MODELS_URI}/{quote(catalog.reference(entry), safe='')}"


def models_guide(catalog: Catalog) -> JSONObject:
    """Return one line per model, with the resource that has its guide."""
    models = [
        {
            "name": entry.name,
            "title": entry.title,
            "tool": entry.tool,
            "api": entry.api.name,
            "path": "/" if entry.path == "" else entry.path,
            "description": entry.description,
            "uri": guide_uri(catalog, entry),
        }
        for entry in catalog.entries
    ]
    return {"models": models, "total": len(models)}


def model_guide(entry: CatalogEntry, settings: Settings, lookup: Lookup) -> JSONObject:
    """Return everything about one model.

    That is its record in the control plane, the tool's schema, an example of the tool's arguments and of the request
    body made from them, and the same call with `curl` and, if possible, with Blaxel's own CLI. It never contains the
    key; `$BL_API_KEY` stands for it.
    """
    arguments, record, path = example_arguments(entry), lookup.record, entry.path
    if path is None:
        path = entry.api.endpoint_path(record.provider_model if record else None)
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
        "input_schema": entry.schema.full,
        "example_arguments": arguments,
        **(_commands(entry, settings, lookup, arguments) if path is not None else {}),
        "notes": [lookup.problem] if lookup.problem else [],
    }


def request_guide(entry: CatalogEntry, settings: Settings, lookup: Lookup, arguments: JSONObject) -> JSONObject:
    """Return the request that a model's tool would send for these arguments. Nothing is sent, and no file is read.

    Returns:
        The model, its tool and the arguments; `example_body`, the request body; and the request with `curl`, Blaxel's
        own CLI (`bl`) and `python`. `curl` is null if there is no such request, and `curl_problem` says why.
    """
    try:
        valid, _ = entry.schema.validator.validate(arguments)
        commands = _commands(entry, settings, lookup, valid)
    except InvalidArgumentsError as error:
        commands = {"curl": None, "curl_problem": str(error)}
    return {"name": entry.name, "tool": entry.tool, "arguments": arguments, **commands}


def example_arguments(entry: CatalogEntry) -> JSONObject:
    """Return arguments that the model's tool accepts: the required ones, and the model's input."""
    properties = entry.schema.full.get("properties", {})
    required = entry.schema.full.get("required", [])
    names = [name for name in properties if name in required or name in _QUESTIONS]
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
    """Return the same call outside this server; nothing if the workspace is not known."""
    workspace = entry.settings.workspace or settings.workspace
    if workspace is None:
        return {}
    invocation = Invocation.of_entry(entry, arguments)
    try:
        route = resolve_route(invocation, settings, lookup.record, workspace=workspace)
        url = endpoint_url(route.endpoint, route.path, route.query)
        if entry.api.multipart:
            sample = FileData("/path/to/a/file", OPAQUE, b"")
            fields = {name: sample if name in entry.api.file_arguments else arguments[name] for name in arguments}
            return {"curl": curl_command(url, workspace, entry.api.headers, form_options(fields))}
        body = compose_body(invocation, route, _with_file_urls(entry, arguments), settings).body
    except BlaxelError as error:
        return {"curl": None, "curl_problem": str(error)}
    data = shlex.quote(json_text.dump(body))
    path = f"{route.path}?{route.query}" if route.query else route.path
    headers = {**entry.api.headers, "Content-Type": "application/json"}
    return {
        "example_body": body,
        "curl": curl_command(url, workspace, headers, f"-d {data}"),
        "python": _python(url, workspace, entry, body),
        "bl": bl_command(entry.name, workspace, path, f"--data {data}"),
    }


def _with_file_urls(entry: CatalogEntry, arguments: JSONObject) -> JSONObject:
    """Return the arguments with each file as the URL that names it: nothing is read for an example."""
    files = {name: arguments[name] for name in entry.api.file_arguments if name in arguments}
    return arguments | {
        name: [FileURL(str(item)) for item in value] if isinstance(value, list) else FileURL(str(value))
        for name, value in files.items()
    }


def _python(url: str, workspace: str, entry: CatalogEntry, body: Any) -> str:
    headers = "".join(
        f"        {name!r}: {value!r},\n"
        for name, value in {"X-Blaxel-Workspace": workspace, **entry.api.headers}.items()
    )
    return (
        "import os\n\nimport httpx\n\n"
        f"response = httpx.post(\n    {url!r},\n    headers={{\n"
        "        'X-Blaxel-Authorization': f\"Bearer {os.environ['BL_API_KEY']}\",\n"
        f"{headers}    }},\n    json={pprint.pformat(body, sort_dicts=False, width=80)},\n    timeout=600,\n)\n"
        "response.raise_for_status()\nprint(response.text)\n"
    )
