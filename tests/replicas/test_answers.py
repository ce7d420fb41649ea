"""Handles and answers that any server has: read, waited for, cancelled and lost, and nobody else's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from blaxel_mcp.budget.shared.engine import SharedStateError
from blaxel_mcp.budget.shared.state import Cipher, SharedState
from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.tools.call_tools import PART_KEY
from blaxel_mcp.tools.store.stored_answers import CHUNK_BYTES, SharedAnswers, StoredAnswer
from tests.replicas.engines import SHARED_KEY, RedisServer, engine_of, needs_redis, sharing
from tests.support.canaries import KEY
from tests.support.connecting import (
    ERAS,
    Era,
    answer_of,
    connect,
    error_of,
    inference_requests,
    leading_to,
    receipt_of,
    text_of,
)
from tests.support.held import HeldAnswers
from tests.support.http_serving import Served, serving
from tests.support.leaks import Client

pytestmark = [needs_redis, pytest.mark.anyio]

CHAT = {"name": "house-chat", "api": "chat-completions"}
PROMPT = "What is the secret ingredient of the house sauce?"
SLOW = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": PROMPT}]}}


def config_of(emulator: Emulator, redis: RedisServer, *, lease_seconds: float = 60, **more: Any) -> Any:
    """Return the settings of one of several servers, which hands each call back almost at once."""
    shared = sharing(redis, lease_seconds=lease_seconds)
    return leading_to(emulator, models=[CHAT], limits={"detach_after_seconds": 0.05}, shared=shared, **more)


@asynccontextmanager
async def two_servers(
    emulator: Emulator, redis: RedisServer, era: Era = "2026-07-28", **more: Any
) -> AsyncIterator[tuple[Client, Client]]:
    config = config_of(emulator, redis, **more)
    async with connect(config, era) as one, connect(config, era) as other:
        yield one, other


def is_chat(request: RecordedRequest) -> bool:
    return "models/house-chat" in request.path and not request.path.startswith("/v0/")


async def handed_back(client: Client) -> str:
    """Start a call, and return its handle."""
    result = await client.call_tool("run_model", SLOW)
    assert answer_of(result)["state"] == "running"
    call_id: str = receipt_of(result)["call_id"]
    return call_id


async def read(client: Client, call_id: str, **more: Any) -> Any:
    with anyio.fail_after(30):
        return await client.call_tool("read_result", {"call_id": call_id, **more})


async def ended(client: Client, call_id: str) -> Any:
    """Return the result of a call when it has ended; each wait is as long as a call is waited for."""
    with anyio.fail_after(30):
        while True:
            result = await read(client, call_id, wait_seconds=20)
            if (result.structured_content or {}).get("state") != "running":
                return result


@pytest.mark.parametrize("era", ERAS)
async def test_a_handle_of_one_server_is_followed_on_another(emulator: Emulator, redis: RedisServer, era: Era) -> None:
    held = HeldAnswers(emulator)
    async with two_servers(emulator, redis, era) as (one, other):
        call_id = await handed_back(one)
        running = await read(other, call_id)
        async with anyio.create_task_group() as group:
            done: list[Any] = []

            async def wait() -> None:
                done.append(await ended(other, call_id))

            group.start_soon(wait)
            held.release()
        part = await read(other, call_id, pointer="/choices/0/message/content")
        contents = (await other.read_resource(f"blaxel://calls/{call_id}")).contents

    assert answer_of(running) | {"progress": ""} == {
        "call_id": call_id,
        "state": "running",
        "progress": "",
        "so_far": "",
        "next": answer_of(running)["next"],
    }
    assert receipt_of(running)["call_id"] == call_id
    (result,) = done
    assert answer_of(result)["choices"][0]["message"]["content"] == "At last."
    assert receipt_of(result)["call_id"] == call_id
    assert text_of(part) == "At last."
    assert "At last." in contents[0].text  # type: ignore[union-attr] # JSON is text
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_quick_answer_of_one_server_is_read_on_another(emulator: Emulator, redis: RedisServer) -> None:
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis))
    async with connect(config) as one, connect(config) as other:
        answered = await one.call_tool("house-chat", {"prompt": "What is 6 * 7?"})
        result = await read(other, receipt_of(answered)["call_id"])

    assert "6 * 7 = 42" in text_of(result)


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_is_cancelled_on_another_server(emulator: Emulator, redis: RedisServer, era: Era) -> None:
    HeldAnswers(emulator)
    async with two_servers(emulator, redis, era) as (one, other):
        call_id = await handed_back(one)
        request = await emulator.wait_for(is_chat, timeout_seconds=20)
        with anyio.fail_after(30):
            cancelled = await other.call_tool("cancel_call", {"call_id": call_id})
            await request.wait_aborted()
        afterwards = await read(other, call_id)
        again = await other.call_tool("cancel_call", {"call_id": call_id})

    assert answer_of(cancelled) == {"call_id": call_id, "state": "cancelled"}
    assert answer_of(again) == {"call_id": call_id, "state": "cancelled"}
    assert error_of(afterwards)["code"] == "cancelled"
    assert error_of(afterwards)["billed"] == "maybe"


async def test_a_result_is_the_same_on_another_server(emulator: Emulator, redis: RedisServer) -> None:
    async with two_servers(emulator, redis) as (one, other):
        slow = {"model": "fault-slow-1s", "data": {"inputs": "x"}}
        result = await one.call_tool("run_model", slow)
        call_id = receipt_of(result)["call_id"]
        there = await ended(one, call_id)
        here = await ended(other, call_id)

    assert here.is_error == there.is_error
    assert here.content == there.content


async def test_the_last_call_is_known_to_other_servers(emulator: Emulator, redis: RedisServer) -> None:
    HeldAnswers(emulator)
    async with two_servers(emulator, redis) as (one, other):
        unknown = await read(other, "last")
        answered = await one.call_tool("run_model", {"model": "house-classifier", "data": {"inputs": "x"}})
        await ended(one, receipt_of(answered)["call_id"])
        last = await read(other, "last")
        call_id = await handed_back(one)
        running = await read(other, "last")
        redis.kill()
        own = await read(one, "last")

    assert error_of(unknown)["code"] == "not_found"
    # A busy server hands it back.
    assert (last.meta.get(PART_KEY) or receipt_of(last))["call_id"] == receipt_of(answered)["call_id"]
    assert answer_of(running)["call_id"] == answer_of(own)["call_id"] == call_id


async def test_a_handle_that_nobody_gave_is_unknown_everywhere(emulator: Emulator, redis: RedisServer) -> None:
    async with two_servers(emulator, redis) as (_, other):
        read_unknown = await read(other, "call_of_nobody")
        cancelled = await other.call_tool("cancel_call", {"call_id": "call_of_nobody"})

    assert error_of(read_unknown)["code"] == error_of(cancelled)["code"] == "not_found"


async def test_a_handle_survives_a_redis_that_is_away_or_was_emptied(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    async with two_servers(emulator, redis, lease_seconds=1.5) as (one, other):
        call_id = await handed_back(one)
        redis.kill()
        away = await read(other, call_id)
        redis.start()
        redis.empty()
        held.release()
        with anyio.fail_after(30):
            while (result := await ended(other, call_id)).is_error:
                assert error_of(result)["code"] in ("not_found", "upstream_error")

    assert error_of(away)["code"] == "upstream_error"
    assert error_of(away)["billed"] == "maybe"
    assert f"{redis.address} cannot be reached" in text_of(away)
    assert "At last." in text_of(result)


async def test_callers_do_not_see_each_others_calls_and_answers(emulator: Emulator, redis: RedisServer) -> None:
    HeldAnswers(emulator)
    tokens = [f"{KEY[:11]}-{name}-9d2c71b0e5" for name in ("anna", "bert")]
    http = {"auth": "token", "bearer_tokens": tokens}
    config = config_of(emulator, redis, http=http)
    anna, bert = ({"authorization": f"Bearer {token}"} for token in tokens)

    async def errors(server: Served, headers: dict[str, str], call_id: str) -> list[str]:
        async with server.client(headers=headers) as client:
            results = [await client.call_tool(name, {"call_id": call_id}) for name in ("read_result", "cancel_call")]
            with pytest.raises(Exception, match="No call"):
                await client.read_resource(f"blaxel://calls/{call_id}")
        return [error_of(result)["code"] for result in results]

    async with serving(config) as one, serving(config) as other:
        async with one.client(headers=anna) as client:
            call_id = await handed_back(client)
        codes = [await errors(server, bert, call_id) for server in (one, other)]
        async with other.client(headers=anna) as client:
            mine = await read(client, call_id)

    assert codes == [["not_found"] * 2] * 2
    assert answer_of(mine)["state"] == "running"


@pytest.mark.parametrize("ledger", [None, "its own URL"])
async def test_a_caller_over_http_is_not_told_where_redis_is(
    emulator: Emulator, redis: RedisServer, ledger: str | None
) -> None:
    token = f"{KEY[:11]}-anna-9d2c71b0e5"
    http = {"auth": "token", "bearer_tokens": [token]}
    config = leading_to(
        emulator,
        models=[CHAT],
        shared=sharing(redis),
        http=http,
        budget={"calls_per_day": 5, "ledger": ledger and redis.url},
    )
    redis.kill()
    async with serving(config) as server, server.client(headers={"authorization": f"Bearer {token}"}) as client:
        results = [
            await client.call_tool("house-chat", {"prompt": "Hi"}),
            await client.call_tool("read_result", {"call_id": "call_1"}),
        ]

    assert all(result.is_error for result in results)
    assert str(redis.port) not in str([result.model_dump() for result in results])


async def test_nothing_that_a_caller_said_or_got_is_readable_in_redis(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    async with two_servers(emulator, redis) as (one, other):
        call_id = await handed_back(one)
        held.release()
        assert not (await ended(other, call_id)).is_error
    with redis.client() as client:
        keys = list(client.scan_iter("*"))
        values = [client.dump(key) for key in keys]
    content = b"".join([path.read_bytes() for path in redis.files()] + keys + values)

    for secret in (PROMPT, "At last.", "house sauce", SHARED_KEY):
        assert secret.encode() not in content
    assert any(call_id.encode() in key for key in keys)


async def test_a_large_answer_is_kept_in_chunks_and_read_only_with_the_same_key_and_by_its_caller(
    redis: RedisServer,
) -> None:
    large = StoredAnswer("binary", "audio/wav", b"\x00\xff" * CHUNK_BYTES)
    with engine_of(redis) as engine:

        def answers(key: str = SHARED_KEY, owner: str = "anna") -> SharedAnswers:
            return SharedAnswers(SharedState(engine, Cipher(SecretStr(key)), 1), owner)

        answers().write("call_1", large)
        with redis.client() as client:
            chunks = [key for key in client.scan_iter("*:answer:anna:call_1:*") if client.ttl(key) > 3000]
            forged = client.get("{blaxel-mcp}:answer:anna:call_1")
            client.set("{blaxel-mcp}:answer:bert:call_1", forged or b"")

        assert answers().read("call_1") == large
        answers().write("call_3", StoredAnswer("json", "application/json", b'{ "a" : [ 1.10 ] }', is_compact=False))
        assert answers().read("call_3") == StoredAnswer("json", "application/json", b'{"a":[1.10]}')
        assert answers().read("call_2") is None
        with pytest.raises(SharedStateError, match=r"another shared\.key"):
            answers(key=SHARED_KEY[::-1]).read("call_1")
        with pytest.raises(SharedStateError, match=r"another shared\.key"):
            answers(owner="bert").read("call_1")

    assert len(chunks) == 2
