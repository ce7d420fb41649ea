"""The ledger in use: what is counted, by how many processes, and what becomes of a ledger that is lost."""

import base64
import json
import os
import sqlite3
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import mcp_types as types
import pytest

from blaxel_mcp.budget.figures import Entry, Reservation
from blaxel_mcp.budget.ledger import Ledger, LedgerError, default_ledger
from blaxel_mcp.budget.tables import KEPT_CALLS
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.apis.speech import as_wav, speak
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.schema import Settings
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
from tests.support.leaks import Client
from tests.support.ledgers import reserve

pytestmark = pytest.mark.anyio

MODELS = [
    {"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 2}},
    {"name": "house-embed", "api": "embeddings"},
]
NOTHING = {
    "calls": 0,
    "unsettled": 0,
    "failed": 0,
    "failed_maybe_billed": 0,
    "without_tokens": 0,
    "without_price": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "cost_usd": None,
}
FAULT = {"model": "fault-drop", "data": {}}


async def usage(client: Client) -> dict[str, Any]:
    (contents,) = (await client.read_resource("blaxel://usage")).contents
    assert isinstance(contents, types.TextResourceContents)
    report: dict[str, Any] = json.loads(contents.text)
    return report


async def models_of_today(client: Client) -> list[dict[str, Any]]:
    days = (await usage(client))["days"]
    return days[0]["models"] if days else []


async def test_the_figures_of_answers_are_those_of_their_receipts_added_up(emulator: Emulator) -> None:
    again = {"messages": [{"role": "user", "content": "And again"}]}
    async with connect(leading_to(emulator, models=MODELS, prices="configured")) as client:
        receipts = [
            receipt_of(await client.call_tool("house-chat", {"prompt": "Hi"})),
            receipt_of(await client.call_tool("run_model", {"model": "house-chat", "data": again})),
        ]
        embedded = receipt_of(await client.call_tool("house-embed", {"input": "a cat"}))
        told = await models_of_today(client)

    added = {
        name: sum(receipt["usage"][name] for receipt in receipts)
        for name in ("input_tokens", "output_tokens", "total_tokens")
    }
    cost = (added["input_tokens"] + 2 * added["output_tokens"]) / 1_000_000
    assert added["total_tokens"] > 0
    assert told == [
        {"model": "house-chat", "workspace": "demo", **NOTHING, "calls": 2, **added, "cost_usd": cost},
        {
            "model": "house-embed",
            "workspace": "demo",
            **NOTHING,
            "calls": 1,
            "without_price": 1,
            "input_tokens": embedded["usage"]["input_tokens"],
            "total_tokens": embedded["usage"]["total_tokens"],
        },
    ]


@pytest.mark.parametrize(
    ("model", "figures"),
    [
        pytest.param("fault-404", {"calls": 1, "failed": 1}, id="refused"),
        pytest.param("fault-drop", {"calls": 1, "failed": 1, "failed_maybe_billed": 1}, id="broken off"),
        pytest.param("fault-text", {"calls": 1, "without_tokens": 1, "without_price": 1}, id="silent about tokens"),
        pytest.param(
            "fault-first-2-404-unavailable", {"calls": 1, "without_price": 1}, id="answered at the third attempt"
        ),
    ],
)
async def test_a_call_without_figures_is_counted_as_what_it_was(
    emulator: Emulator, model: str, figures: dict[str, Any]
) -> None:
    async with connect(leading_to(emulator, prices="configured")) as client:
        await client.call_tool("run_model", {"model": model, "data": {}})
        (told,) = await models_of_today(client)

    tokens = ("input_tokens", "output_tokens", "total_tokens")
    assert {name: value for name, value in told.items() if name not in tokens} == {
        "model": model,
        "workspace": "demo",
        **{name: value for name, value in NOTHING.items() if name not in tokens},
        **figures,
    }


async def test_a_call_that_was_not_sent_is_not_counted(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, access={"models": ["other-*"]})) as client:
        assert (await client.call_tool("run_model", {"model": "house-chat", "data": {}})).is_error
        assert await models_of_today(client) == []


async def test_a_call_that_reached_nobody_gives_its_reservation_back() -> None:
    nowhere = Emulator()
    nowhere.url = "http://127.0.0.1:9"
    async with connect(leading_to(nowhere, budget={"calls_per_day": 1})) as client:
        for _ in range(3):
            result = await client.call_tool("run_model", {"model": "house-chat", "data": {}})
            assert error_of(result)["code"] == "network_error"


async def test_a_cancelled_call_is_settled_as_perhaps_billed(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run_model", {"model": "fault-slow-30s", "data": {}})
            await emulator.wait_for(lambda request: "/models/fault-slow" in request.path and request.method == "POST")
            group.cancel_scope.cancel()
        with anyio.fail_after(30):
            while (told := await models_of_today(client))[0]["unsettled"]:
                await anyio.lowlevel.checkpoint()

    assert [told[0][name] for name in ("calls", "failed", "failed_maybe_billed")] == [1, 1, 1]


async def test_a_first_call_that_is_cancelled_before_it_is_sent_gives_its_reservation_back(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    spending = Spending(Settings.model_validate({"budget": {"calls_per_day": 1, "ledger": str(ledger)}}))
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with spending.reserve(CallContext(model="house-chat", workspace="demo")):
            pytest.fail("it goes on although it is cancelled")
    async with spending.reserve(CallContext(model="house-chat", workspace="demo")):
        pass
    await spending.aclose()

    assert scope.cancelled_caught


async def test_a_call_whose_retry_does_not_fit_the_budget_is_recorded(emulator: Emulator) -> None:
    model = {"name": "fault-first-1-drop", "idempotent": True}
    config = leading_to(emulator, models=[model], budget={"calls_per_day": 1}, discovery={"enabled": False})
    async with connect(config) as client:
        result = await client.call_tool("run_model", {"model": model["name"], "data": {}})
    spending = Spending(config.settings)
    (record,) = await spending.recent_calls()
    report = await spending.report(days=1)
    await spending.aclose()

    assert any("not retried" in note for note in receipt_of(result)["notes"])
    assert record["receipt"]["call_id"] == receipt_of(result)["call_id"]
    assert record["outcome"] == error_of(result)["code"]
    assert report["days"][0]["calls"] == 1


async def test_a_recording_is_expected_to_last_a_minute(emulator: Emulator) -> None:
    model = {"name": "house-ears", "api": "transcriptions", "price": {"per_minute": 0.006}}
    file = {"file": f"data:audio/wav;base64,{base64.b64encode(as_wav(speak('one two three'))).decode()}"}
    async with connect(leading_to(emulator, models=[model], budget={"usd_per_day": 0.0061})) as client:
        heard, refused = [await client.call_tool("house-ears", file) for _ in range(2)]

    assert not heard.is_error
    assert "estimated at 0.006000 USD" in text_of(refused)
    assert len(inference_requests(emulator.requests)) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_budget_is_refused_before_anything_is_sent_and_told_in_every_receipt(
    emulator: Emulator, era: Era
) -> None:
    async with connect(leading_to(emulator, models=MODELS, budget={"calls_per_day": 2}), era) as client:
        first = await client.call_tool("house-chat", {"prompt": "Hi"})
        await client.call_tool("house-chat", {"prompt": "Hi"})
        refused = await client.call_tool("house-chat", {"prompt": "Hi"})
        report = await usage(client)

    spent = receipt_of(first)["budget"]
    assert spent["all"]["calls"] == {"used": 1, "cap": 2}
    assert spent["all"]["tokens"] == {"used": receipt_of(first)["usage"]["total_tokens"], "cap": None}
    assert spent["all"]["usd"] == {"used": receipt_of(first)["cost_usd"], "cap": None}
    assert spent["model"] is None
    assert error_of(refused)["code"] == "budget_exceeded"
    assert text_of(refused).startswith(
        "The call to 'house-chat' was not sent: budget.calls_per_day is used up (2 of 2)."
    )
    assert receipt_of(refused)["budget"]["all"]["calls"] == {"used": 2, "cap": 2}
    assert len(inference_requests(emulator.requests)) == 2
    assert report["budget"]["calls"] == {"used": 2, "cap": 2}
    assert report["days"][0]["calls"] == 2
    assert receipt_of(refused)["budget"]["resets_at"] == report["resets_at"]


async def test_a_model_without_a_price_is_refused_under_a_cap_of_money(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=MODELS, prices="configured", budget={"usd_per_day": 1})) as client:
        refused = await client.call_tool("house-embed", {"input": "a"})
        answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))

    assert error_of(refused)["code"] == "budget_exceeded"
    assert "Models with budget left: house-chat." in text_of(refused)
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_model_without_a_price_costs_what_the_table_says(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=MODELS, budget={"usd_per_day": 1})) as client:
        result = await client.call_tool("house-embed", {"input": "a cat"})
        configured = await client.call_tool("house-chat", {"prompt": "Hi"})

    receipt = receipt_of(result)
    assert receipt["price_source"].startswith("genai-prices ")
    assert receipt["cost_usd"] > 0
    assert receipt["budget"]["all"]["usd"]["used"] == pytest.approx(receipt["cost_usd"])
    assert result.meta
    cost = {"usd": receipt["cost_usd"], "model": "text-embedding-3-small", "provider": "openai"}
    assert result.meta["cost"] == cost
    assert receipt_of(configured)["price_source"] == "configured"


async def test_a_deployment_whose_name_is_its_own_costs_what_the_model_does_that_answers_name() -> None:
    runtime = {"type": "azure-openai-service", "model": "chat-for-sales"}
    record = {"metadata": {"name": "m", "workspace": "demo"}, "spec": {"runtime": runtime}, "status": "DEPLOYED"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    completion = {"id": "c", "model": "gpt-4o-2024-08-06", "choices": [], "usage": usage}

    def answer(request: httpx.Request) -> httpx.Response:
        is_listing = request.url.path.endswith("/v0/models")
        is_record = request.url.path.endswith("/v0/models/m")
        return httpx.Response(200, json=[record] if is_listing else record if is_record else completion)

    config = leading_to(Emulator(), models=[{"name": "m", "api": "chat-completions"}], discovery={"enabled": True})
    async with connect(config, transport=httpx.MockTransport(answer)) as client:
        receipt = receipt_of(await client.call_tool("m", {"prompt": "Hi"}))

    assert receipt["cost_usd"] == pytest.approx(0.0035)
    assert receipt["price_source"].startswith("genai-prices ")


async def test_a_cap_of_money_holds_against_an_agent_that_does_nothing_but_call(emulator: Emulator) -> None:
    price = {"input": 1000, "output": 1000}
    models = [{"name": "house-chat", "api": "chat-completions", "price": price}]
    async with connect(leading_to(emulator, models=models, budget={"usd_per_day": 0.2})) as client:
        results = [await client.call_tool("house-chat", {"prompt": "Hi", "max_tokens": 100}) for _ in range(30)]

    paid = sum(receipt_of(result)["cost_usd"] for result in results if not result.is_error)
    assert results[-1].is_error
    assert 0 < paid <= 0.2


async def test_calls_in_flight_together_do_not_pass_a_cap_that_has_room_for_one(emulator: Emulator) -> None:
    model = {"name": "house-chat", "api": "chat-completions", "budget": {"tokens_per_day": 3000}}
    results: list[Any] = []
    held = HeldAnswers(emulator)
    async with connect(leading_to(emulator, models=[model])) as client:

        async def one() -> None:
            results.append(await client.call_tool("house-chat", {"prompt": "Hi", "max_tokens": 2000}))
            if len(results) == 4:
                held.release()

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)

    assert sorted(bool(result.is_error) for result in results) == [False, True, True, True, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_the_figures_outlive_the_server(emulator: Emulator, home: Path) -> None:
    config = leading_to(emulator, models=MODELS, budget={"calls_per_day": 3})
    for count in (1, 2, 3):
        async with connect(config) as client:
            result = await client.call_tool("house-chat", {"prompt": "Hi"})
            assert receipt_of(result)["budget"]["all"]["calls"]["used"] == count
    async with connect(config) as client:
        assert error_of(await client.call_tool("house-chat", {"prompt": "Hi"}))["code"] == "budget_exceeded"

    ledger = default_ledger()
    assert home in ledger.parents
    assert stat.S_IMODE(ledger.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in ledger.parent.iterdir()} == {0o600}


async def test_another_day_is_another_budget(tmp_path: Path) -> None:
    clock = [datetime(2026, 11, 24, 23, 59, tzinfo=UTC)]
    budget = {"calls_per_day": 1, "ledger": str(tmp_path / "ledger.sqlite3")}
    spending = Spending(Settings(workspace="demo", budget=budget), now=lambda: clock[0])

    async def call() -> dict[str, Any]:
        context = CallContext(model="m", workspace="demo")
        async with spending.reserve(context):
            context.trace.sent = True
        assert context.budget is not None
        return context.budget

    assert (await call())["day"] == "2026-11-24"
    with pytest.raises(Exception, match=r"budget\.calls_per_day is used up"):
        await call()
    clock[0] = datetime(2026, 11, 25, 0, 1, tzinfo=UTC)
    assert (await call())["day"] == "2026-11-25"
    report = await spending.report(2)
    assert [(day["day"], day["calls"]) for day in report["days"]] == [("2026-11-25", 1), ("2026-11-24", 1)]
    await spending.aclose()


async def test_accounts_are_counted_apart(tmp_path: Path) -> None:
    settings = Settings(workspace="demo", budget={"calls_per_day": 1, "ledger": str(tmp_path / "ledger.sqlite3")})
    for account in ("one", "other"):
        spending = Spending(settings, account=account)
        context = CallContext(model="m", workspace="demo")
        async with spending.reserve(context):
            context.trace.sent = True
        assert (await spending.report(1))["days"][0]["calls"] == 1
        await spending.aclose()


def test_days_long_gone_are_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    for number, day in enumerate(("2025-01-01", "2026-11-24")):
        entry = Reservation(call_id=f"{number}", day=day, account="", key=("w", "m"), tokens=1, nano_usd=1)
        reserve(ledger, entry)

    ledger.forget("2026-01-01")

    assert [entry.day for entry in ledger.days("2000-01-01", "")] == ["2026-11-24"]
    ledger.close()


async def test_usage_is_counted_for_each_client(emulator: Emulator, tmp_path: Path) -> None:
    config = leading_to(emulator, models=MODELS, budget={"ledger": str(tmp_path / "ledger.sqlite3")})
    async with connect(config, "legacy") as client:
        await client.call_tool("house-chat", {"prompt": "Hi"})
        await client.call_tool("house-chat", {"prompt": "Hi"})
        (counted,) = (await usage(client))["clients"]

    assert counted["client"]
    assert (counted["calls"], counted["total_tokens"] > 0) == (2, True)


async def test_the_last_calls_are_kept_and_no_more(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    for number in range(KEPT_CALLS + 3):
        entry = Reservation(call_id=f"{number}", day="2026-11-24", account="", key=("w", "m"), tokens=1, nano_usd=1)
        reserve(ledger, entry)
        ledger.write([Entry(entry, record=f"{number}")])

    kept = ledger.calls("")
    assert (len(kept), kept[0], kept[-1]) == (KEPT_CALLS, f"{KEPT_CALLS + 2}", "3")
    assert ledger.calls("", last=2) == kept[:2]
    assert ledger.calls("another") == []
    ledger.close()


# A ledger that cannot be used


def corrupt(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database, and never was one" * 100)


def newer(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def folder_in_its_place(path: Path) -> None:
    path.mkdir(parents=True)


BROKEN = pytest.mark.parametrize("break_it", [corrupt, newer, folder_in_its_place])


@BROKEN
async def test_without_a_budget_a_lost_ledger_is_told_and_holds_nothing_up(
    emulator: Emulator, tmp_path: Path, break_it: Any, caplog: pytest.LogCaptureFixture
) -> None:
    break_it(tmp_path / "state" / "ledger.sqlite3")
    config = leading_to(emulator, models=MODELS, budget={"ledger": str(tmp_path / "state" / "ledger.sqlite3")})
    async with connect(config) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})
        report = await usage(client)

    assert answer_of(result)
    (note,) = receipt_of(result)["notes"]
    assert note.startswith(f"The ledger {tmp_path / 'state' / 'ledger.sqlite3'} cannot be used: ")
    assert note.endswith("Calls are now counted in this process only.")
    assert note in caplog.text
    assert report["problem"] == note
    assert report["days"][0]["calls"] == 1


@BROKEN
async def test_with_a_budget_a_lost_ledger_refuses_the_calls_and_nothing_else(
    emulator: Emulator, tmp_path: Path, break_it: Any
) -> None:
    ledger = tmp_path / "state" / "ledger.sqlite3"
    break_it(ledger)
    config = leading_to(emulator, models=MODELS, budget={"calls_per_day": 5, "ledger": str(ledger)})
    async with connect(config) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})
        listed = await client.call_tool("list_models", {})

    error = error_of(result)
    assert error["code"] == "budget_exceeded"
    assert error["message"].startswith(
        "The call of 'house-chat' was not sent: a budget applies, and the ledger that counts it cannot be used. "
        f"The ledger {ledger} cannot be used: "
    )
    assert error["hint"] == (
        "Repair that file, or move it away and restart the server to begin a new one. "
        'budget.on_ledger_failure = "allow" allows calls without it.'
    )
    assert answer_of(listed)
    assert inference_requests(emulator.requests) == []


@BROKEN
async def test_allowed_to_a_process_goes_on_without_its_ledger_within_the_caps(
    emulator: Emulator, tmp_path: Path, break_it: Any
) -> None:
    ledger = tmp_path / "state" / "ledger.sqlite3"
    break_it(ledger)
    budget = {"calls_per_day": 2, "ledger": str(ledger), "on_ledger_failure": "allow"}
    async with connect(leading_to(emulator, models=MODELS, budget=budget)) as client:
        results = [await client.call_tool("house-chat", {"prompt": "Hi"}) for _ in range(3)]

    assert [bool(result.is_error) for result in results] == [False, False, True]
    assert "counted in this process only" in receipt_of(results[1])["notes"][0]


def take_away(folder: Path) -> None:
    for file in folder.glob("ledger.sqlite3*"):
        file.unlink()


async def test_a_ledger_that_is_taken_away_while_it_is_used_is_not_counted_into_nothing(
    emulator: Emulator, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    config = leading_to(emulator, models=MODELS, budget={"calls_per_day": 2, "ledger": str(ledger)})
    async with connect(config) as client:
        answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))
        take_away(tmp_path)
        refused = [await client.call_tool("house-chat", {"prompt": "Hi"}) for _ in range(2)]

    assert [error_of(result)["code"] for result in refused] == ["budget_exceeded"] * 2
    assert "removed or replaced while it was in use" in text_of(refused[0])
    assert not ledger.exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes where nobody may")
def test_a_folder_that_cannot_be_written_is_told_with_its_path(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="Permission denied"):
        Ledger(tmp_path / "new" / "ledger.sqlite3").used("2026-11-24", "")


async def test_an_answer_is_not_lost_when_its_time_is_over_before_its_price_is_known(emulator: Emulator) -> None:
    config = leading_to(emulator, models=MODELS, limits={"timeout_seconds": 2})
    released = threading.Event()
    async with connect(config) as client, anyio.create_task_group() as group:
        answer_of(await client.call_tool("house-embed", {"input": "the record is known then"}))
        threads = anyio.to_thread.current_default_thread_limiter()
        before, threads.total_tokens = threads.total_tokens, 1
        results = []

        async def call() -> None:
            results.append(await client.call_tool("house-embed", {"input": "a cat"}))

        group.start_soon(anyio.to_thread.run_sync, released.wait, 30)
        group.start_soon(call)
        await emulator.wait_for(lambda request: "a cat" in str(request.body))
        # It began later, so when its time is over, that of the other one is too.
        late = await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {}})
        released.set()
        threads.total_tokens = before

    assert error_of(late)["code"] == "timeout"
    answer_of(results[0])
    assert receipt_of(results[0])["cost_usd"] > 0
