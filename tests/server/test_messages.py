"""The id of a message, found by its ends: its own, whole, or none."""

import json
from typing import Any

import pytest

from blaxel_mcp.server.messages import EDGE_BYTES, find_id

LONG = "x" * 2 * EDGE_BYTES
ODD = "Käfer \u2028\0\U0001f41e"


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        pytest.param({"jsonrpc": "2.0", "id": 7, "method": "x", "params": {"id": 5, "text": LONG}}, 7, id="first"),
        pytest.param({"method": "x", "params": {"id": 5, "text": LONG}, "id": 7}, 7, id="last"),
        pytest.param({"method": "x", "extension": {"id": 5}, "params": {"text": LONG}, "id": 7}, 7, id="after another"),
        pytest.param(
            {"id": "Käfer \u2028\0\U0001f41e", "params": {"text": LONG}}, "Käfer \u2028\0\U0001f41e", id="any"
        ),
        pytest.param({"id": "", "params": {"text": LONG}}, "", id="empty"),
        pytest.param({"id": -3, "params": {"text": LONG}}, -3, id="negative"),
        pytest.param({"method": "x", "extension": {"id": 5}, "params": {"text": LONG}}, None, id="only another's"),
        pytest.param({"method": '"id":5,', "params": {"text": f'{LONG},"id":5}}'}}, None, id="in a text"),
        pytest.param({"method": "x", "params": {"text": LONG, "id": 5}}, None, id="only in the parameters"),
        pytest.param({"id": 1.5, "params": {"text": LONG}}, None, id="a fraction"),
        pytest.param({"id": 2**70, "params": {"text": LONG}}, None, id="more digits than are looked at"),
        pytest.param({"id": "x" * 5000, "params": {"text": LONG}}, None, id="longer than what is looked at"),
        pytest.param({"id": None, "params": {"text": LONG}}, None, id="null"),
        pytest.param({"id": "\ud800", "params": {"text": LONG}}, None, id="half a character"),
        pytest.param([{"id": 7, "params": {"text": LONG}}], None, id="in a batch"),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_the_ends_of_a_message_show_its_own_id_or_none(message: Any, request_id: Any, indent: int | None) -> None:
    content = json.dumps(message, indent=indent).encode()

    assert find_id(content[:EDGE_BYTES], content[-EDGE_BYTES:]) == request_id


def test_an_id_that_the_edge_truncates_is_none() -> None:
    content = b'{"id":123456,"params":{}}'

    assert [find_id(content[:size], b"") for size in range(6, 14)] == [None] * 7 + [123456]
