"""Summaries of vectors: which arrays are vectors, and what their summary says."""

import base64
import struct
from typing import Any

import pytest

from blaxel_mcp.core import json_text
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.tools.results.presentation import present
from blaxel_mcp.tools.results.summaries import summarize_vectors
from blaxel_mcp.tools.results.truncation import AnswerRef

ONES = [1.0] * 16
IN_SHORT = {"vector": {"dimensions": 16, "norm": 4.0, "first": [1.0] * 5}}
FLOATS = base64.b64encode(struct.pack("<16f", *[0.1] * 16)).decode()
FLOATS_IN_SHORT = {"vector": {"dimensions": 16, "norm": 0.4, "first": [0.1] * 5}}


@pytest.mark.parametrize(
    ("value", "summary"),
    [
        pytest.param(
            {"data": [{"embedding": ONES}]},
            ({"data": [{"embedding": IN_SHORT}]}, ["/data/0/embedding"]),
            id="OpenAI",
        ),
        pytest.param(
            {"embeddings": {"float": [ONES, ONES]}},
            ({"embeddings": {"float": [IN_SHORT, IN_SHORT]}}, ["/embeddings/float/0", "/embeddings/float/1"]),
            id="Cohere",
        ),
        pytest.param([1] * 16, ({"vector": {"dimensions": 16, "norm": 4.0, "first": [1] * 5}}, [""]), id="integers"),
        pytest.param(
            {"object": "embedding", "index": 0, "embedding": FLOATS},
            ({"object": "embedding", "index": 0, "embedding": FLOATS_IN_SHORT}, ["/embedding"]),
            id="base64",
        ),
    ],
)
def test_a_vector_is_told_by_its_length_norm_and_first_values(value: Any, summary: tuple[Any, list[str]]) -> None:
    assert summarize_vectors(value) == summary


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([1.0] * 15, id="too short"),
        pytest.param([*ONES, None], id="a gap in it"),
        pytest.param([True] * 16, id="truth values"),
        pytest.param([10**400] * 16, id="integers beyond a float"),
        pytest.param([1e200] * 16 + [1.7e308] * 16, id="a norm beyond a float"),
        pytest.param(["1"] * 16, id="strings"),
        pytest.param({"object": "embedding", "embedding": "text"}, id="an embedding that is text"),
        pytest.param({"object": "embedding", "embedding": FLOATS[:12]}, id="base64 of a few numbers"),
        pytest.param({"object": "list", "embedding": FLOATS}, id="base64 that nobody calls an embedding"),
        pytest.param({"a": [[1, 2], {"b": 1.5}]}, id="nothing like it"),
    ],
)
def test_what_is_not_a_vector_stays_the_very_same_object(value: Any) -> None:
    same, pointers = summarize_vectors(value)

    assert same is value
    assert pointers == []


@pytest.mark.parametrize("limit", [1000, 1999, 2001, 40_000])
def test_a_vector_of_a_long_answer_is_summarized_however_short_a_result_may_be(limit: int) -> None:
    value = {"data": [{"embedding": [0.0] * 1536}]}
    shown = present(JSONAnswer(json_text.dump(value), value), limit=limit, ref=AnswerRef("call_1"))

    assert shown.structured is not None
    assert shown.structured["data"] == [{"embedding": {"vector": {"dimensions": 1536, "norm": 0, "first": [0.0] * 5}}}]
