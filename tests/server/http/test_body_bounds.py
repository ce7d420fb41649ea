"""Bodies of too many values over HTTP: refused before they are parsed, in either era."""

import json
from typing import Any

import anyio
import pytest

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.body_bounds import read_body
from blaxel_mcp.server.http.errors import RefusedError
from tests.support.connecting import ERAS, Era, leading_to
from tests.support.http_serving import message, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("item", [1, {}, []])
async def test_too_many_values_are_refused_and_the_next_request_is_answered(
    emulator: Emulator, era: Era, item: Any
) -> None:
    arguments = {"model": "house-chat", "data": {"messages": [item] * MAX_ARGUMENT_VALUES}}
    async with serving(leading_to(emulator)) as served:
        with anyio.fail_after(20):
            response = await served.post(*message("tools/call", era, name="run_model", arguments=arguments))
            well = await served.post(*message("tools/call", era, name="list_models", arguments={}))

    assert response.status_code == 413
    assert f"more than {MAX_ARGUMENT_VALUES} values" in response.json()["error_description"]
    assert well.status_code == 200


async def test_a_body_within_its_bounds_is_received_as_it_was_sent() -> None:
    pieces = [json.dumps("a,b" * 1000).encode(), b"", b"x" * 10]
    sent = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    sent += [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    left = list(sent)

    async def receive() -> Any:
        return left.pop(0)

    replay = (await read_body(receive, 1_000_000)).receive

    assert [await replay() for _ in sent] == sent


async def test_values_are_counted_over_all_pieces() -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"[" * 999, "more_body": True}

    with pytest.raises(RefusedError):
        await read_body(receive, 16 * 1024 * 1024)


@pytest.mark.parametrize("length", [10, 200_000])
async def test_an_id_written_as_a_float_becomes_an_integer_wherever_it_is(length: int) -> None:
    text = "x" * length
    fields = {"params": {"text": text}, "id": 7.0, "extension": {"text": text}, "method": "ping", "jsonrpc": "2.0"}
    sent = json.dumps(fields).encode()

    async def receive() -> Any:
        return {"type": "http.request", "body": sent}

    body = await read_body(receive, 16 * 1024 * 1024)
    received = json.loads((await body.receive())["body"])

    assert (body.kind, body.request_id) == ("request", 7)
    assert received == json.loads(sent)
    assert isinstance(received["id"], int)


@pytest.mark.parametrize(
    "sent",
    [rb'{"method":"ping","jsonrpc":"2.0","id":6.0,"id":7.0} ', rb'{"\u0069d":7.0,"method":"ping","jsonrpc":"2.0"}'],
)
async def test_an_id_written_as_a_float_becomes_an_integer_however_its_name_is_written(sent: bytes) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": sent}

    body = await read_body(receive, 1000)
    received = json.loads((await body.receive())["body"])

    assert (body.request_id, repr(received["id"])) == (7, "7")
