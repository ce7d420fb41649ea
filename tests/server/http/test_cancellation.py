"""Requests that a client of the handshake era cancels over HTTP: stopped upstream, told so, and nobody else's."""

import copy
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.server.callers import OWNER
from blaxel_mcp.server.http.address import MCP_PATH
from blaxel_mcp.server.http.body_bounds import read_body
from blaxel_mcp.server.http.requests import InFlightRequests
from tests.support.canaries import CALLER_KEY, HTTP_TOKEN, KEY
from tests.support.connecting import answer_of, is_slow_call, leading_to
from tests.support.held import HeldAnswers
from tests.support.http_serving import HOUSE_CHAT, SLOW_CALL, Served, answer_to_42, message, serving
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

TOKENS = (HTTP_TOKEN, f"{HTTP_TOKEN}-of-somebody-else")
BY_TOKEN = {"auth": "token", "bearer_tokens": [SecretStr(token) for token in TOKENS]}

STRANGE_NAME = "0123456789abcdefghijklmnopqrstuv"
"""What looks like a session of ours and is none."""

CANCELLED = {"code": -32800, "message": "Request cancelled"}

Headers = dict[str, str]


@dataclass
class Peer:
    """A client of the handshake era by hand; each message of it is a request of its own.

    Attributes:
        served: The server.
        headers: What it sends with every message.
    """

    served: Served
    headers: Headers = field(default_factory=dict)

    @classmethod
    async def greeted(cls, served: Served, headers: Headers | None = None) -> "Peer":
        """One that has a session."""
        peer = cls(served, dict(headers or {}))
        answer = await peer.greet()
        peer.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
        return peer

    async def greet(self) -> httpx.Response:
        client = {"name": "test", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        return await self.send("initialize", 0, **params)

    async def send(self, method: str, request_id: Any = None, /, **params: Any) -> httpx.Response:
        """Send a request, or without an id a notification."""
        named = {} if request_id is None else {"id": request_id}
        body = {"jsonrpc": "2.0", **named, "method": method, "params": params}
        return await self.post(json.dumps(body).encode())

    async def post(self, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
        _, usual = message("", "legacy")
        async with self.served.http({**usual, **self.headers}) as http:
            return await http.post(MCP_PATH, content=body)

    async def cancel(self, request_id: Any, headers: Headers | None = None) -> int:
        """Cancel a request; the status of the answer."""
        other = Peer(self.served, {**self.headers, **(headers or {})})
        answer = await other.send("notifications/cancelled", requestId=request_id, reason="the test says so")
        assert answer.text == "" or not answer.is_success
        return answer.status_code


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    """The messages of an answer."""
    assert answer.status_code == 200
    return [json.loads(data) for data in re.findall(r"^data: (.*)\r?$", answer.text, re.MULTILINE)]


@dataclass(frozen=True)
class Call:
    """A call to a slow model, which is answered when the context is left if it `finishes`."""

    peer: Peer
    request_id: Any = 1
    finishes: bool = False


@dataclass
class UnderWay:
    """Calls under way, in the order in which they were given.

    Attributes:
        upstream: The request of each, as it reached the platform.
        answers: The answer to each, once the context is over.
    """

    upstream: list[RecordedRequest] = field(default_factory=list)
    answers: list[httpx.Response] = field(default_factory=list)


@asynccontextmanager
async def under_way(emulator: Emulator, *calls: Call) -> AsyncIterator[UnderWay]:
    """Have calls under way at the same time; all of them are answered when the context is over."""
    found, answers, held = UnderWay(), dict[int, httpx.Response](), HeldAnswers(emulator)

    async def send(number: int, call: Call) -> None:
        model = "house-chat" if call.finishes else "fault-slow-30s"
        data = {"messages": [{"role": "user", "content": f"call {number}"}]}
        arguments = {"model": model, "data": data}
        answers[number] = await call.peer.send("tools/call", call.request_id, name="run_model", arguments=arguments)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number, call in enumerate(calls):
                group.start_soon(send, number, call)
                is_its = partial(is_call, number)
                found.upstream.append(await emulator.wait_for(is_its))
            yield found
            held.release()
    found.answers += [answers[number] for number in range(len(calls))]


def is_call(number: int, request: RecordedRequest) -> bool:
    return f'"call {number}"'.encode() in request.body


def is_cancelled(answer: httpx.Response, request_id: Any = 1) -> bool:
    return told(answer)[-1:] == [{"jsonrpc": "2.0", "id": request_id, "error": CANCELLED}]


def has_result(answer: httpx.Response, request_id: Any = 1) -> bool:
    (last,) = told(answer)[-1:]
    return type(last["id"]) is type(request_id) and last["id"] == request_id and "content" in last["result"]


async def models_of_today(peer: Peer) -> list[dict[str, Any]]:
    """What was spent on each model."""
    usage = await peer.send("resources/read", 99, uri="blaxel://usage")
    models: list[dict[str, Any]] = json.loads(told(usage)[0]["result"]["contents"][0]["text"])["days"][0]["models"]
    return models


async def test_a_client_that_greets_gets_a_name_that_no_other_has(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = Peer(served)
        names = [(await peer.greet()).headers["mcp-session-id"] for _ in range(2)]
        named = await Peer.greeted(served)
        others = [await named.send("tools/list", 1), await named.post(b"{"), await peer.send("tools/list", 1)]
        body, headers = message("server/discover", "2026-07-28")
        others.append(await served.post(body, headers))

    assert len(set(names)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", name) for name in names)
    assert [answer.status_code for answer in others] == [200, 400, 200, 200]
    assert not any("mcp-session-id" in answer.headers for answer in others)


async def test_a_cancelled_call_is_stopped_upstream_and_the_one_beside_it_goes_on(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with under_way(emulator, Call(peer, 1), Call(peer, 2, finishes=True)) as calls:
            assert await peer.cancel(1) == 202

            await calls.upstream[0].wait_aborted()
        again = await peer.send("tools/list", 3)

    assert is_cancelled(calls.answers[0], 1)
    assert len(told(calls.answers[0])) == 1
    assert has_result(calls.answers[1], 2)
    assert not calls.upstream[1].aborted
    assert told(again)[0]["result"]["tools"]


async def test_a_cancelled_call_is_settled_as_perhaps_billed(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with under_way(emulator, Call(peer)):
            assert [model["unsettled"] for model in await models_of_today(peer)] == [1]
            await peer.cancel(1)
        with anyio.fail_after(30):
            while (models := await models_of_today(peer))[0]["unsettled"]:
                pass

    (model,) = models
    assert [model[name] for name in ("calls", "failed", "failed_maybe_billed")] == [1, 1, 1]


@pytest.mark.parametrize(
    "request_id",
    [
        pytest.param(0, id="zero"),
        pytest.param("1", id="a string"),
        pytest.param("", id="an empty string"),
        pytest.param("K\u00e4fer \u2028\r\n\0\U0001f41e", id="any characters"),
        pytest.param(-(2**70), id="a large number"),
        pytest.param("x" * 100_000, id="a long one"),
    ],
)
async def test_any_id_that_a_request_can_have_is_known_again(emulator: Emulator, request_id: int | str) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with under_way(emulator, Call(peer, request_id)) as calls:
            assert await peer.cancel(request_id) == 202

    assert calls.upstream[0].aborted
    assert is_cancelled(calls.answers[0], request_id)


@pytest.mark.parametrize("written", [1, 1.0])
async def test_an_id_that_is_written_as_a_float_names_the_same_call(emulator: Emulator, written: float) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with under_way(emulator, Call(peer, 1.0)) as calls:
            assert await peer.cancel(written) == 202

    assert is_cancelled(calls.answers[0], 1)


async def test_no_cancel_reaches_a_call_that_it_does_not_name_or_that_is_another_callers(emulator: Emulator) -> None:
    """Each cancel comes while a call is under way that it misses by one thing, and that call has its result then."""
    statuses: dict[str, int] = {}
    async with serving(leading_to(emulator, http=BY_TOKEN)) as served:
        own = [await Peer.greeted(served, {"authorization": f"Bearer {TOKENS[0]}"}) for _ in range(8)]
        others_token = {"authorization": f"Bearer {TOKENS[1]}"}
        async with under_way(emulator, *(Call(peer, finishes=True) for peer in own)) as calls:
            cancels = {
                "a string for a number": own[0].cancel("1"),
                "another number": own[1].cancel(2),
                "no number": own[2].cancel(1.5),
                "another caller's token": own[3].cancel(1, others_token),
                "another session": own[4].cancel(1, {"mcp-session-id": STRANGE_NAME}),
                "no session": own[5].cancel(1, {"mcp-session-id": ""}),
                "no token": own[6].cancel(1, {"authorization": ""}),
                "a foreign page": own[7].cancel(1, {"origin": "https://evil.example"}),
            }
            for name, cancel in cancels.items():
                statuses[name] = await cancel

    assert [has_result(answer) for answer in calls.answers] == [True] * len(cancels)
    assert list(statuses.values()) == [202, 202, 202, 202, 202, 202, 401, 403]


async def test_callers_with_keys_of_their_own_cannot_cancel_for_each_other(emulator: Emulator) -> None:
    emulator.api_keys.add(CALLER_KEY)
    keys = [{"x-blaxel-authorization": f"Bearer {key}", "x-blaxel-workspace": "demo"} for key in (KEY, CALLER_KEY)]
    async with serving(leading_to(emulator, http={"auth": "caller"}, api_key=None)) as served:
        peer = await Peer.greeted(served, keys[0])
        async with under_way(emulator, Call(peer, 1), Call(peer, 2, finishes=True)) as calls:
            assert await peer.cancel(2, keys[1]) == 202
            assert await peer.cancel(1) == 202

    assert is_cancelled(calls.answers[0], 1)
    assert has_result(calls.answers[1], 2)


async def test_a_client_that_names_itself_is_served_as_one_without_a_name(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = Peer(served, {"mcp-session-id": "made up by a proxy"})
        async with under_way(emulator, Call(peer, finishes=True)) as calls:
            assert await peer.cancel(1) == 202

    assert has_result(calls.answers[0])


async def test_two_calls_that_were_given_one_id_are_both_stopped(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with under_way(emulator, Call(peer), Call(peer)) as calls:
            await peer.cancel(1)

    assert [is_cancelled(answer) for answer in calls.answers] == [True, True]
    assert [request.aborted for request in calls.upstream] == [True, True]


async def test_a_cancel_that_comes_late_or_twice_does_nothing_and_the_id_can_be_used_again(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with under_way(emulator, Call(peer, finishes=True)) as calls:
            pass
        late = [await peer.cancel(1), await peer.cancel(1)]
        again = await peer.send("tools/call", 1, **HOUSE_CHAT)

    assert has_result(calls.answers[0])
    assert late == [202, 202]
    assert has_result(again)


async def test_a_call_that_tells_of_its_progress_can_be_cancelled_too(emulator: Emulator) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**SLOW_CALL, "_meta": {"progressToken": "p"}}}
    received = ""
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        _, usual = message("", "legacy")
        with anyio.fail_after(30):
            async with (
                served.http({**usual, **peer.headers}) as http,
                http.stream("POST", MCP_PATH, content=json.dumps(body)) as answer,
            ):
                async for line in answer.aiter_lines():
                    if "notifications/progress" in line and "notifications/progress" not in received:
                        await peer.cancel(1)
                    received += f"{line}\n"

    messages = [json.loads(data) for data in re.findall(r"^data: (.*)$", received, re.MULTILINE)]
    assert {message["method"] for message in messages[:-1]} == {"notifications/progress"}
    assert messages[-1] == {"jsonrpc": "2.0", "id": 1, "error": CANCELLED}


def running() -> Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]:
    """Run applications of ours as the MCP endpoint, for requests that can cancel each other."""
    requests = InFlightRequests()

    async def run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await requests.pass_on(app, await read_body(receive, 2 * 1024 * 1024), scope, send)

        await requests.run(answer, scope, receive, send)

    return run


START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}
EVENT: Message = {"type": "http.response.body", "more_body": True}
PROGRESS = b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"result":1}}\r\n\r\n'
RESULT = b'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\r\n\r\n'
SIGN_OF_LIFE = b": ping - 2026-07-28 12:00:00+00:00\r\n\r\n"
ERROR = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32800,"message":"Request cancelled"}}'
ERROR_EVENT = b"event: message\r\ndata: " + ERROR + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "content_type", "content"),
    [
        pytest.param(None, "application/json", ERROR, id="nothing"),
        pytest.param([], "text/event-stream; charset=utf-8", ERROR_EVENT, id="the headers"),
        pytest.param([SIGN_OF_LIFE], "text/event-stream; charset=utf-8", SIGN_OF_LIFE + ERROR_EVENT, id="life"),
        pytest.param([PROGRESS], "text/event-stream; charset=utf-8", PROGRESS + ERROR_EVENT, id="progress"),
        pytest.param([RESULT], "text/event-stream; charset=utf-8", RESULT, id="the result"),
        pytest.param(
            [RESULT, SIGN_OF_LIFE], "text/event-stream; charset=utf-8", RESULT + SIGN_OF_LIFE, id="the result and life"
        ),
    ],
)
async def test_the_answer_to_a_cancelled_request_ends_as_far_as_it_has_come(
    sent: list[bytes] | None, content_type: str, content: bytes
) -> None:
    """What of the answer has been sent is a matter of moments with a real client, so the application is one of ours."""
    run, has_sent = running(), anyio.Event()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if b"cancelled" in (await receive())["body"]:
            await Response(status_code=202)(scope, receive, send)
            return
        for part in [] if sent is None else [START, *({**EVENT, "body": body} for body in sent)]:
            await send(part)
        has_sent.set()
        await anyio.sleep_forever()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await run(answer, {**scope, "state": {"caller": OWNER}}, receive, send)

    async def cancel(http: httpx.AsyncClient) -> None:
        await has_sent.wait()
        await http.post("/", json={"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})

    headers = {"mcp-session-id": STRANGE_NAME}
    with anyio.fail_after(30):
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as http,
            anyio.create_task_group() as group,
        ):
            group.start_soon(cancel, http)
            told = await http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call"})

    assert (told.status_code, told.headers["content-type"], told.content) == (200, content_type, content)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"{", 400, id="half a message"),
        pytest.param(b"[" * 100_000, 400, id="nested without end"),
        pytest.param(b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, id="a batch"),
        pytest.param(b'"\xff\xfe"', 400, id="not UTF-8"),
        pytest.param(b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, id="half an id"),
        pytest.param(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', 400, id="half a character for an id"),
        pytest.param(b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}', 400, id="an endless id"),
        pytest.param(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}', 202, id="a cancel of nothing"),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[1]}}', 202, id="of no id"
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":{}}', 202, id="an answer"),
    ],
)
async def test_what_makes_no_sense_is_left_to_the_protocol_and_the_next_message_answered(
    emulator: Emulator, body: bytes, status: int
) -> None:
    async with serving(leading_to(emulator)) as served:
        with anyio.fail_after(20):
            peer = await Peer.greeted(served)
            refused = await peer.post(body)
            answered = await peer.send("ping", 2)

    assert refused.status_code == status, refused.text
    assert told(answered) == [{"jsonrpc": "2.0", "id": 2, "result": {}}]


async def test_a_large_body_is_taken_up_to_the_limit_and_refused_above_it(emulator: Emulator) -> None:
    async with serving(leading_to(emulator, limits={"max_argument_bytes": 1024 * 1024})) as served:
        peer = await Peer.greeted(served)
        statuses = {}
        for size in (1000 * 1024, 1030 * 1024):
            for pieces in (1, 20):
                arguments = {"model": "house-classifier", "path": "", "data": {"inputs": "x" * size}}
                call = {"name": "run_model", "arguments": arguments}
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
                statuses[size, pieces] = (await peer.post(body if pieces == 1 else in_pieces(body))).status_code

    assert list(statuses.values()) == [200, 200, 413, 413]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"jsonrpc":"2.0","id":7,"params":{"id":5,%s}}', id="id first"),
        pytest.param(b'{"params":{"id":5,%s},"jsonrpc":"2.0","id":7}', id="id last"),
    ],
)
async def test_a_large_request_can_be_cancelled_without_being_parsed(body: bytes) -> None:
    """What stands in the middle is no JSON: whoever parsed it would not find the request's id."""
    run, is_running, is_over = running(), anyio.Event(), anyio.Event()
    whole = body % (b"x" * 1024 * 1024)
    left = [whole[start : start + 1024] for start in range(0, len(whole), 1024)]

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def run_forever(_: Scope, receive: Receive, __: Send) -> None:
        received = b""
        while len(received) < len(whole):
            received += (await receive())["body"]
        assert received == whole
        is_running.set()
        await anyio.sleep_forever()

    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=202)(scope, receive, send)

    async def ignore(_: Message) -> None:
        pass

    async def cancel(request_id: int) -> None:
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}

        async def receive() -> Message:
            return {"type": "http.request", "body": json.dumps(message).encode()}

        await run(accept, copy.deepcopy(scope), receive, ignore)

    async def call() -> None:
        await run(run_forever, copy.deepcopy(scope), receive, ignore)
        is_over.set()

    headers = [(b"mcp-session-id", STRANGE_NAME.encode())]
    scope = {"type": "http", "method": "POST", "headers": headers, "state": {"caller": OWNER}}
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await is_running.wait()
            await cancel(5)
            await anyio.wait_all_tasks_blocked()
            assert not is_over.is_set()
            await cancel(7)
            await is_over.wait()


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose size is not told beforehand."""
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_session_has_no_stream_of_its_own_and_no_end(emulator: Emulator, method: str) -> None:
    async with serving(leading_to(emulator)) as served:
        peer = await Peer.greeted(served)
        async with served.http(peer.headers) as http:
            answer = await http.request(method, MCP_PATH)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_the_page_of_a_browser_can_read_its_name(emulator: Emulator) -> None:
    page = {"origin": "https://app.example.com"}
    async with serving(leading_to(emulator, http={"allowed_origins": [page["origin"]]})) as served:
        answer = await Peer(served, page).greet()

    assert "mcp-session-id" in answer.headers
    assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]


async def test_the_sdks_own_client_of_the_handshake_era_ends_its_call_upstream(emulator: Emulator) -> None:
    async def call(client: Client, scope: anyio.CancelScope) -> None:
        with scope:
            await client.call_tool(SLOW_CALL["name"], SLOW_CALL["arguments"])

    async with serving(leading_to(emulator)) as served, served.client("legacy") as client:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                scope = anyio.CancelScope()
                group.start_soon(call, client, scope)
                request = await emulator.wait_for(is_slow_call)

                scope.cancel()

                await request.wait_aborted()
            assert answer_of(await answer_to_42(client))
