"""Comparable servers of other projects: how to start and call each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.driver import ROOT, Call, Launch
from benchmarks.installs import FOLDER
from benchmarks.models import PROMPT, model_names
from benchmarks.servers import Contender, Setup


def openapi_document(models: int) -> dict[str, Any]:
    """Return an OpenAPI document with one operation per model, whose body is a prompt."""
    prompt = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
    answer = {"description": "The answer.", "content": {"application/json": {"schema": {"type": "object"}}}}
    body = {"required": True, "content": {"application/json": {"schema": prompt}}}
    operation = {"summary": "A model.", "requestBody": body, "responses": {"200": answer}}
    paths = {f"/models/{name}": {"post": {"operationId": name, **operation}} for name in model_names(models)}
    return {"openapi": "3.0.3", "info": {"title": "Models", "version": "1"}, "paths": paths}


def written_document(setup: Setup) -> Path:
    """Write the OpenAPI document into the folder of a setup, and return its path."""
    document = setup.folder / "openapi.json"
    document.write_text(json.dumps(openapi_document(setup.models)), encoding="utf-8")
    return document


def node(name: str, program: str, environment: Mapping[str, str]) -> Launch:
    """Return how to start a program of npm directly with node, so that the process measured is the server."""
    return Launch(("node", FOLDER / name / "node_modules/.bin" / program), environment)


def launch_fastmcp(setup: Setup) -> Launch:
    """Return how to start `FastMCP.from_openapi`."""
    script = ROOT / "benchmarks/fastmcp_server.py"
    return Launch((FOLDER / "fastmcp/bin/python", script, written_document(setup), setup.url))


def launch_awslabs(setup: Setup) -> Launch:
    """Return how to start the OpenAPI server of AWS Labs."""
    program = FOLDER / "awslabs/bin/awslabs.openapi-mcp-server"
    document = ("--api-name", "models", "--api-url", setup.url, "--spec-path", written_document(setup))
    loopback = ("--allow-insecure-http", "--allow-private-networks", "--log-level", "ERROR")
    return Launch((program, *document, *loopback))


def launch_ivotoby(setup: Setup) -> Launch:
    """Return how to start the OpenAPI server for Node."""
    environment = {"API_BASE_URL": setup.url, "OPENAPI_SPEC_PATH": str(written_document(setup))}
    return node("ivotoby", "openapi-mcp-server", environment)


def launch_runpod(setup: Setup) -> Launch:
    """Return how to start Runpod's server, with each of its APIs on loopback."""
    apis = ("SERVERLESS_API", "REST_V2_API", "REST_API", "PUBLIC_GRAPHQL", "AUTHED_GRAPHQL")
    urls = {f"RUNPOD_{api}_URL": setup.url for api in apis}
    return node("runpod", "runpod-mcp", {"RUNPOD_API_KEY": "benchmark-key", **urls})


def launch_replicate(setup: Setup) -> Launch:
    """Return how to start Replicate's server."""
    environment = {"REPLICATE_API_TOKEN": "benchmark-key", "REPLICATE_BASE_URL": setup.url}
    return node("replicate", "mcp-server", environment)


def call_runpod(model: str) -> Call:
    """Return a synchronous call of a serverless endpoint with the name of the model."""
    return Call("runsync-endpoint", {"endpointId": model, "input": {"prompt": PROMPT}})


def call_replicate(model: str) -> Call:
    """Return a prediction of a model."""
    arguments = {"model_owner": "benchmarks", "model_name": model, "input": {"prompt": PROMPT}, "jq_filter": "."}
    return Call("create_models_predictions", arguments)


_ANY_DOCUMENT = frozenset({"start", "start1000", "calls", "memory", "large", "stream", "slow"})
_ITS_OWN_TOOLS = _ANY_DOCUMENT - {"start1000"}

PEERS = {
    peer.name: peer
    for peer in (
        Contender("fastmcp", launch_fastmcp, scenarios=_ANY_DOCUMENT),
        Contender("awslabs", launch_awslabs, scenarios=_ANY_DOCUMENT),
        Contender("ivotoby", launch_ivotoby, scenarios=_ANY_DOCUMENT),
        Contender("runpod", launch_runpod, call_runpod, _ITS_OWN_TOOLS),
        Contender("replicate", launch_replicate, call_replicate, _ITS_OWN_TOOLS),
    )
}
