"""A budget in Redis: counted once, never over its caps, and right again after each failure of the engine."""

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import SecretStr

from blaxel_mcp.budget.figures import Cap, Entry, Reservation, UsageTotals, Used
from blaxel_mcp.budget.ledger import LedgerError
from blaxel_mcp.budget.redis_ledger import RedisLedger
from blaxel_mcp.budget.shared.engine import Engine
from blaxel_mcp.budget.tables import KEPT_CALLS
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from tests.replicas.engines import RedisServer, leases_in, needs_redis, running_redis
from tests.support.connecting import connect, error_of, inference_requests, leading_to, receipt_of, text_of
from tests.support.held import HeldAnswers
from tests.support.ledgers import reserve, settle

pytestmark = [needs_redis, pytest.mark.anyio]

CHAT = {"name": "house-chat", "api": "chat-completions"}
KEY = ("acme", "house-chat")
LEASE_SECONDS = 1.0
ONE = UsageTotals(calls=1, input_tokens=30, output_tokens=10, total_tokens=40, nano_usd=7)
LOST = UsageTotals(calls=1, failed=1, failed_maybe_billed=1, held_tokens=100, held_nano_usd=9)


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def reservation(call_id: str = "call_1", *, caps: tuple[Cap, ...] = ()) -> Reservation:
    return Reservation(call_id=call_id, day=today(), account="", key=KEY, tokens=100, nano_usd=9, caps=caps)


def accept(_used: Used) -> None:
    """Refuse nothing beyond the caps of the reservation."""


@contextmanager
def ledger_in(server: RedisServer, *, lease_seconds: float = LEASE_SECONDS) -> Iterator[RedisLedger]:
    engine = Engine(SecretStr(server.url))
    ledger = RedisLedger(engine, lease_seconds=lease_seconds, records=Path.home() / "records.sqlite3")
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.fixture
def ledger(redis: RedisServer) -> Iterator[RedisLedger]:
    with ledger_in(redis) as ledger:
        yield ledger


def until_used(ledger: RedisLedger, expected: UsageTotals) -> None:
    """Wait until the day's usage is this one; a wait that does not end fails by the test's timeout."""
    while ledger.used(today(), "").get(KEY, UsageTotals()) != expected:
        pass


def test_a_call_is_held_by_its_estimate_and_then_counted_by_its_usage(ledger: RedisLedger) -> None:
    reserve(ledger, reservation(), accept)
    held = ledger.used(today(), "")[KEY]
    settle(ledger, reservation(), ONE)

    assert held == UsageTotals(calls=1, held_tokens=100, held_nano_usd=9)
    assert ledger.used(today(), "")[KEY] == ONE
    assert [(day.totals, day.unsettled) for day in ledger.days("2026-01-01", "")] == [(ONE, 0)]


def test_the_usage_of_a_caller_is_kept_by_itself_too(ledger: RedisLedger) -> None:
    for call_id, caller in (("call_1", "caller:a"), ("call_2", "caller:b"), ("call_3", "")):
        reserve(ledger, reservation(call_id), accept)
        entry = Entry(reservation(call_id), usage=ONE, client="ide", caller=caller)
        ledger.write([entry])

    assert {name: ledger.clients(today(), name)["ide"].calls for name in ("", "caller:a", "caller:b")} == {
        "": 3,
        "caller:a": 1,
        "caller:b": 1,
    }


def test_records_that_this_machine_cannot_keep_do_not_pile_up(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    (Path.home() / "records.sqlite3").write_bytes(b"no database" * 100)
    with ledger_in(redis) as ledger:
        entries = [Entry(reservation(f"call_{number}"), record="{}") for number in range(KEPT_CALLS + 500)]
        reserve(ledger, reservation("running"))
        ledger.write(entries)
        del entries
        while sum(isinstance(each, Entry) for each in gc.get_objects()) > KEPT_CALLS + 10:
            pass
        until = leases_until(redis)
        while leases_until(redis) == until:
            pass

    (warning,) = [each.getMessage() for each in caplog.records if "not written yet" in each.getMessage()]
    assert "records.sqlite3 cannot be used: file is not a database" in warning


def leases_until(redis: RedisServer) -> float:
    """Return when the only lease ends."""
    with redis.client() as client:
        return leases_in(client, "{blaxel-mcp}:budget:leases")


def test_reserving_and_settling_twice_count_once(ledger: RedisLedger) -> None:
    for _ in range(2):
        reserve(ledger, reservation(), accept)
    for _ in range(2):
        settle(ledger, reservation(), ONE)

    assert ledger.used(today(), "")[KEY] == ONE
    with pytest.raises(LedgerError, match="repeated"):
        reserve(ledger, reservation(), accept)


def test_a_call_that_was_not_sent_is_not_counted(ledger: RedisLedger) -> None:
    reserve(ledger, reservation(), accept)
    settle(ledger, reservation(), None)

    assert ledger.days(today(), "") == []


@pytest.mark.parametrize(
    ("cap", "fits"),
    [
        pytest.param(Cap("calls", 2, of_model=False), 2, id="calls"),
        pytest.param(Cap("tokens", 250, of_model=True), 2, id="tokens of the model"),
        pytest.param(Cap("nano_usd", 27.5, of_model=False), 3, id="money"),
        pytest.param(Cap("nano_usd", -1, of_model=False), 0, id="no price"),
    ],
)
def test_calls_of_two_owners_fit_each_cap_together(redis: RedisServer, cap: Cap, fits: int) -> None:
    with ledger_in(redis) as one, ledger_in(redis) as other:
        accepted = 0
        for number in range(4):
            try:
                reserve((one, other)[number % 2], reservation(f"call_{number}", caps=(cap,)), accept)
                accepted += 1
            except LedgerError:
                continue

    assert accepted == fits


def test_a_cap_of_a_model_leaves_other_models_alone(ledger: RedisLedger) -> None:
    reserve(ledger, reservation(), accept)
    other = Reservation(
        call_id="call_2",
        day=today(),
        account="",
        key=("acme", "other|name"),
        tokens=1,
        nano_usd=0,
        caps=(Cap("calls", 1, of_model=True),),
    )
    reserve(ledger, other, accept)

    assert ledger.used(today(), "")["acme", "other|name"].calls == 1


def test_the_call_of_a_dead_process_is_lost_and_counts_by_its_estimate(redis: RedisServer, ledger: RedisLedger) -> None:
    with ledger_in(redis, lease_seconds=0) as dead:
        reserve(dead, reservation(), accept)
        until_used(ledger, LOST)


def test_what_a_lost_call_took_replaces_its_estimate_once_when_its_owner_is_back(
    redis: RedisServer, ledger: RedisLedger
) -> None:
    with ledger_in(redis, lease_seconds=0) as owner:
        reserve(owner, reservation(), accept)
        until_used(ledger, LOST)
        for _ in range(2):
            settle(owner, reservation(), ONE)

    assert ledger.used(today(), "")[KEY] == ONE


def test_a_running_call_keeps_its_lease(redis: RedisServer, ledger: RedisLedger) -> None:
    reserve(ledger, reservation(), accept)
    with redis.client() as client:
        before = leases_in(client, "{blaxel-mcp}:budget:leases")
        # The third renewal is beyond the end of the first lease.
        while leases_in(client, "{blaxel-mcp}:budget:leases") < before + LEASE_SECONDS * 1000:
            pass

    assert ledger.used(today(), "")[KEY].failed == 0


def test_what_cannot_be_settled_is_counted_when_the_engine_is_back(redis: RedisServer, ledger: RedisLedger) -> None:
    reserve(ledger, reservation(), accept)
    redis.kill()
    with pytest.raises(LedgerError, match="cannot be reached"):
        settle(ledger, reservation(), ONE)
    redis.start()

    until_used(ledger, ONE)


def test_a_crash_of_the_engine_loses_nothing_that_it_acknowledged(redis: RedisServer, ledger: RedisLedger) -> None:
    for number in range(50):
        reserve(ledger, reservation(f"call_{number}"), accept)
        settle(ledger, reservation(f"call_{number}"), ONE)
    redis.kill()
    redis.start()

    assert ledger.used(today(), "")[KEY].calls == 50


def test_after_a_failover_calls_are_counted_by_the_new_primary(redis: RedisServer, tmp_path: Path) -> None:
    with running_redis(tmp_path) as other, redis.behind_a_gate() as gate:
        ledger = RedisLedger(Engine(SecretStr(gate.url)), lease_seconds=LEASE_SECONDS, records=tmp_path / "records")
        reserve(ledger, reservation("before"))
        with redis.client() as client:
            client.replicaof("127.0.0.1", str(other.port))
        gate.lead_to(other)
        with pytest.raises(LedgerError, match="is a read-only replica"):
            reserve(ledger, reservation("meanwhile"))
        reserve(ledger, reservation("after"))
        used = ledger.used(today(), "")
        ledger.close()

    assert used[KEY].calls == 1


def test_an_emptied_engine_is_told_and_loses_no_later_call(redis: RedisServer, ledger: RedisLedger) -> None:
    reserve(ledger, reservation(), accept)
    redis.empty()
    settle(ledger, reservation(), ONE)
    assert ledger.notice == ""
    reserve(ledger, reservation("call_2"), accept)

    assert f"the ledger {redis.address} was emptied" in ledger.notice
    settle(ledger, reservation("call_2"), ONE)
    assert ledger.used(today(), "")[KEY] == ONE + ONE


async def test_receipts_say_that_the_engine_was_emptied(emulator: Emulator, redis: RedisServer) -> None:
    async with connect(capped(emulator, redis.url, calls_per_day=5)) as client:
        await client.call_tool("house-chat", {"prompt": "Hi"})
        redis.empty()
        later = [await client.call_tool("house-chat", {"prompt": "Hi"}) for _ in range(2)]

    for result in later:
        assert any("earlier calls no longer count" in note for note in receipt_of(result)["notes"])


def test_an_engine_that_does_not_answer_costs_two_seconds_once(redis: RedisServer, ledger: RedisLedger) -> None:
    ledger.used(today(), "")
    redis.pause(3)
    with pytest.raises(LedgerError, match="did not answer within 2 seconds"):
        reserve(ledger, reservation(), accept)
    with pytest.raises(LedgerError, match="did not answer in time"):
        reserve(ledger, reservation(), accept)


def capped(emulator: Emulator, url: str, **budget: Any) -> Any:
    return leading_to(emulator, models=[CHAT], budget={"ledger": url, **budget})


async def test_a_call_under_a_cap_is_refused_without_the_engine(emulator: Emulator, redis: RedisServer) -> None:
    redis.kill()
    async with connect(capped(emulator, redis.url, calls_per_day=5)) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == "budget_exceeded"
    assert f"{redis.address} cannot be reached" in text_of(result)
    assert "budget.ledger or shared.url" in error_of(result)["hint"]
    assert error_of(result)["retryable"]
    assert inference_requests(emulator.requests) == []


async def test_a_call_under_a_cap_is_refused_while_the_engine_is_full(emulator: Emulator, redis: RedisServer) -> None:
    async with connect(capped(emulator, redis.url, calls_per_day=5)) as client:
        with redis.client() as engine:
            engine.config_set("maxmemory", 1)
            refused = await client.call_tool("house-chat", {"prompt": "Hi"})
            engine.config_set("maxmemory", 0)
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(refused)["code"] == "budget_exceeded"
    assert f"{redis.address} is full" in text_of(refused)
    assert receipt_of(result)["budget"]["all"]["calls"]["used"] == 1
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_that_was_refused_while_the_engine_reserved_it_does_not_count(
    emulator: Emulator, redis: RedisServer, ledger: RedisLedger
) -> None:
    budget, shared = {"ledger": redis.url, "calls_per_day": 5}, {"lease_seconds": LEASE_SECONDS}
    async with connect(leading_to(emulator, models=[CHAT], budget=budget, shared=shared)) as client:
        await client.call_tool("house-chat", {"prompt": "Hi"})
        with redis.frozen():
            refused = await client.call_tool("house-chat", {"prompt": "Hi"})
        with redis.client() as engine, anyio.fail_after(30):
            while len(list(engine.scan_iter("*:budget:held:*"))) < 2:
                await anyio.lowlevel.checkpoint()
            # It counts as lost for a moment if its lease ends first.
            while (day := ledger.days(today(), "")[0]).unsettled or day.totals.failed:
                await anyio.lowlevel.checkpoint()

    assert error_of(refused)["billed"] == "no"
    assert day.totals.calls == 1
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_without_a_cap_is_sent_and_its_receipt_says_why_it_is_not_counted(
    emulator: Emulator, redis: RedisServer
) -> None:
    redis.kill()
    async with connect(capped(emulator, redis.url)) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert not result.is_error
    assert any(f"{redis.address} cannot be reached" in note for note in receipt_of(result)["notes"])


async def test_a_call_that_the_engine_could_not_settle_is_settled_when_it_is_back(
    emulator: Emulator, redis: RedisServer, ledger: RedisLedger
) -> None:
    held, results = HeldAnswers(emulator), list[Any]()
    budget = {"ledger": redis.url, "calls_per_day": 5}
    shared = {"lease_seconds": LEASE_SECONDS}
    config = leading_to(emulator, models=[CHAT], budget=budget, shared=shared)
    async with connect(config) as client:

        async def call() -> None:
            results.append(await client.call_tool("house-chat", {"prompt": "Hi"}))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await emulator.wait_for(lambda request: request.path.startswith("/demo/models/"), timeout_seconds=20)
            redis.kill()
            held.release()
        redis.start()
        with anyio.fail_after(30):
            # It counts as lost for a moment if its lease has ended meanwhile.
            while ledger.used(today(), "").get(("demo", "house-chat"), LOST).failed:
                await anyio.lowlevel.checkpoint()

    (result,) = results
    assert not result.is_error
    assert any("This call is settled when it is back" in note for note in receipt_of(result)["notes"])


async def test_a_call_that_was_sent_without_the_engine_is_counted_when_it_is_back(
    emulator: Emulator, redis: RedisServer, ledger: RedisLedger
) -> None:
    redis.kill()
    config = leading_to(emulator, models=[CHAT], budget={"ledger": redis.url}, shared={"lease_seconds": LEASE_SECONDS})
    async with connect(config) as client:
        assert not (await client.call_tool("house-chat", {"prompt": "Hi"})).is_error
        redis.start()
        with anyio.fail_after(30):
            while not (days := ledger.days(today(), "")):
                await anyio.lowlevel.checkpoint()

    assert [(day.key[1], day.totals.calls + day.unsettled) for day in days] == [("house-chat", 1)]


async def test_the_cap_of_a_model_holds_where_there_is_no_other(emulator: Emulator, redis: RedisServer) -> None:
    models = [{**CHAT, "budget": {"calls_per_day": 1}}, {"name": "house-classifier", "api": "raw"}]
    async with connect(leading_to(emulator, models=models, budget={"ledger": redis.url})) as client:
        await client.call_tool("house-classifier", {"inputs": "x"})
        first, second = [await client.call_tool("house-chat", {"prompt": "Hi"}) for _ in range(2)]
        other = await client.call_tool("house-classifier", {"inputs": "x"})

    assert not first.is_error
    assert error_of(second)["code"] == "budget_exceeded"
    assert not other.is_error


async def test_the_receipts_of_two_servers_add_up(emulator: Emulator, redis: RedisServer) -> None:
    for number in (1, 2):
        async with connect(capped(emulator, redis.url, calls_per_day=5)) as client:
            result = await client.call_tool("house-chat", {"prompt": "Hi"})
            assert receipt_of(result)["budget"]["all"]["calls"] == {"used": number, "cap": 5}


async def test_a_wrong_password_is_named_and_not_shown(emulator: Emulator, redis: RedisServer) -> None:
    url = redis.url.replace(":canary", ":other-canary")
    async with connect(capped(emulator, url, calls_per_day=5)) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert "rejects the user or the password in its URL" in text_of(result)


async def test_a_server_without_the_extra_does_not_start(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match="extra `redis` is not installed"):
        async with connect(capped(emulator, "redis://localhost")):
            pass


def test_nothing_of_it_is_in_the_files_of_the_engine_but_names_and_figures(
    redis: RedisServer, ledger: RedisLedger
) -> None:
    with ExitStack() as stack:
        stack.callback(ledger.close)
        reserve(ledger, reservation(), accept)
    content = b"".join(path.read_bytes() for path in redis.files())

    assert b"house-chat" in content
