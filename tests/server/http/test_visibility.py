"""What callers over HTTP are shown: nothing of the owner's paths, settings and mistakes, nor of each other."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError
from pydantic import BaseModel, SecretStr

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.callers import ANYONE, Caller
from blaxel_mcp.server.tenant import Tenant
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.login_file import LoginFile
from blaxel_mcp.tools.store.call_keys import default_keys
from blaxel_mcp.tools.store.spool import default_spools
from blaxel_mcp.tools.visibility import Visibility
from tests.support.canaries import CALLER_KEY, HTTP_TOKEN
from tests.support.connecting import ERAS, Era, answer_of, connect, error_of, leading_to, receipt_of, text_of
from tests.support.http_serving import answer_to_42, serving

pytestmark = pytest.mark.anyio

OTHER_TOKEN = f"{HTTP_TOKEN}-of-somebody-else"
OWN_KEY = {"x-blaxel-authorization": f"Bearer {CALLER_KEY}", "x-blaxel-workspace": "demo"}
TOKENS = [SecretStr(HTTP_TOKEN), SecretStr(OTHER_TOKEN)]

MODES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no auth": ({}, {}),
    "platform": ({"auth": "platform"}, {}),
    "token": ({"auth": "token", "bearer_tokens": TOKENS}, {"authorization": f"Bearer {HTTP_TOKEN}"}),
    "caller": ({"auth": "caller"}, OWN_KEY),
}
in_each_mode = pytest.mark.parametrize("mode", MODES)


def hidden_words(tmp_path: Path) -> list[str]:
    return [str(tmp_path), str(default_ledger()), str(default_spools()), "op-read-secret", ".blaxel"]


def of_owner(emulator: Emulator, tmp_path: Path, mode: str, **settings: Any) -> Configuration:
    """Settings full of places that only the owner is to know."""
    config = leading_to(
        emulator,
        http=MODES[mode][0],
        budget={"ledger": str(tmp_path / "ledgers" / "ledger.sqlite3"), "calls_per_day": 100},
        files={"output_dir": str(tmp_path / "pictures"), "allowed_dirs": [str(tmp_path / "files")]},
        **settings,
    )
    login = LoginFile(tmp_path / ".blaxel" / "config.yaml", problem="it is not YAML")
    return replace(config, login=login, file=tmp_path / "config.toml", watched=tmp_path / "config.toml")


async def everything(client: Client, *calls: tuple[str, dict[str, Any]]) -> str:
    """All that a caller can read of a server, as text."""
    uris = ("blaxel://models", "blaxel://models/house-chat", "blaxel://usage", "blaxel://nothing")
    asked: list[Callable[[], Awaitable[BaseModel]]] = [
        client.list_tools,
        client.list_resources,
        client.list_resource_templates,
        *(partial(client.read_resource, uri) for uri in uris),
        *(partial(client.call_tool, name, arguments) for name, arguments in (("list_models", {}), *calls)),
    ]
    shown: list[BaseModel] = []
    for ask in asked:
        try:
            shown.append(await ask())
        except MCPError as error:
            shown.append(error.error)
    return "\n".join(json.dumps(item.model_dump(mode="json")) for item in shown)


FAILING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("run_model", {"model": "house-chat", "path": "/v1/chat/completions", "data": {}}),
    ("run_model", {"model": "fault-500-provider", "data": {}}),
    ("read_result", {"call_id": "call_none"}),
    ("run_model", {"model": "../x", "data": {}}),
    ("run_model", {"model": "fault-png", "data": {}}),
    ("house-chat", {"prompt": "What is 6 * 7?", "images": ["/etc/passwd"]}),
    ("run_model", {"model": "house-chat", "data": {"messages": []}, "dry_run": True}),
)


DRY_RUN: tuple[str, dict[str, Any]] = (
    "run_model",
    {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "Hi"}]}, "dry_run": True},
)

COMMAND = {"api_key": None, "api_key_command": ["/opt/op-read-secret"]}


@in_each_mode
@pytest.mark.parametrize(
    ("settings", "era"),
    [
        pytest.param({}, ERAS[0], id="as it should be"),
        pytest.param({"api_key": None}, ERAS[1], id="without credentials"),
        pytest.param(COMMAND, ERAS[0], id="a command that fails"),
        pytest.param({**COMMAND, "models": None}, ERAS[1], id="and no models"),
        pytest.param({"limits": {"max_media_bytes": 0}}, ERAS[0], id="media become files"),
        pytest.param({"limits": {"max_media_bytes": 0}}, ERAS[1], id="media become files, the other era"),
    ],
)
async def test_no_caller_over_http_is_shown_a_place_of_the_owners(
    emulator: Emulator, tmp_path: Path, mode: str, era: Era, settings: dict[str, Any]
) -> None:
    config = of_owner(emulator, tmp_path, mode, **settings)
    async with serving(config) as served, served.client(era, MODES[mode][1]) as client:
        shown = await everything(client, *FAILING)

    assert [word for word in hidden_words(tmp_path) if word in shown] == []


@in_each_mode
@pytest.mark.parametrize("broken", ["a folder", "garbage"])
async def test_a_ledger_that_cannot_be_used_is_the_owners_to_know(
    emulator: Emulator, tmp_path: Path, mode: str, broken: str
) -> None:
    ledger = tmp_path / "ledgers" / "ledger.sqlite3"
    ledger.parent.mkdir()
    if broken == "a folder":
        ledger.mkdir()
    else:
        ledger.write_bytes(b"no ledger" * 1000)
    async with serving(of_owner(emulator, tmp_path, mode)) as served, served.client(headers=MODES[mode][1]) as client:
        refused = await client.call_tool("house-chat", {"prompt": "Hi"})
        shown = await everything(client, DRY_RUN)

    assert error_of(refused)["code"] == "budget_exceeded"
    assert [word for word in hidden_words(tmp_path) if word in shown + refused.model_dump_json()] == []


@in_each_mode
async def test_a_file_of_keys_that_cannot_be_used_is_the_owners_to_know(
    emulator: Emulator, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    default_keys().mkdir(parents=True)
    arguments = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "Hi"}]}, "call_key": "k"}
    async with serving(of_owner(emulator, tmp_path, mode)) as served, served.client(headers=MODES[mode][1]) as client:
        result = await client.call_tool("run_model", arguments)

    assert any("would be paid again" in note and "[path]" in note for note in receipt_of(result)["notes"])
    assert "elsewhere" not in result.model_dump_json()


async def test_the_owner_over_stdio_is_shown_all_of_it(emulator: Emulator, tmp_path: Path) -> None:
    config = of_owner(emulator, tmp_path, "token", api_key=None, api_key_command=["/opt/op-read-secret"])
    async with connect(config) as client:
        shown = await everything(client, *FAILING)

    assert str(tmp_path / "ledgers" / "ledger.sqlite3") in shown
    assert "op-read-secret" in shown


@in_each_mode
async def test_a_failure_of_the_owners_settings_is_in_the_log_and_not_in_the_answer(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    if mode == "caller":
        pytest.skip("the caller brings its own key")
    config = of_owner(emulator, tmp_path, mode, api_key=None, api_key_command=["/opt/op-read-secret"])
    with caplog.at_level(logging.WARNING):
        async with serving(config) as served, served.client(headers=MODES[mode][1]) as client:
            results = [await client.call_tool("house-chat", {"prompt": "Hi"}) for _ in range(3)]

    error = error_of(results[0])
    assert (error["code"], error["message"]) == ("configuration_error", "This server is not set up for the call.")
    assert text_of(results[0]) == f"{error['message']} {error['hint']}"
    assert caplog.text.count("/opt/op-read-secret") == 1


@in_each_mode
async def test_the_failure_of_one_of_several_models_says_no_more_than_that_of_its_own_tool(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    if mode == "caller":
        pytest.skip("the caller brings its own key")
    config = of_owner(emulator, tmp_path, mode, api_key=None, api_key_command=["/opt/op-read-secret"])
    with caplog.at_level(logging.WARNING):
        async with serving(config) as served, served.client(headers=MODES[mode][1]) as client:
            arguments = {"models": ["house-chat", "unlisted"], "prompt": "Hi"}
            result = await client.call_tool("ask_models", arguments)

    assert text_of(result).count("This server is not set up for the call.") == 2
    assert "op-read-secret" not in result.model_dump_json()
    assert "/opt/op-read-secret" in caplog.text


async def usage_of(client: Client) -> dict[str, Any]:
    (content,) = (await client.read_resource("blaxel://usage")).contents
    usage: dict[str, Any] = json.loads(getattr(content, "text", ""))
    return usage


@in_each_mode
async def test_a_dry_run_shows_the_budget_only_to_a_caller_who_has_it_alone(
    emulator: Emulator, tmp_path: Path, mode: str
) -> None:
    async with serving(of_owner(emulator, tmp_path, mode)) as served, served.client(headers=MODES[mode][1]) as client:
        report = answer_of(await client.call_tool(*DRY_RUN))

    assert report["request"]["headers"]["X-Blaxel-Authorization"] == "Bearer ********"
    assert (report["budget"] is None) == (mode == "token")


async def test_callers_who_share_a_key_do_not_learn_what_the_others_call(emulator: Emulator, tmp_path: Path) -> None:
    config = of_owner(emulator, tmp_path, "token")
    async with (
        serving(config) as served,
        served.client(headers={"authorization": f"Bearer {HTTP_TOKEN}"}) as alice,
        served.client(headers={"authorization": f"Bearer {OTHER_TOKEN}"}) as mallory,
    ):
        before = (await usage_of(mallory), receipt_of(await mallory.call_tool("house-chat", {"prompt": "Hi"})))
        for _ in range(3):
            await alice.call_tool("house-classifier", {"inputs": "kind"})
        after = (await usage_of(mallory), receipt_of(await mallory.call_tool("house-chat", {"prompt": "Hi"})))

    assert (before[0]["clients"], [own["calls"] for own in after[0]["clients"]]) == ([], [1])
    assert {**before[0], "clients": []} == {**after[0], "clients": []}
    assert (before[0]["days"], before[0]["ledger"], before[0]["budget"]) == ([], None, None)
    assert (before[1]["budget"], after[1]["budget"]) == (None, None)


async def test_a_caller_who_shares_a_key_sees_what_its_own_calls_take(emulator: Emulator, tmp_path: Path) -> None:
    models = [{"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 2}}]
    http = {"auth": "token", "bearer_tokens": TOKENS}
    config = leading_to(emulator, http=http, models=models, budget={"ledger": str(tmp_path / "ledger.sqlite3")})
    async with serving(config) as served, served.client(headers={"authorization": f"Bearer {OTHER_TOKEN}"}) as caller:
        receipt = receipt_of(await answer_to_42(caller))
        usage = await usage_of(caller)

    assert receipt["usage"]["total_tokens"] > 0
    assert receipt["cost_usd"] > 0
    (own,) = usage["clients"]
    assert (own["calls"], own["total_tokens"], own["cost_usd"]) == (
        1,
        receipt["usage"]["total_tokens"],
        receipt["cost_usd"],
    )
    assert "your own calls only" in usage["problem"]


async def test_a_budget_that_others_have_used_up_is_refused_without_their_figures(
    emulator: Emulator, tmp_path: Path
) -> None:
    budget = {"calls_per_day": 7, "ledger": str(tmp_path / "ledger.sqlite3")}
    http = {"auth": "token", "bearer_tokens": TOKENS}
    async with (
        serving(leading_to(emulator, http=http, budget=budget)) as served,
        served.client(headers={"authorization": f"Bearer {HTTP_TOKEN}"}) as alice,
        served.client(headers={"authorization": f"Bearer {OTHER_TOKEN}"}) as mallory,
    ):
        for _ in range(7):
            answer_of(await answer_to_42(alice))
        error = error_of(await answer_to_42(mallory))

    assert (error["code"], error["retryable"]) == ("budget_exceeded", True)
    assert error["retry_after_seconds"] > 0
    assert "7" not in error["message"] + error["hint"]


async def test_a_caller_cannot_fill_the_log_with_failures_of_the_owners_settings(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budget = {"calls_per_day": 0, "ledger": str(tmp_path / "ledger.sqlite3")}
    config = leading_to(emulator, http={"auth": "token", "bearer_tokens": TOKENS}, budget=budget)
    async with serving(config) as served, served.client(headers={"authorization": f"Bearer {HTTP_TOKEN}"}) as caller:
        for number in range(150):
            arguments = {"model": f"house-chat-{number % 120}", "path": "/v1/chat/completions", "data": {}}
            assert (await caller.call_tool("run_model", arguments)).is_error

    assert 0 < caplog.text.count("a call over HTTP failed") <= 100


async def test_a_budget_without_room_for_another_attempt_is_reported_without_its_figures(
    emulator: Emulator, tmp_path: Path
) -> None:
    models = [{"name": "fault-500", "api": "chat-completions", "idempotent": True}]
    budget = {"calls_per_day": 1, "ledger": str(tmp_path / "ledger.sqlite3")}
    http = {"auth": "token", "bearer_tokens": TOKENS}
    config = leading_to(emulator, http=http, budget=budget, models=models)
    async with serving(config) as served, served.client(headers={"authorization": f"Bearer {HTTP_TOKEN}"}) as caller:
        result = await caller.call_tool("fault-500", {"prompt": "Hi"})

    assert receipt_of(result)["notes"] == ["not retried: the budget does not allow another attempt"]


async def test_media_that_are_too_large_are_a_resource_that_the_caller_can_read(
    emulator: Emulator, tmp_path: Path
) -> None:
    config = of_owner(emulator, tmp_path, "no auth", limits={"max_media_bytes": 0})
    async with serving(config) as served, served.client() as client:
        result = await client.call_tool("run_model", {"model": "fault-png", "data": {}})
        (link,) = [block for block in result.content if isinstance(block, types.ResourceLink)]
        (content,) = (await client.read_resource(link.uri)).contents

    assert isinstance(content, types.BlobResourceContents)
    assert "too large" in text_of(result)
    assert not (tmp_path / "pictures").exists()


@asynccontextmanager
async def broken_server(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, era: Era) -> AsyncIterator[Client]:
    def fail(*_: object) -> None:
        raise RuntimeError("secret of /home/owner/config.toml")

    async with serving(leading_to(emulator)) as served, served.client(era) as client:
        monkeypatch.setattr(Tenant, "list_tools", fail)
        yield client


@pytest.mark.parametrize("era", ERAS)
async def test_an_error_inside_the_server_says_no_more_than_that(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, era: Era, caplog: pytest.LogCaptureFixture
) -> None:
    async with broken_server(emulator, monkeypatch, era) as client:
        with pytest.raises(MCPError) as caught:
            await client.list_tools()

    assert caught.value.error.message == "Internal error in this server."
    assert "config.toml" in caplog.text


@pytest.mark.parametrize("caller", [ANYONE, Caller("token-1")], ids=["anyone", "a token"])
async def test_paths_are_hidden_in_any_spelling(emulator: Emulator, home: Path, tmp_path: Path, caller: Caller) -> None:
    visibility = Visibility(of_owner(emulator, tmp_path, "token"), own_key=False, own_budget=caller == ANYONE)
    ledger = tmp_path / "ledgers" / "ledger.sqlite3"
    for text in (
        f"{ledger}",
        f"'{ledger}'",
        f"({ledger}), then",
        f"{ledger}-wal: locked",
        f"{home}/x/y.toml.",
        f"{home}",
    ):
        shown = visibility.text(f"The file {text} is broken.")
        assert str(tmp_path) not in shown
        assert "[path]" in shown
    assert visibility.text("Use /v1/chat/completions, not /.") == "Use /v1/chat/completions, not /."
