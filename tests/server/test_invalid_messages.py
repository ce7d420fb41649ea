"""What is no JSON-RPC message is refused in the same words over stdio and HTTP, in both eras."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.stdio.frames import read_frame
from tests.support.connecting import ERAS, Era, leading_to
from tests.support.http_serving import Served, message, serving

pytestmark = pytest.mark.anyio

LONG = "x" * 70_000
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@dataclass(frozen=True, slots=True)
class Refused:
    """What a client is told."""

    code: int
    request_id: Any
    text: str


@pytest.fixture
async def served(emulator: Emulator) -> AsyncIterator[Served]:
    async with serving(leading_to(emulator, limits={"max_argument_bytes": 1_000_000})) as running:
        yield running


async def over_http(served: Served, body: bytes, era: Era) -> Refused:
    response = await served.post(body, message("ping", era)[1])
    answer = response.json()

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert answer.keys() == {"jsonrpc", "id", "error"}
    return Refused(answer["error"]["code"], answer["id"], answer["error"]["message"])


def over_stdio(body: bytes) -> Refused:
    refused = read_frame(body)

    assert isinstance(refused, types.JSONRPCError)
    return Refused(refused.error.code, refused.id, refused.error.message)


NO_MESSAGE = [
    pytest.param([], None, "Batches are not supported", id="no messages"),
    pytest.param([PING], None, "Batches are not supported", id="a batch"),
    pytest.param([LONG], None, "Batches are not supported", id="a long list"),
    pytest.param("x", None, "not JSON-RPC 2.0", id="a text"),
    pytest.param(7, None, "not JSON-RPC 2.0", id="a number"),
    pytest.param(None, None, "not JSON-RPC 2.0", id="null"),
    pytest.param({}, None, "not JSON-RPC 2.0", id="nothing"),
    pytest.param({"jsonrpc": "2.0"}, None, "not JSON-RPC 2.0", id="only a version"),
    pytest.param({"jsonrpc": "2.0", "id": 1}, 1, "not JSON-RPC 2.0", id="neither request nor answer"),
    pytest.param({**PING, "jsonrpc": "1.0"}, 1, "not JSON-RPC 2.0", id="another version"),
    pytest.param({**PING, "jsonrpc": 2.0, "id": "a"}, "a", "not JSON-RPC 2.0", id="the version as a number"),
    pytest.param({"id": 1, "method": "ping"}, 1, "not JSON-RPC 2.0", id="no version"),
    pytest.param({**PING, "method": 7}, 1, "not JSON-RPC 2.0", id="a number for a method"),
    pytest.param({**PING, "method": None, "id": 1.0}, 1, "not JSON-RPC 2.0", id="null for a method"),
    pytest.param({**PING, "params": [1]}, 1, "`params` must be an object", id="a list of parameters"),
    pytest.param({**PING, "params": "x"}, 1, "`params` must be an object", id="a text for parameters"),
    pytest.param({"jsonrpc": "2.0", "method": "x", "params": []}, None, "`params` must be", id="no id either"),
    pytest.param({**PING, "id": 1.5}, None, "`id` of a request must be", id="half an id"),
    pytest.param({**PING, "id": None}, None, "`id` of a request must be", id="null for an id"),
    pytest.param({**PING, "id": True}, None, "`id` of a request must be", id="true for an id"),
    pytest.param({"jsonrpc": "2.0", "id": 1, "result": 7}, 1, "not JSON-RPC 2.0", id="a number for a result"),
    pytest.param({"jsonrpc": "2.0", "id": 1, "error": "x"}, 1, "not JSON-RPC 2.0", id="a text for an error"),
]


@pytest.mark.parametrize(("content", "request_id", "text"), NO_MESSAGE)
async def test_json_that_is_no_message_is_refused_in_one_sentence(
    served: Served, content: Any, request_id: Any, text: str
) -> None:
    body = json.dumps(content).encode()
    refused = over_stdio(body)

    assert (refused.code, refused.request_id) == (types.INVALID_REQUEST, request_id)
    assert text in refused.text
    for era in ERAS:
        assert await over_http(served, body, era) == refused
        assert await over_http(served, b"\xef\xbb\xbf" + body, era) == refused


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"hello", None, id="a word"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping"', 1, id="cut off"),
        pytest.param(b'{"jsonrpc":"2.0","id":"\xff","method":"ping"}', None, id="not UTF-8"),
        pytest.param(b"[" * 100_000, None, id="nested without end"),
        pytest.param(f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":"{LONG}"}}'.encode(), 1, id="long"),
        pytest.param(LONG.encode(), None, id="long, without an id"),
    ],
)
async def test_what_is_no_json_is_refused_in_one_sentence(
    served: Served, body: bytes, request_id: Any, era: Era
) -> None:
    refused = await over_http(served, body, era)

    assert (refused.code, refused.request_id) == (types.PARSE_ERROR, request_id)
    sentence = "The message is not valid JSON: it is malformed, nested too deeply, not valid Unicode"
    assert refused.text.startswith(sentence)
    assert over_stdio(body).text.startswith(sentence)
    assert (over_stdio(body).code, over_stdio(body).request_id) == (refused.code, refused.request_id)


@pytest.mark.parametrize("era", ERAS)
async def test_a_number_that_the_sdk_cannot_read_is_named(served: Served, era: Era) -> None:
    body = json.dumps({**PING, "params": {"number": 0}}).replace("0}}", f"{'1' * 5000}}}}}").encode()
    refused = await over_http(served, body, era)

    assert (refused.code, refused.request_id) == (types.PARSE_ERROR, 1)
    assert "a number of thousands of digits" in refused.text


@pytest.mark.parametrize("era", ERAS)
async def test_a_long_body_that_is_no_message_is_refused_in_one_sentence(served: Served, era: Era) -> None:
    body = json.dumps({**PING, "params": [LONG]}).encode()
    refused = await over_http(served, body, era)

    assert refused.code == types.INVALID_REQUEST
    assert "JSON-RPC" in refused.text
    assert "pydantic" not in refused.text
    assert len(refused.text) < 250


@pytest.mark.parametrize("era", ERAS)
async def test_a_body_over_its_bound_is_told_the_setting(served: Served, era: Era) -> None:
    body = json.dumps({**PING, "params": {"text": "x" * 1_000_000}}).encode()
    response = await served.post(body, message("ping", era)[1])

    assert response.status_code == 413
    assert response.json() == {
        "error": "content_too_large",
        "error_description": "The message has more bytes than limits.max_argument_bytes (1000000) allows.",
    }
