"""A call that carries a key is paid once over several servers."""

import anyio
import pytest
from pydantic import SecretStr

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.shared.cipher import Cipher
from blaxel_mcp.shared.state import SharedState
from blaxel_mcp.tools.store.shared_keys import SharedKeys
from tests.replicas.engines import SHARED_KEY, RedisServer, engine_of, needs_redis, sharing
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of
from tests.support.held import HeldAnswers
from tests.support.leaks import Client

pytestmark = [needs_redis, pytest.mark.anyio]

CHAT = {"name": "house-chat", "api": "chat-completions"}
QUESTION = "What is the house sauce?"
KEYED = {
    "model": "house-chat",
    "data": {"messages": [{"role": "user", "content": QUESTION}]},
    "call_key": "question 7",
}


def is_chat(request: RecordedRequest) -> bool:
    return "models/house-chat" in request.path and not request.path.startswith("/v0/")


async def test_a_call_is_joined_replayed_and_refused_on_another_server(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis)), []
    async with connect(config) as one, connect(config) as other:

        async def call(client: Client) -> None:
            result = await client.call_tool("run_model", KEYED)
            assert answer_of(result)["choices"][0]["message"]["content"] == "At last."
            replays.append(receipt_of(result)["replayed"])

        async with anyio.create_task_group() as group:
            group.start_soon(call, one)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            group.start_soon(call, other)
            held.release()
        await call(other)
        refused = await other.call_tool("run_model", {**KEYED, "data": {}})
        with redis.client() as client:
            kept = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))

    assert sorted(replays) == [False, True, True]
    assert error_of(refused)["code"] == "invalid_arguments"
    assert len(inference_requests(emulator.requests)) == 1
    for secret in (QUESTION, "At last.", SHARED_KEY):
        assert secret.encode() not in kept


async def test_a_call_is_made_without_the_engine_and_says_what_that_means(
    emulator: Emulator, redis: RedisServer
) -> None:
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis))
    redis.kill()
    async with connect(config) as client:
        result = await client.call_tool("run_model", KEYED)

    assert not result.is_error
    assert any("a repetition of this call would be paid again" in note for note in receipt_of(result)["notes"])


def test_a_lost_call_is_taken_over_once_and_its_late_result_is_not_taken(redis: RedisServer) -> None:
    with engine_of(redis) as engine:
        cipher = Cipher(SecretStr(SHARED_KEY))
        dead, alive = (SharedKeys(SharedState(engine, cipher, lease)) for lease in (0, 10))
        dead.claim("key", "arguments", "call_1")
        lost = alive.claim("key", "arguments", "call_2")
        taken = alive.claim("key", "arguments", "call_2", again=True)
        running = alive.claim("key", "arguments", "call_3", again=True)
        dead.finish("key", "call_1", "{}")
        still = alive.claim("key", "arguments", "call_3")
        alive.finish("key", "call_2", "[]")
        done = alive.claim("key", "arguments", "call_3", again=True)

    assert [claim.state for claim in (lost, taken, running, still)] == ["lost", "new", "running", "running"]
    assert (done.state, done.call_id, done.result) == ("done", "call_2", "[]")
