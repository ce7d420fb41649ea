"""A call that carries a key is paid once, whoever asks again: another request, another session, another process."""

import gc
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.tools.paid_once import PaidOnce, arguments_digest, key_digest
from blaxel_mcp.tools.store.call_keys import CallKeysError, LocalKeys, default_keys
from tests.catalog.test_several_workspaces import Platform, several
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
from tests.support.http_serving import message, serving
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

CHAT = {"name": "house-chat", "api": "chat-completions"}
PROMPT = {"prompt": "What is 6 * 7?"}
BY_API = {"model": "house-chat", **PROMPT}
RUN = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}}
CLAUDE, CODEX = {"claudecode/toolUseId": "toolu_01"}, {"callId": "call_01"}


def is_chat(request: RecordedRequest) -> bool:
    return "models/house-chat" in request.path and not request.path.startswith("/v0/")


async def ask(client: Client, meta: Mapping[str, Any] = CLAUDE, **more: Any) -> types.CallToolResult:
    return await client.call_tool("house-chat", {**PROMPT, **more}, meta=dict(meta))  # type: ignore[arg-type] # other names are allowed


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("meta", [CLAUDE, CODEX], ids=["Claude Code", "Codex"])
async def test_a_repeated_call_gets_the_first_result_at_no_cost(
    emulator: Emulator, era: Era, meta: dict[str, str]
) -> None:
    async with connect(leading_to(emulator, models=[CHAT]), era) as client:
        first, second = await ask(client, meta), await ask(client, meta)

    assert answer_of(first) == answer_of(second)
    assert [receipt_of(result)["replayed"] for result in (first, second)] == [False, True]
    assert receipt_of(second)["call_id"] == receipt_of(first)["call_id"]
    assert receipt_of(second)["cost_usd"] == 0
    assert len(inference_requests(emulator.requests)) == 1


async def test_another_session_gets_it_too(emulator: Emulator) -> None:
    config = leading_to(emulator, models=[CHAT])
    async with connect(config) as client:
        first = await ask(client)
    async with connect(config) as client:
        second = await ask(client)

    assert answer_of(first) == answer_of(second)
    assert len(inference_requests(emulator.requests)) == 1


async def test_calls_without_a_key_or_with_another_one_are_all_made(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        for meta in ({}, {}, CLAUDE, {"claudecode/toolUseId": "toolu_02"}, {"claudecode/toolUseId": 7}):
            assert not receipt_of(await ask(client, meta))["replayed"]

    assert len(inference_requests(emulator.requests)) == 5


async def test_an_agent_names_a_call_itself(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        results = [
            await client.call_tool("run_model", {**RUN, "call_key": "question 7"}, meta=meta)  # type: ignore[arg-type] # other names are allowed
            for meta in ({"claudecode/toolUseId": "toolu_01"}, {"claudecode/toolUseId": "toolu_02"})
        ]

    assert [receipt_of(result)["replayed"] for result in results] == [False, True]
    (request,) = inference_requests(emulator.requests)
    assert b"question 7" not in request.body


async def test_a_field_of_that_name_of_a_models_own_tool_goes_to_the_model(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        for _ in range(2):
            assert not receipt_of(await ask(client, {}, call_key="a field of the model"))["replayed"]

    assert [b"a field of the model" in request.body for request in inference_requests(emulator.requests)] == [True] * 2


async def test_a_call_with_a_key_that_names_no_single_model_says_so() -> None:
    async with connect(several(), transport=Platform()) as client:
        arguments = {"model": "gpt", "data": {"messages": []}, "call_key": "question 7"}
        result = await client.call_tool("run_model", arguments)

    assert error_of(result)["code"] == "invalid_arguments"
    assert "Several workspaces have a model 'gpt'" in text_of(result)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({**RUN, "call_key": "k", "dry_run": "false"}, id="a word for false"),
        pytest.param({"arguments": json.dumps({**RUN, "call_key": "k"})}, id="all arguments as one string"),
        pytest.param({"arguments": {**RUN, "call_key": "k"}}, id="all arguments in an object"),
    ],
)
async def test_a_key_counts_in_arguments_that_have_to_be_repaired(
    emulator: Emulator, arguments: dict[str, Any]
) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        results = [await client.call_tool("run_model", arguments) for _ in range(2)]

    assert [receipt_of(result)["replayed"] for result in results] == [False, True]
    assert receipt_of(results[0])["repairs"]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_dry_run_takes_no_key(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        assert answer_of(await client.call_tool("run_model", {**RUN, "call_key": "x", "dry_run": True}))
        result = await client.call_tool("run_model", {**RUN, "call_key": "x"})

    assert not receipt_of(result)["replayed"]


async def test_a_key_with_other_arguments_is_refused(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        first = await ask(client)
        second = await ask(client, temperature=0.5)

    assert error_of(second)["code"] == "invalid_arguments"
    assert receipt_of(first)["call_id"] in text_of(second)
    assert error_of(second)["billed"] == "no"
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_running_call_is_joined(emulator: Emulator) -> None:
    held = HeldAnswers(emulator)
    results: list[types.CallToolResult] = []
    async with connect(leading_to(emulator, models=[CHAT])) as client, anyio.create_task_group() as group:

        async def one() -> None:
            results.append(await ask(client))

        for _ in range(3):
            group.start_soon(one)
        await emulator.wait_for(is_chat, timeout_seconds=20)
        held.release()

    assert sorted(receipt_of(result)["replayed"] for result in results) == [False, True, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_running_call_of_another_process_is_joined(emulator: Emulator) -> None:
    held = HeldAnswers(emulator)
    config, results = leading_to(emulator, models=[CHAT]), list[types.CallToolResult]()
    async with connect(config) as one, connect(config) as other, anyio.create_task_group() as group:

        async def call(client: Client) -> None:
            results.append(await ask(client))

        group.start_soon(call, one)
        await emulator.wait_for(is_chat, timeout_seconds=20)
        group.start_soon(call, other)
        held.release()

    assert sorted(receipt_of(result)["replayed"] for result in results) == [False, True]
    assert len(inference_requests(emulator.requests)) == 1


@pytest.mark.parametrize(
    ("arguments", "key", "advice"),
    [
        pytest.param({"call_key": "k"}, "argument k", "Repeat this call with the same call_key", id="an agent's key"),
        pytest.param({}, "client toolu_01", "do not send the request again", id="a client's key"),
    ],
)
async def test_a_long_call_of_another_process_says_how_to_wait_on(
    emulator: Emulator, arguments: dict[str, Any], key: str, advice: str
) -> None:
    other = LocalKeys(default_keys(), lease_seconds=3600)
    other.claim(key_digest("", "demo", key), arguments_digest("run_model", RUN), "call_of_another_process")
    async with connect(leading_to(emulator, models=[CHAT], limits={"detach_after_seconds": 0.05})) as client:
        result = await client.call_tool("run_model", {**RUN, **arguments}, meta=CLAUDE)  # type: ignore[arg-type] # other names are allowed
    other.close()

    assert answer_of(result)["call_id"] == "call_of_another_process"
    assert advice in answer_of(result)["next"]


async def test_a_call_that_failed_unpaid_may_be_made_again(emulator: Emulator) -> None:
    config = leading_to(emulator, models=[CHAT], budget={"calls_per_day": 0, "ledger": ":memory:"})
    async with connect(config) as client:
        assert error_of(await ask(client))["code"] == "budget_exceeded"
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        assert not (await ask(client)).is_error


async def test_a_call_that_failed_and_may_have_been_billed_is_not_sent_again(emulator: Emulator) -> None:
    arguments = {"model": "fault-truncated", "data": {"inputs": "x"}, "call_key": "once"}
    async with connect(leading_to(emulator)) as client:
        first, second = [await client.call_tool("run_model", arguments) for _ in range(2)]

    assert error_of(first)["billed"] == "maybe"
    assert error_of(second) == error_of(first)
    assert len(inference_requests(emulator.requests)) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_whose_connection_was_cut_is_joined_by_its_repetition(emulator: Emulator, era: Era) -> None:
    held = HeldAnswers(emulator)
    arguments = {**RUN, "call_key": "question 7"}
    body, headers = message("tools/call", era, name="run_model", arguments=arguments)
    async with serving(leading_to(emulator, models=[CHAT])) as server, anyio.create_task_group() as group:

        async def first() -> None:
            async with server.http(headers) as http:
                await http.post("/mcp", content=body)

        group.start_soon(first)
        request = await emulator.wait_for(is_chat, timeout_seconds=20)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            texts: list[str] = []

            async def second() -> None:
                texts.append((await server.post(body, headers)).text)

            async with anyio.create_task_group() as repeated:
                repeated.start_soon(second)
                held.release()

    assert not request.aborted
    assert '"replayed":true' in texts[0].replace(" ", "")
    assert "At last." in texts[0]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_key_belongs_to_its_caller(emulator: Emulator) -> None:
    tokens = [f"{KEY[:11]}-{name}-9d2c71b0e5" for name in ("anna", "bert")]
    config = leading_to(emulator, models=[CHAT], http={"auth": "token", "bearer_tokens": tokens})
    replays = []
    async with serving(config) as server:
        for token in (*tokens, *tokens):
            async with server.client(headers={"authorization": f"Bearer {token}"}) as client:
                replays.append(receipt_of(await ask(client))["replayed"])

    assert replays == [False, False, True, True]
    assert len(inference_requests(emulator.requests)) == 2


async def test_a_repetition_that_is_cancelled_while_it_waits_for_another_process_leaves_nothing(
    emulator: Emulator,
) -> None:
    other = LocalKeys(default_keys(), lease_seconds=3600)
    digest = key_digest("", "demo", f"client {CLAUDE['claudecode/toolUseId']}")
    other.claim(digest, arguments_digest("house-chat", PROMPT), "call_of_another_process")
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        with anyio.move_on_after(0.5) as scope:
            await ask(client)
        gc.collect()
        # Its result is still taken.
        other.finish(digest, "call_of_another_process", json.dumps({"content": [{"type": "text", "text": "At last."}]}))
        result = await ask(client)
    other.close()

    assert scope.cancelled_caught
    assert text_of(result) == "At last."
    assert not inference_requests(emulator.requests)


def test_the_call_of_a_dead_process_is_lost_and_not_made_again(tmp_path: Path) -> None:
    clock = [1000.0]
    dead, alive = (LocalKeys(tmp_path / "calls.sqlite3", lease_seconds=15, now=lambda: clock[0]) for _ in range(2))
    assert dead.claim("key", "arguments", "call_1").state == "new"
    assert alive.claim("key", "arguments", "call_2").state == "running"
    clock[0] += 14
    dead.renew({"key": "call_1"})
    clock[0] += 14
    assert alive.claim("key", "arguments", "call_2").state == "running"
    clock[0] += 2
    lost = alive.claim("key", "arguments", "call_2")
    dead.finish("key", "call_1", "{}")
    done = alive.claim("key", "arguments", "call_2")
    clock[0] += 86_400
    new = alive.claim("key", "arguments", "call_3")
    for keys in (dead, alive):
        keys.close()

    assert (lost.state, lost.call_id) == ("lost", "call_1")
    assert (done.state, done.result) == ("done", "{}")
    assert new.state == "new"


def test_a_key_of_a_clock_that_was_years_ahead_is_free_when_it_is_right_again(tmp_path: Path) -> None:
    clock = [4_000_000_000.0]
    keys = LocalKeys(tmp_path / "calls.sqlite3", now=lambda: clock[0])
    keys.claim("key", "arguments", "call_1")
    clock[0] = 1_800_000_000.0
    state = keys.claim("key", "arguments", "call_2").state
    keys.close()

    assert state == "new"


@pytest.mark.parametrize("tool", ["house-chat", "run_model", "chat-completions"])
@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_lost_call_is_made_again_only_if_its_model_is_idempotent(
    emulator: Emulator, tool: str, *, idempotent: bool
) -> None:
    of_tool: dict[str, dict[str, Any]] = {"house-chat": PROMPT, "run_model": RUN, "chat-completions": BY_API}
    arguments = of_tool[tool]
    layout = "per-api" if tool == "chat-completions" else "per-model"
    config = leading_to(emulator, models=[{**CHAT, "idempotent": idempotent}], tools={"layout": layout})
    dead = LocalKeys(default_keys(), lease_seconds=0)
    key = key_digest("", "demo", f"client {CLAUDE['claudecode/toolUseId']}")
    dead.claim(key, arguments_digest(tool, arguments), "call_of_the_dead")
    async with connect(config) as client:
        result = await client.call_tool(tool, arguments, meta=CLAUDE)  # type: ignore[arg-type] # other names are allowed
        if idempotent:
            # It comes too late: the key belongs to the new call.
            dead.finish(key, "call_of_the_dead", "{}")
        repeated = await client.call_tool(tool, arguments, meta=CLAUDE)  # type: ignore[arg-type] # the same
    dead.close()

    if idempotent:
        assert answer_of(repeated) == answer_of(result)
    else:
        assert error_of(result)["billed"] == "maybe"
        assert receipt_of(result)["call_id"] == "call_of_the_dead"
    assert len(inference_requests(emulator.requests)) == idempotent


def test_a_file_of_keys_that_cannot_be_used_at_first_is_used_as_soon_as_it_can(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite3"
    keys = LocalKeys(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CallKeysError, match="database is locked"):
        keys.claim("key", "arguments", "call_1")
    other.execute("ROLLBACK")
    other.close()

    assert keys.claim("key", "arguments", "call_1").state == "new"
    keys.close()


async def test_a_result_that_is_too_large_to_be_kept_is_not_a_lost_call(emulator: Emulator) -> None:
    keys = LocalKeys(default_keys())
    digest = key_digest("", "demo", f"client {CLAUDE['claudecode/toolUseId']}")
    keys.claim(digest, arguments_digest("house-chat", PROMPT), "call_1")
    keys.finish(digest, "call_1", json.dumps({"content": [{"type": "text", "text": "x" * 4_000_000}]}))
    keys.close()
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        result = await ask(client)

    assert "'call_1', is done, but its result is too large" in text_of(result)
    assert (error_of(result)["code"], error_of(result)["billed"]) == ("not_found", "yes")
    assert not inference_requests(emulator.requests)


async def test_results_that_cannot_be_kept_take_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    once = PaidOnce(LocalKeys(tmp_path / "taken" / "calls.sqlite3"))
    for number in range(30):
        once.adopt(f"key_{number}", "arguments", f"call_{number}")
        result = types.CallToolResult(content=[types.TextContent(type="text", text="x" * 2_000_000)])
        await once.finish(f"key_{number}", f"call_{number}", result)

    assert (await once.settled_claim("key_29", "arguments", "call_new", 1)).call_id == "call_29"
    with pytest.raises(CallKeysError):
        await once.settled_claim("key_0", "arguments", "call_new", 1)
    await anyio.to_thread.run_sync(once.close)


class Away:
    """Keys that cannot be used."""

    def __init__(self) -> None:
        self.tries = 0

    def finish(self, *_: object) -> None:
        self.tries += 1
        raise CallKeysError("away")

    def close(self) -> None:
        pass


async def test_the_end_of_a_server_tries_keys_that_cannot_be_used_once() -> None:
    """Each try may wait for seconds until a file is free."""
    away: Any = Away()
    once = PaidOnce(away, lease_seconds=3600)
    for number in range(5):
        once.adopt(f"key_{number}", "arguments", f"call_{number}")
        await once.finish(f"key_{number}", f"call_{number}", types.CallToolResult(content=[]))
    before = away.tries
    await anyio.to_thread.run_sync(once.close)

    assert away.tries == before + 1


async def test_a_file_of_keys_that_is_broken_costs_no_call_and_is_in_the_log_once(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    default_keys().parent.mkdir(parents=True, mode=0o700)
    default_keys().write_bytes(b"no database" * 100)
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        results = [await ask(client, {"callId": f"call_{number}"}) for number in range(3)]

    assert not any(result.is_error for result in results)
    assert any("a repetition of this call would be paid again" in note for note in receipt_of(results[2])["notes"])
    assert caplog.text.count("is not kept yet for repeated calls") == 1


async def test_only_this_user_may_read_the_results_that_are_kept(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT])) as client:
        await ask(client)
        connection = sqlite3.connect(default_keys())
        (kept,) = connection.execute("SELECT COUNT(result) FROM keys").fetchone()
        connection.close()

    assert kept == 1
    assert default_keys().stat().st_mode & 0o077 == 0
