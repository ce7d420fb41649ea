"""Many callers of one server: each with a service of its own, made when it first calls and gone when it is not used."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import mcp_types as types
import pytest
from mcp import MCPError
from pydantic import SecretStr

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.credential_check import REJECTED_SECONDS
from blaxel_mcp.server.tenant import Tenant
from blaxel_mcp.server.tenants import IDLE_SECONDS, TOOL_CALLS_PER_MINUTE, Tenants
from blaxel_mcp.settings.loading import Configuration
from tests.support.canaries import KEY
from tests.support.connecting import error_of, inference_requests, is_slow_call, leading_to, receipt_of

pytestmark = pytest.mark.anyio

ANNA = Caller("anna", "demo", SecretStr("anna-demo-key"))
BERT = Caller("bert", "other", SecretStr("bert-demo-key"))


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def request_of(tenants: Tenants, caller: Caller) -> AsyncIterator[Tenant]:
    tenant = await tenants.of(caller)
    try:
        yield tenant
    finally:
        tenants.release(tenant)


@asynccontextmanager
async def serving(
    config: Configuration, now: Callable[[], float] | None = None, limit: int = 200
) -> AsyncIterator[Tenants]:
    tenants = Tenants(config, Environment(), now=now or Clock(), limit=limit, serves_owner=False)
    with anyio.fail_after(20):
        async with tenants.running():
            yield tenants


async def called(tenant: Tenant, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
    await tenant.runtime.discovery.wait_ready()
    result = await tenant.tools.call(tool, arguments)
    assert isinstance(result, types.CallToolResult)
    return result


@pytest.fixture
def two_tenants(emulator: Emulator) -> Emulator:
    emulator.api_keys |= {"anna-demo-key", "bert-demo-key"}
    emulator.workspaces.add("other")
    return emulator


def for_callers(emulator: Emulator, **settings: Any) -> Configuration:
    return leading_to(emulator, http={"auth": "caller"}, **settings)


async def test_each_caller_is_served_with_its_own_key_in_its_own_workspace(two_tenants: Emulator) -> None:
    async with serving(for_callers(two_tenants)) as tenants:
        for caller in (ANNA, BERT):
            await called(await tenants.of(caller), "house-chat", {"prompt": "Hi"})

    sent = [
        (request.path.split("/")[1], *request.header_values("x-blaxel-authorization"))
        for request in inference_requests(two_tenants.requests)
    ]
    assert sent == [("demo", "Bearer anna-demo-key"), ("other", "Bearer bert-demo-key")]
    assert KEY not in {value for request in two_tenants.requests for _, value in request.headers}


async def test_a_callers_answers_and_handles_are_known_to_nobody_else(two_tenants: Emulator) -> None:
    config = for_callers(two_tenants, limits={"detach_after_seconds": 0.05})
    async with serving(config) as tenants:
        anna, bert = [await tenants.of(caller) for caller in (ANNA, BERT)]
        answered = receipt_of(await called(anna, "house-classifier", {"inputs": "kind"}))["call_id"]
        slow = receipt_of(await called(anna, "run_model", {"model": "fault-slow-30s", "data": {}}))["call_id"]
        request = await two_tenants.wait_for(is_slow_call)
        for call_id in (answered, slow):
            for tool in ("read_result", "cancel_call"):
                refused = await called(bert, tool, {"call_id": call_id})
                assert "no call" in str(refused.content).lower()
        read = await called(anna, "read_result", {"call_id": answered})
        assert not read.is_error
        assert not request.aborted


async def test_a_callers_list_of_models_is_not_kept_where_another_could_come_by_it(
    two_tenants: Emulator, home: Path
) -> None:
    async with serving(for_callers(two_tenants, models=None)) as tenants:
        await (await tenants.of(ANNA)).runtime.discovery.refresh()
        unknown = replace(BERT, credential=SecretStr("nobodys-key"), workspace="demo")
        theirs = (await tenants.of(unknown)).runtime.discovery
        await theirs.refresh()
        assert theirs.catalog.entries == ()

    assert not await anyio.to_thread.run_sync(lambda: list(home.rglob("*.json")))


async def test_a_budget_is_each_callers_own_and_the_users_is_not_touched(two_tenants: Emulator, tmp_path: Path) -> None:
    budget = {"calls_per_day": 1, "ledger": str(tmp_path / "ledger.sqlite3")}
    async with serving(for_callers(two_tenants, budget=budget)) as tenants:
        for caller in (ANNA, BERT):
            tenant = await tenants.of(caller)
            first, second = [await called(tenant, "house-chat", {"prompt": "Hi"}) for _ in range(2)]
            assert (first.is_error, second.is_error) == (False, True)
        report = await (await tenants.of(ANNA)).runtime.spending.report(1)
        owners = await (await tenants.of(OWNER)).runtime.spending.report(1)

    assert report["days"][0]["calls"] == 1
    assert owners["days"] == []


async def test_callers_who_spend_the_users_key_share_its_turns_and_its_budget_and_nothing_else(
    emulator: Emulator, tmp_path: Path
) -> None:
    budget = {"calls_per_day": 2, "ledger": str(tmp_path / "ledger.sqlite3")}
    config = leading_to(emulator, http={"auth": "token"}, budget=budget, limits={"max_concurrency": 1, "max_queue": 0})
    async with serving(config) as tenants, anyio.create_task_group() as group:
        one, other = [await tenants.of(Caller(name)) for name in ("one", "other")]
        group.start_soon(called, one, "run_model", {"model": "fault-slow-30s", "data": {}})
        await emulator.wait_for(lambda request: request.path.startswith("/demo/models/fault-slow"))
        busy = await called(other, "house-chat", {"prompt": "Hi"})
        assert "the queue is full" in str(busy.content)
        group.cancel_scope.cancel()
    async with serving(config) as tenants:
        results = [
            await called(await tenants.of(Caller(name)), "house-chat", {"prompt": "Hi"}) for name in ("one", "other")
        ]

    assert [result.is_error for result in results] == [False, True]


async def test_a_caller_never_reads_the_users_files(two_tenants: Emulator, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    config = for_callers(two_tenants, files={"allowed_dirs": [str(tmp_path)]})
    async with serving(config) as tenants:
        refused = await called(
            await tenants.of(ANNA), "house-chat", {"prompt": "Hi", "images": [str(tmp_path / "secret.png")]}
        )

    assert "files.allowed_dirs is empty" in str(refused.content)
    assert inference_requests(two_tenants.requests) == []


async def tenant_of(tenants: Tenants, caller: Caller) -> Tenant:
    """Return a caller's tenant after one request."""
    async with request_of(tenants, caller) as tenant:
        return tenant


async def test_a_service_that_is_not_used_for_long_is_let_go(two_tenants: Emulator) -> None:
    clock = Clock()
    async with serving(for_callers(two_tenants), clock) as tenants:
        first = await tenant_of(tenants, ANNA)
        assert await tenant_of(tenants, ANNA) is first
        clock.seconds += IDLE_SECONDS + 1
        await tenant_of(tenants, BERT)
        assert await tenant_of(tenants, ANNA) is not first


async def test_a_request_that_lasts_for_long_is_use_until_its_end(two_tenants: Emulator) -> None:
    clock = Clock()
    async with serving(for_callers(two_tenants), clock) as tenants:
        async with request_of(tenants, ANNA) as listening:
            clock.seconds += 2 * IDLE_SECONDS
            await tenant_of(tenants, BERT)
            assert await tenant_of(tenants, ANNA) is listening
            clock.seconds += 2 * IDLE_SECONDS
        await tenant_of(tenants, Caller("carla"))
        assert await tenant_of(tenants, ANNA) is listening


async def test_of_idle_services_one_with_an_open_request_makes_room_last(two_tenants: Emulator) -> None:
    clock = Clock()
    async with serving(for_callers(two_tenants), clock, limit=2) as tenants, request_of(tenants, ANNA) as listening:
        clock.seconds += 1
        second = await tenant_of(tenants, BERT)
        clock.seconds += 1
        await tenant_of(tenants, Caller("carla"))
        assert await tenant_of(tenants, ANNA) is listening
        assert await tenant_of(tenants, BERT) is not second


async def test_the_service_unused_longest_makes_room_and_one_with_a_call_in_flight_never_does(
    two_tenants: Emulator,
) -> None:
    async with serving(for_callers(two_tenants), limit=3) as tenants, anyio.create_task_group() as group:
        busy = await tenant_of(tenants, ANNA)
        group.start_soon(called, busy, "run_model", {"model": "fault-slow-30s", "data": {}})
        await two_tenants.wait_for(lambda request: request.path.startswith("/demo/models/fault-slow"))
        second = await tenant_of(tenants, BERT)
        for number in range(2):
            await tenant_of(tenants, Caller(f"caller-{number}"))
        assert await tenant_of(tenants, ANNA) is busy
        assert await tenant_of(tenants, BERT) is not second
        group.cancel_scope.cancel()


async def test_the_event_stream_of_a_service_that_makes_room_ends(two_tenants: Emulator) -> None:
    """Its client would wait for notifications that nobody sends any more."""
    acknowledged = anyio.Event()

    async def send_notification(*_: Any, **__: Any) -> None:
        acknowledged.set()

    session = SimpleNamespace(send_notification=send_notification)
    context: Any = SimpleNamespace(request_id=1, session=session)
    wanted = types.SubscriptionsListenRequestParams(notifications=types.SubscriptionFilter(tools_list_changed=True))

    async def listen() -> None:
        async with request_of(tenants, ANNA) as tenant:
            await tenant.changes.listen(context, wanted)

    async with serving(for_callers(two_tenants), limit=1) as tenants, anyio.create_task_group() as group:
        group.start_soon(listen)
        await acknowledged.wait()
        await tenant_of(tenants, BERT)


async def test_keys_that_somebody_makes_up_take_no_place_of_a_caller_with_a_good_one(two_tenants: Emulator) -> None:
    clock = Clock()
    async with serving(for_callers(two_tenants), clock, limit=3) as tenants:
        good = await tenants.of(ANNA)
        assert not (await called(good, "house-chat", {"prompt": "Hi"})).is_error
        for number in range(10):
            clock.seconds += 1
            made_up = await tenants.of(Caller(f"made-up-{number}", "demo", SecretStr(f"made-up-{number}")))
            assert (await called(made_up, "house-chat", {"prompt": "Hi"})).is_error
        assert await tenants.of(ANNA) is good


ENDLESS = 60
"""Made-up keys: more than the server has places."""

CHAT = {
    "model": "house-chat",
    "path": "/v1/chat/completions",
    "data": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
}


async def kept(tenants: Tenants, caller: Caller) -> None:
    """Wait until a caller whose key was good in a call has its place."""
    with anyio.fail_after(5):
        while caller.identity not in tenants._tenants:  # noqa: ASYNC110 - no event says so
            await anyio.sleep(0.01)


async def test_made_up_keys_cost_one_request_each_and_leave_nothing_behind(two_tenants: Emulator) -> None:
    clock = Clock()
    async with serving(for_callers(two_tenants), clock, limit=3) as tenants:
        good = await tenants.of(ANNA)
        await good.runtime.discovery.wait_ready()
        before = len(two_tenants.requests)
        for number in range(ENDLESS):
            key = SecretStr(f"made-up-{number}")
            async with request_of(tenants, Caller(f"made-up-{number}", "demo", key)) as made_up:
                assert (
                    error_of(await called(made_up, "run_model", {"model": "house-chat", "data": {}}))["code"]
                    == "authentication_failed"
                )
        assert len(two_tenants.requests) == before + ENDLESS
        clock.seconds += 120
        await anyio.sleep(0.1)
        assert len(two_tenants.requests) == before + ENDLESS
        assert await tenants.of(ANNA) is good
        assert list(tenants._tenants) == ["anna"]
        assert not tenants._trials
        assert not tenants._checking


async def test_one_made_up_key_has_blaxel_asked_once_in_a_while_and_may_become_good(two_tenants: Emulator) -> None:
    clock = Clock()
    late = Caller("late", "demo", SecretStr("late-demo-key"))
    async with serving(for_callers(two_tenants), clock) as tenants:
        for _ in range(5):
            assert (await called(await tenants.of(late), "list_models", {})).is_error
        assert len(two_tenants.requests) == 1
        two_tenants.api_keys.add("late-demo-key")
        clock.seconds += REJECTED_SECONDS
        assert not (await called(await tenants.of(late), "list_models", {})).is_error


async def test_made_up_keys_cost_one_request_each_where_the_control_plane_is_never_asked(
    two_tenants: Emulator,
) -> None:
    async with serving(for_callers(two_tenants, discovery={"enabled": False}), limit=3) as tenants:
        for number in range(5):
            caller = Caller(f"made-up-{number}", "demo", SecretStr(f"made-up-{number}"))
            async with request_of(tenants, caller) as made_up:
                assert (await called(made_up, "run_model", {"model": "house-chat", "data": {}})).is_error
        sent = len(two_tenants.requests)
        async with request_of(tenants, ANNA) as anna:
            assert not (await called(anna, "run_model", CHAT)).is_error
        await kept(tenants, ANNA)
        assert await tenants.of(ANNA) is anna

    assert sent == 5
    assert len(two_tenants.requests) == 6


class NoControlPlane(httpx.AsyncHTTPTransport):
    def __init__(self, status: int) -> None:
        super().__init__()
        self._status = status

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/v0/"):
            return httpx.Response(self._status, json={"code": self._status, "error": "no"})
        return await super().handle_async_request(request)


@pytest.mark.parametrize("steps", range(8))
async def test_a_server_ends_while_a_caller_gets_its_place(two_tenants: Emulator, steps: int) -> None:
    tenants = Tenants(for_callers(two_tenants), Environment(transport=NoControlPlane(403)), now=Clock())
    with anyio.fail_after(20):
        async with tenants.running():
            async with request_of(tenants, ANNA) as anna:
                assert not (await called(anna, "run_model", CHAT)).is_error
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("status", [403, 500])
async def test_a_key_that_may_not_list_models_may_call_them_and_its_answers_are_kept(
    two_tenants: Emulator, status: int
) -> None:
    tenants = Tenants(for_callers(two_tenants), Environment(transport=NoControlPlane(status)), now=Clock())
    with anyio.fail_after(20):
        async with tenants.running():
            async with request_of(tenants, ANNA) as anna:
                answered = await called(anna, "run_model", CHAT)
                assert not answered.is_error
            await kept(tenants, ANNA)
            assert await tenants.of(ANNA) is anna
            read = await called(anna, "read_result", {"call_id": receipt_of(answered)["call_id"]})

    assert not read.is_error


async def test_a_workspace_that_blaxel_does_not_answer_for_changes_nothing_for_other_callers(
    two_tenants: Emulator,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["x-blaxel-workspace"] == "other":
            return httpx.Response(422, json={"code": 422, "error": "no"})
        return httpx.Response(200, json=[])

    tenants = Tenants(for_callers(two_tenants), Environment(transport=httpx.MockTransport(answer)), now=Clock())
    with anyio.fail_after(20):
        async with tenants.running():
            await tenant_of(tenants, BERT)
            anna = await tenant_of(tenants, ANNA)
            assert await tenant_of(tenants, ANNA) is anna


async def test_a_request_that_is_cancelled_while_it_begins_leaves_nothing_behind(two_tenants: Emulator) -> None:
    class CancellingClock(Clock):
        scope = anyio.CancelScope()

        def __call__(self) -> float:
            self.scope.cancel()
            return super().__call__()

    clock = CancellingClock()
    async with serving(for_callers(two_tenants, discovery={"enabled": False}), clock) as tenants:
        with clock.scope:
            await tenant_of(tenants, ANNA)
            await anyio.lowlevel.checkpoint()
        assert clock.scope.cancelled_caught
        assert not tenants._trials


@pytest.mark.parametrize("steps", range(20))
async def test_a_client_that_leaves_within_its_first_request_holds_up_nobody(emulator: Emulator, steps: int) -> None:
    async with serving(leading_to(emulator, http={"auth": "token"})) as tenants:
        async with anyio.create_task_group() as group:
            group.start_soon(tenant_of, tenants, Caller("mallory"))
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await tenant_of(tenants, Caller("alice"))


@pytest.mark.parametrize("steps", range(3, 20))
async def test_a_server_ends_while_a_first_request_begins(emulator: Emulator, steps: int) -> None:
    async with anyio.create_task_group() as group, serving(leading_to(emulator, http={"auth": "token"})) as tenants:
        group.start_soon(tenant_of, tenants, Caller("alice"))
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()


async def test_callers_see_nothing_of_the_owners_models(two_tenants: Emulator) -> None:
    secret = {"name": "house-chat", "description": "the owner's own words", "workspace": "owners-workspace"}
    async with serving(for_callers(two_tenants, models=[secret, {"name": "owners-model"}])) as tenants:
        for caller in (ANNA, Caller("made-up", "demo", SecretStr("made-up"))):
            tenant = await tenants.of(caller)
            await tenant.runtime.discovery.wait_ready()
            page = await tenant.runtime.listing.page()
            shown = str([page, tenant.tools.definitions])
            assert not [word for word in ("owners-model", "own words", "owners-workspace") if word in shown]


async def test_one_token_that_calls_without_end_leaves_the_others_their_turns(emulator: Emulator) -> None:
    config = leading_to(
        emulator, http={"auth": "token"}, limits={"max_concurrency": 2, "max_queue": 2, "detach_after_seconds": 0}
    )
    results: list[types.CallToolResult] = []

    async def slow(tenant: Tenant) -> None:
        results.append(await called(tenant, "run_model", {"model": "fault-slow-30s", "data": {}}))

    async with serving(config) as tenants, anyio.create_task_group() as group:
        mallory, alice = [await tenants.of(Caller(name)) for name in ("mallory", "alice")]
        for _ in range(4):
            group.start_soon(slow, mallory)
        await emulator.wait_for(is_slow_call)
        assert not (await called(alice, "house-chat", {"prompt": "Hi"})).is_error
        group.cancel_scope.cancel()

    assert {error_of(result)["code"] for result in results} == {"busy"}


async def test_over_http_a_caller_makes_so_many_calls_of_any_tool_in_a_minute(emulator: Emulator) -> None:
    clock = Clock()
    context: Any = SimpleNamespace(meta=None, session=SimpleNamespace(client_params=None))

    async def listed(tenant: Tenant) -> types.CallToolResult:
        result = await tenant.call_tool(context, types.CallToolRequestParams(name="list_models"))
        assert isinstance(result, types.CallToolResult)
        return result

    async with serving(leading_to(emulator, http={"auth": "token"}, models=[]), clock) as tenants:
        mallory, alice, owner = [await tenants.of(caller) for caller in (Caller("mallory"), Caller("alice"), OWNER)]
        mallory.runtime.listing.page = owner.runtime.listing.page = alice.runtime.listing.page = empty_page  # type: ignore[method-assign]
        for _ in range(TOOL_CALLS_PER_MINUTE):
            assert not (await listed(mallory)).is_error
        refused = error_of(await listed(mallory))
        assert not (await listed(alice)).is_error
        for _ in range(TOOL_CALLS_PER_MINUTE + 1):
            assert not (await listed(owner)).is_error
        clock.seconds += 61
        assert not (await listed(mallory)).is_error

    assert (refused["code"], refused["retryable"], refused["retry_after_seconds"]) == ("busy", True, 60)
    assert "Try again in 60 seconds" in refused["hint"]


async def empty_page(**_: Any) -> dict[str, Any]:
    return {"models": [], "notes": [], "credentials": None}


async def test_one_caller_too_many_is_refused_while_all_are_busy(emulator: Emulator) -> None:
    config = leading_to(emulator, http={"auth": "token"})
    async with serving(config, limit=1) as tenants, anyio.create_task_group() as group:
        busy = await tenants.of(Caller("one"))
        group.start_soon(called, busy, "run_model", {"model": "fault-slow-30s", "data": {}})
        await emulator.wait_for(lambda request: request.path.startswith("/demo/models/fault-slow"))
        with pytest.raises(MCPError, match="too many callers"):
            await tenants.of(Caller("two"))
        group.cancel_scope.cancel()


async def test_other_settings_are_taken_for_every_caller(two_tenants: Emulator) -> None:
    async with serving(for_callers(two_tenants)) as tenants:
        anna = await tenants.of(ANNA)
        before = (await anna.runtime.listing.page())["total"]
        await tenants.reconfigure(for_callers(two_tenants, discovery={"include": ["house-chat"]}))
        after = [await tenant.runtime.listing.page() for tenant in (anna, await tenants.of(BERT))]

    assert before == len(two_tenants.models)
    assert [(page["total"], page["workspace"]) for page in after] == [(1, "demo"), (1, "other")]


class SilentControlPlane(httpx.AsyncBaseTransport):
    """Accepts every key, and never answers a request for the models."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.params.get("limit") == "1":
            return httpx.Response(200, json=[])
        self.asked.set()
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_server_ends_while_other_settings_are_taken(emulator: Emulator) -> None:
    transport = SilentControlPlane()
    tenants = Tenants(for_callers(emulator), Environment(transport=transport), now=Clock(), serves_owner=False)
    with anyio.fail_after(20):
        async with tenants.running(), anyio.create_task_group() as group:
            await tenant_of(tenants, ANNA)
            await transport.asked.wait()
            transport.asked = anyio.Event()
            group.start_soon(tenants.reconfigure, for_callers(emulator))
            await transport.asked.wait()
            group.cancel_scope.cancel()


async def test_what_is_wrong_with_the_settings_is_the_users_to_know(two_tenants: Emulator) -> None:
    async with serving(for_callers(two_tenants)) as tenants:
        anna, owner = await tenants.of(ANNA), await tenants.of(OWNER)
        tenants.notify("The settings file /home/x/config.toml is broken.")
        assert (await anna.runtime.listing.page())["notes"] == []
        assert (await owner.runtime.listing.page())["notes"] == ["The settings file /home/x/config.toml is broken."]


async def test_a_model_that_only_one_caller_has_is_no_tool_of_another(two_tenants: Emulator) -> None:
    async with serving(for_callers(two_tenants, models=None)) as tenants:
        anna = (await tenants.of(ANNA)).runtime.discovery
        await anna.refresh()
        two_tenants.models["secret-project"] = EmulatedModel(name="secret-project")
        bert = (await tenants.of(BERT)).runtime.discovery
        await bert.refresh()

    assert "secret-project" in bert.catalog.names
    assert "secret-project" not in anna.catalog.names


async def test_a_caller_with_its_own_key_gets_none_of_the_owners_workspaces(two_tenants: Emulator) -> None:
    own = {"workspaces": {"other": {"api_key": "a-key-of-the-owner"}, "demo": {"api_key": "a-key-of-the-owner"}}}
    config = for_callers(two_tenants, models=None, discovery={"workspaces": ["demo", "other"]}, **own)
    async with serving(config) as tenants:
        runtime = (await tenants.of(ANNA)).runtime
        await runtime.discovery.refresh()

    assert {runtime.discovery.catalog.workspace_of(entry) for entry in runtime.discovery.catalog.entries} == {"demo"}
    assert runtime.config.settings.known_workspaces == {"demo"}
    assert runtime.config.settings.workspaces == {}
