"""One ledger in each process, whoever calls and however often the settings change."""

from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest

from blaxel_mcp.budget.ledger import MEMORY, Ledger
from blaxel_mcp.budget.open_ledgers import OPEN_LEDGERS
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.callers import Caller
from blaxel_mcp.server.tenant import Tenant
from blaxel_mcp.server.tenants import IDLE_SECONDS, Tenants
from blaxel_mcp.settings.loading import Configuration
from tests.support.connecting import connect, error_of, inference_requests, leading_to

pytestmark = pytest.mark.anyio

CHAT = {"name": "house-chat", "api": "chat-completions"}


def broken(folder: Path) -> str:
    """The path of a ledger that cannot be used."""
    path = folder / "ledger.sqlite3"
    path.write_bytes(b"no database" * 100)
    return str(path)


def remove(folder: Path) -> None:
    for file in folder.glob("usage.sqlite3*"):
        file.unlink()


@pytest.fixture(params=["memory", "fallback", "file"])
def budget(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """A cap of one call, counted in memory, in memory because the file is broken, or in a file."""
    match request.param:
        case "memory":
            return {"calls_per_day": 1, "ledger": MEMORY}
        case "fallback":
            return {"calls_per_day": 1, "ledger": broken(tmp_path), "on_ledger_failure": "allow"}
    return {"calls_per_day": 1, "ledger": str(tmp_path / "usage.sqlite3")}


async def call(tenant: Tenant) -> str | None:
    """Call the model as a caller; return the error code, None for an answer."""
    await tenant.runtime.discovery.wait_ready()
    result = await tenant.tools.call("house-chat", {"prompt": "Hi"}, None)
    assert isinstance(result, types.CallToolResult)
    return error_of(result)["code"] if result.is_error else None


def serving(config: Configuration, **more: Any) -> Tenants:
    return Tenants(config, Environment(), **more)


async def test_five_callers_share_a_cap_of_one_call(emulator: Emulator, budget: dict[str, Any]) -> None:
    tenants = serving(leading_to(emulator, models=[CHAT], budget=budget))
    async with tenants.running():
        codes = [await call(await tenants.of(Caller(f"caller {number}"))) for number in range(5)]

    assert codes == [None] + ["budget_exceeded"] * 4
    assert len(inference_requests(emulator.requests)) == 1


async def test_edits_of_the_settings_do_not_begin_to_count_again(emulator: Emulator, budget: dict[str, Any]) -> None:
    tenants = serving(leading_to(emulator, models=[CHAT], budget=budget))
    async with tenants.running():
        codes = []
        for title in ("first", "second", "third"):
            codes.append(await call(await tenants.of(Caller("one"))))
            await tenants.reconfigure(leading_to(emulator, models=[{**CHAT, "title": title}], budget=budget))

    assert codes == [None, "budget_exceeded", "budget_exceeded"]


async def test_a_caller_who_was_away_does_not_begin_at_zero(emulator: Emulator, budget: dict[str, Any]) -> None:
    clock = [0.0]
    config = leading_to(emulator, models=[CHAT], budget=budget, http={"auth": "token", "bearer_tokens": ["a" * 40]})
    tenants = serving(config, now=lambda: clock[0])
    async with tenants.running():
        codes = []
        for caller in ("one", "other", "one"):
            codes.append(await call(await tenants.of(Caller(caller))))
            clock[0] += 2 * IDLE_SECONDS

    assert codes == [None, "budget_exceeded", "budget_exceeded"]


async def test_a_server_in_memory_begins_at_zero(emulator: Emulator) -> None:
    config = leading_to(emulator, models=[CHAT], budget={"calls_per_day": 1, "ledger": MEMORY})
    for _ in range(2):
        async with connect(config) as client:
            assert not (await client.call_tool("house-chat", {"prompt": "Hi"})).is_error


async def test_a_file_that_is_removed_stays_refused_after_an_edit(emulator: Emulator, tmp_path: Path) -> None:
    ledger = tmp_path / "usage.sqlite3"
    config = leading_to(emulator, models=[CHAT], budget={"calls_per_day": 9, "ledger": str(ledger)})
    tenants = serving(config)
    async with tenants.running():
        assert await call(await tenants.of(Caller("one"))) is None
        remove(tmp_path)
        await tenants.reconfigure(config)
        assert await call(await tenants.of(Caller("one"))) == "budget_exceeded"
        assert await call(await tenants.of(Caller("other"))) == "budget_exceeded"


async def test_a_ledger_lasts_as_long_as_somebody_uses_it(tmp_path: Path) -> None:
    def shared() -> Ledger:
        return OPEN_LEDGERS.acquire(tmp_path / "usage.sqlite3")

    one, other = shared(), shared()
    assert one is other
    await anyio.to_thread.run_sync(OPEN_LEDGERS.release, one)
    assert shared() is one
    async with OPEN_LEDGERS.kept():
        OPEN_LEDGERS.release(one)
        OPEN_LEDGERS.release(one)
        assert shared() is one
        OPEN_LEDGERS.release(one)
    new = shared()
    assert new is not one
    OPEN_LEDGERS.release(new)
