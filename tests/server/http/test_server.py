"""MCP over HTTP: who calls gets an answer, who goes away costs nothing, and an end that loses little."""

import json
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import MCP_PATH, listen, resolve
from blaxel_mcp.settings.http import HttpSettings
from tests.support.connecting import ERAS, Era, answer_of, finished, is_slow_call, leading_to, receipt_of
from tests.support.held import HeldAnswers
from tests.support.http_serving import HOUSE_CHAT, SLOW_CALL, Served, answer_to_42, message, serving

pytestmark = pytest.mark.anyio

in_each_era = pytest.mark.parametrize("era", ERAS)


async def send_slow_call(served: Served, era: Era, answers: list[httpx.Response]) -> None:
    body, headers = message("tools/call", era, **SLOW_CALL)
    answers.append(await served.post(body, headers))


@in_each_era
async def test_tools_are_listed_and_called(emulator: Emulator, era: Era) -> None:
    async with serving(leading_to(emulator)) as served, served.client(era) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await answer_to_42(client)

    assert names[0] == "house-chat"
    assert names[-4:] == ["run_model", "list_models", "read_result", "cancel_call"]
    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert receipt_of(result)["status"] == 200


@in_each_era
async def test_twenty_clients_at_once_are_all_answered(emulator: Emulator, era: Era) -> None:
    answers: list[Any] = []

    async def ask(served: Served, number: int) -> None:
        async with served.client(era) as client:
            result = await client.call_tool("house-chat", {"prompt": f"What is {number} * 3?"})
            answers.append((number, answer_of(result)["choices"][0]["message"]["content"]))

    with anyio.fail_after(30):
        async with serving(leading_to(emulator)) as served, anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, served, number)

    assert sorted(number for number, _ in answers) == list(range(20))
    assert all(str(number * 3) in text for number, text in answers)


@in_each_era
async def test_a_client_that_goes_away_ends_its_call_upstream_and_no_other(emulator: Emulator, era: Era) -> None:
    client_is_there = anyio.CancelScope()

    async def call(served: Served) -> None:
        with client_is_there:
            await send_slow_call(served, era, [])

    with anyio.fail_after(30):
        async with serving(leading_to(emulator)) as served, anyio.create_task_group() as group:
            group.start_soon(call, served)
            request = await emulator.wait_for(is_slow_call)

            client_is_there.cancel()

            await request.wait_aborted()
            async with served.client(era) as client:
                assert answer_of(await answer_to_42(client))


async def test_a_client_of_2026_that_cancels_ends_its_call_upstream(emulator: Emulator) -> None:
    async def call(client: Client, scope: anyio.CancelScope) -> None:
        with scope:
            await client.call_tool(SLOW_CALL["name"], SLOW_CALL["arguments"])

    async with serving(leading_to(emulator)) as served, served.client() as client, anyio.create_task_group() as group:
        with anyio.fail_after(30):
            scope = anyio.CancelScope()
            group.start_soon(call, client, scope)
            request = await emulator.wait_for(is_slow_call)

            scope.cancel()

            await request.wait_aborted()
            assert answer_of(await answer_to_42(client))


@in_each_era
async def test_a_client_hears_of_progress_while_a_call_goes_on(emulator: Emulator, era: Era) -> None:
    heard: list[str] = []

    async with serving(leading_to(emulator)) as served, served.client(era) as client:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:

                async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
                    heard.append(message or "")
                    group.cancel_scope.cancel()

                await client.call_tool("run_model", SLOW_CALL["arguments"], progress_callback=hear)

    assert heard[0].startswith("fault-slow-30s: waiting for ")


@in_each_era
async def test_a_slow_call_is_handed_back_and_fetched_with_the_next_request(emulator: Emulator, era: Era) -> None:
    config = leading_to(emulator, limits={"detach_after_seconds": 0.1})
    held = HeldAnswers(emulator)
    async with serving(config) as served, served.client(era) as client:
        handle = await answer_to_42(client)
        held.release()
        with anyio.fail_after(20):
            result = await finished(client, handle)

    assert answer_of(handle)["state"] == "running"
    assert receipt_of(result)["status"] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/healthz", 200, {"status": "ok"}),
        ("GET", "/readyz", 200, {"status": "ready"}),
        ("GET", "/", 404, {"error": "not_found", "error_description": "Not Found. The MCP endpoint is /mcp."}),
        ("GET", "/sse", 404, {"error": "not_found", "error_description": "Not Found. The MCP endpoint is /mcp."}),
        ("GET", "/.well-known/oauth-protected-resource", 404, None),
        ("POST", "/healthz", 405, None),
        (
            "GET",
            MCP_PATH,
            405,
            {"error": "method_not_allowed", "error_description": "The MCP endpoint accepts only POST."},
        ),
        ("DELETE", MCP_PATH, 405, None),
        ("OPTIONS", MCP_PATH, 405, None),
    ],
)
async def test_what_is_no_message_of_mcp_is_answered_in_json(
    emulator: Emulator, method: str, path: str, status: int, body: dict[str, str] | None
) -> None:
    async with serving(leading_to(emulator)) as served, served.http() as http:
        answer = await http.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert "server" not in answer.headers
    assert set(answer.json()) <= {"status", "error", "error_description"}
    if body is not None:
        assert answer.json() == body


async def test_a_slash_at_the_end_of_the_path_does_no_harm(emulator: Emulator) -> None:
    body, headers = message("tools/call", "legacy", **HOUSE_CHAT)
    async with serving(leading_to(emulator)) as served, served.http(headers) as http:
        answer = await http.post(f"{MCP_PATH}/", content=body)

    assert answer.status_code == 200
    assert "6 * 7 = 42" in answer.text


@in_each_era
async def test_a_body_over_the_limit_is_refused_unread_and_one_below_it_is_not(emulator: Emulator, era: Era) -> None:
    config = leading_to(emulator, limits={"max_argument_bytes": 8 * 1024 * 1024})
    async with serving(config) as served:
        for size, status in ((9 * 1024 * 1024, 413), (7 * 1024 * 1024, 200)):
            arguments = {"model": "house-classifier", "path": "", "data": {"inputs": "x" * size}}
            body, headers = message("tools/call", era, name="run_model", arguments=arguments)
            answer = await served.post(body, headers)
            assert answer.status_code == status


@in_each_era
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="half a message"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 50_000 + b"1", id="deep and cut"
        ),
        pytest.param(b"[]", id="an empty batch"),
        pytest.param(b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', id="a batch"),
        pytest.param(b'"\xff\xfe"', id="not UTF-8"),
        pytest.param(b'{"jsonrpc":"1.0","id":1,"method":"ping"}', id="another JSON-RPC"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":NaN}', id="not a number"),
    ],
)
async def test_what_is_no_message_is_refused_and_the_next_one_answered(
    emulator: Emulator, era: Era, body: bytes
) -> None:
    good, headers = message("tools/list", era)
    async with serving(leading_to(emulator)) as served:
        with anyio.fail_after(20):
            refused = await served.post(body, headers)
            answered = await served.post(good, headers)

    assert 400 <= refused.status_code < 500, refused.text
    assert "Traceback" not in refused.text
    assert answered.status_code == 200


@in_each_era
async def test_a_server_that_ends_lets_a_call_in_flight_finish_and_lets_nothing_in(
    emulator: Emulator, era: Era
) -> None:
    answers: list[httpx.Response] = []
    held = HeldAnswers(emulator)

    async def call(served: Served) -> None:
        body, headers = message("tools/call", era, **HOUSE_CHAT)
        answers.append(await served.post(body, headers))

    body, headers = message("tools/list", era)
    with anyio.fail_after(20):
        async with (
            serving(leading_to(emulator)) as served,
            served.http(headers) as http,
            anyio.create_task_group() as group,
        ):
            group.start_soon(call, served)
            await emulator.wait_for(lambda request: request.path.startswith("/demo/models/house-chat"))
            # The second of the two keeps its connection, over which the rest is asked.
            assert (await http.get("/readyz")).status_code == 200

            served.shutdown.begun.set()

            while (ready := await http.get("/readyz")).status_code == 200:
                pass
            lives = await http.get("/healthz")
            refused = await http.post(MCP_PATH, content=body)
            with pytest.raises(httpx.ConnectError):
                await served.post(body, headers)
            held.release()

    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert lives.status_code == 200
    assert (refused.status_code, refused.json()["error"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "1"
    assert [answer.status_code for answer in answers] == [200]
    assert '"structuredContent"' in answers[0].text
    assert not any(request.aborted for request in emulator.requests)


@pytest.mark.parametrize("forced", [pytest.param(False, id="its time is up"), pytest.param(True, id="it is forced")])
@in_each_era
async def test_what_is_still_in_flight_in_the_end_is_stopped_upstream_and_its_client_told(
    emulator: Emulator, era: Era, *, forced: bool
) -> None:
    answers: list[httpx.Response] = []
    with anyio.fail_after(30):
        async with (
            serving(leading_to(emulator), drain_seconds=60 if forced else 0.2) as served,
            anyio.create_task_group() as group,
        ):
            group.start_soon(send_slow_call, served, era, answers)
            request = await emulator.wait_for(is_slow_call)

            served.shutdown.begun.set()
            if forced:
                served.shutdown.forced.set()

            await request.wait_aborted()

    (answer,) = answers
    if era != "legacy":
        assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
        return
    event = json.loads(answer.text.partition("data:")[2])
    assert (answer.status_code, event["id"]) == (200, 1)
    assert "may have been billed" in event["error"]["message"]


@in_each_era
async def test_a_stream_that_has_begun_ends_with_an_error_at_the_end_of_a_drain(emulator: Emulator, era: Era) -> None:
    body, headers = message("tools/call", era, **SLOW_CALL)
    request = json.loads(body)
    # Members after the parameters, and progress, so that the stream has begun in either era.
    request["params"]["_meta"] = {**request["params"].get("_meta", {}), "progressToken": "t"}
    request = {"params": request["params"], "jsonrpc": "2.0", "id": "an id", "method": "tools/call"}
    messages: list[dict[str, Any]] = []
    with anyio.fail_after(30):
        async with (
            serving(leading_to(emulator), drain_seconds=0.1) as served,
            served.http(headers) as http,
            http.stream("POST", MCP_PATH, json=request) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    messages.append(json.loads(line.removeprefix("data:")))
                    served.shutdown.begun.set()

    assert "method" in messages[0]
    assert (messages[-1]["id"], messages[-1]["error"]["code"]) == ("an id", -32603)


async def test_a_stream_of_changes_does_not_hold_the_end_and_is_ended_as_the_protocol_has_it(
    emulator: Emulator,
) -> None:
    body, headers = message("subscriptions/listen", "2026-07-28", notifications={"toolsListChanged": True})
    received = ""
    with anyio.fail_after(30):
        async with (
            serving(leading_to(emulator), drain_seconds=60) as served,
            served.http(headers) as http,
            http.stream("POST", MCP_PATH, content=body) as answer,
        ):
            async for line in answer.aiter_lines():
                received += line
                if "subscriptions/acknowledged" in line:
                    served.shutdown.begun.set()

    assert received.count("data: {") == 2
    assert '"resultType":"complete"' in received


async def test_two_servers_do_not_share_an_address(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        port = int(served.url.rpartition(":")[2])

        with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1 port"):
            listen(resolve(HttpSettings(port=port)))


@in_each_era
@pytest.mark.parametrize("written", ["7.0", "7e0", "7.0e0"])
@pytest.mark.parametrize("size", [1, 200_000])
async def test_an_id_that_is_written_as_a_float_is_answered(
    emulator: Emulator, era: Era, written: str, size: int
) -> None:
    arguments = {"model": "house-classifier", "path": "", "data": {"inputs": "x" * size, "id": None}}
    body, headers = message("tools/call", era, name="run_model", arguments=arguments)
    async with serving(leading_to(emulator)) as served:
        answer = await served.post(body.replace(b'"id": 1,', f'"id": {written},'.encode(), 1), headers)

    assert message_in(answer)["id"] == 7
    assert "result" in message_in(answer)


@in_each_era
@pytest.mark.parametrize("written", ["1.5", "null", "true", "[1]", "{}"])
async def test_a_request_whose_id_is_no_id_is_refused(emulator: Emulator, era: Era, written: str) -> None:
    body, headers = message("tools/list", era)
    async with serving(leading_to(emulator)) as served:
        answer = await served.post(body.replace(b'"id": 1,', f'"id": {written},'.encode(), 1), headers)

    assert answer.status_code == 400
    assert (answer.json()["id"], answer.json()["error"]["code"]) == (None, -32600)


@in_each_era
async def test_a_byte_order_mark_before_a_message_does_no_harm(emulator: Emulator, era: Era) -> None:
    body, headers = message("tools/list", era)
    async with serving(leading_to(emulator)) as served:
        answer = await served.post(b"\xef\xbb\xbf" + body, headers)

    assert "result" in message_in(answer)


def message_in(answer: httpx.Response) -> dict[str, Any]:
    """Return the only message of a response, in an event or as JSON."""
    text = answer.text.partition("data:")[2] if "event-stream" in answer.headers["content-type"] else answer.text
    content: dict[str, Any] = json.loads(text)
    return content
