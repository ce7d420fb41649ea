"""Listing models and looking them up: every shape of answer, and no request too many."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.catalog.control_plane import FAILURE_SECONDS, MAX_PAGES, ControlPlane, Lookup
from blaxel_mcp.catalog.records import ModelRecord, read_model_list, read_record
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.support.connecting import leading_to

pytestmark = pytest.mark.anyio


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Platform:
    """A control plane that answers by path with what a test puts there; anything else is a 503."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.raw_path.decode().removeprefix("/v0")
        self.asked.append(asked)
        answer = self.answers.get(asked.strip("/"), 503)
        if isinstance(answer, int):
            return httpx.Response(answer, json={"error": "CANARY", "code": answer})
        return httpx.Response(200, content=answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def resource(name: str, runtime_type: str = "openai", **runtime: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"runtime": {"type": runtime_type, **runtime}}, "status": "DEPLOYED"}


def record(name: str, **fields: Any) -> ModelRecord:
    return ModelRecord(**{"name": name, "runtime_type": "openai", "status": "DEPLOYED", **fields})


def page(*names: str, cursor: str | None = None) -> dict[str, Any]:
    meta = {"hasMore": cursor is not None, "nextCursor": cursor}
    return {"data": [resource(name) for name in names], "meta": meta}


def acme(**settings: Any) -> Configuration:
    values = {"workspace": "acme", "api_key": "a-key-of-acme", "api_url": "https://api.example/v0", **settings}
    return Configuration(Settings.model_validate(values))


async def found(control_plane: ControlPlane, name: str) -> tuple[ModelRecord | None, str | None]:
    """Return a model's record, and why it is missing or an earlier one."""
    lookup = await control_plane.find("acme", name)
    return lookup.record, lookup.problem


@asynccontextmanager
async def asking(
    config: Configuration,
    handler: Callable[[httpx.Request], Any] | None = None,
    *,
    now: Callable[[], float] | None = None,
    **paging: Any,
) -> AsyncIterator[ControlPlane]:
    """A control plane's client, over the network or over a handler; everything in here is bounded."""
    transport = httpx.MockTransport(handler) if handler else None
    async with APIClient(config, transport=transport) as client:
        with anyio.fail_after(30):
            yield ControlPlane(client, config.settings, now=now or Clock(), **paging)


def paths(emulator: Emulator) -> list[str]:
    return [request.path for request in emulator.requests]


@pytest.mark.parametrize("page_size", [1, 5, 200])
async def test_every_page_is_read(emulator: Emulator, page_size: int) -> None:
    async with asking(leading_to(emulator), page_size=page_size) as control_plane:
        records = await control_plane.list_models("demo")

    assert sorted(record.name for record in records) == sorted(emulator.models)
    assert paths(emulator).count("/v0/models") == -(-len(emulator.models) // page_size)


async def test_the_oldest_version_answers_with_a_bare_array(emulator: Emulator) -> None:
    async with asking(leading_to(emulator, api_version="2026-04-16")) as control_plane:
        records = await control_plane.list_models("demo")

    assert sorted(record.name for record in records) == sorted(emulator.models)


async def test_a_page_is_asked_for_by_the_cursor_of_the_one_before() -> None:
    platform = Platform(
        **{"models?limit=2": page("a", "b", cursor="x y&z"), "models?limit=2&cursor=x+y%26z": page("b", "c")}
    )
    async with asking(acme(), platform, page_size=2) as control_plane:
        assert await control_plane.list_models("acme") == [record("a"), record("b"), record("c")]


@pytest.mark.parametrize(
    ("cursors", "pages"),
    [
        pytest.param(lambda number: "again", 2, id="the same cursor again"),  # noqa: ARG005 - a table of one shape
        pytest.param(lambda number: f"c{number % 3}", 4, id="cursors in a circle"),
        pytest.param(lambda number: f"c{number}", MAX_PAGES, id="a new cursor for ever"),
    ],
)
async def test_cursors_that_lead_on_for_ever_are_followed_to_an_end(cursors: Callable[[int], str], pages: int) -> None:
    asked = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json=page(f"model-{asked:03}", cursor=cursors(asked)))

    async with asking(acme(), answer) as control_plane:
        records = await control_plane.list_models("acme")

    assert [record.name for record in records] == [f"model-{number:03}" for number in range(1, pages + 1)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param([resource("a")], (["a"], None), id="a bare array"),
        pytest.param([], ([], None), id="an empty array"),
        pytest.param(page("a", cursor="c"), (["a"], "c"), id="a page with a cursor"),
        pytest.param({"data": None, "meta": {}}, ([], None), id="an empty list as Go may spell it"),
        pytest.param({"data": [resource("a")]}, (["a"], None), id="no meta"),
        pytest.param({"data": [], "meta": {"nextCursor": "c"}}, ([], "c"), id="a cursor without hasMore"),
        pytest.param({"data": [], "meta": {"hasMore": False, "nextCursor": "c"}}, ([], None), id="hasMore is no"),
        pytest.param({"data": [], "meta": {"hasMore": True, "nextCursor": 7}}, ([], None), id="a cursor of a kind"),
        pytest.param([None, 5, "x", [], {}, {"metadata": {}}, resource("a")], (["a"], None), id="junk among them"),
    ],
)
def test_both_shapes_of_a_list_are_read(value: Any, expected: tuple[list[str], str | None]) -> None:
    records, cursor = read_model_list(value)

    assert ([record.name for record in records], cursor) == expected


@pytest.mark.parametrize("value", [{}, None, "x", b"5", {"error": "no"}, {"data": {}}, {"data": "x"}, {"data": False}])
async def test_what_is_no_list_is_a_failure_and_not_an_empty_workspace(value: Any) -> None:
    async with asking(acme(), Platform(**{"models?limit=200": value})) as control_plane:
        with pytest.raises(BlaxelError) as caught:
            await control_plane.list_models("acme")

    assert (caught.value.code, caught.value.origin) == ("bad_response", "blaxel")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe", b"[" * 100_000])
async def test_what_is_not_json_is_a_failure(body: bytes) -> None:
    async with asking(acme(), Platform(**{"models?limit=200": body})) as control_plane:
        with pytest.raises(BlaxelError) as caught:
            await control_plane.list_models("acme")

    assert caught.value.code == "bad_response"


async def no_answer(_: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError("nothing wakes it")


async def half_an_answer(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset by peer")


@pytest.mark.parametrize(
    ("answer", "code", "text", "retryable"),
    [
        pytest.param(
            no_answer,
            "timeout",
            "Blaxel's control plane did not answer within 0.01 seconds. Retry later.",
            True,
            id="no answer",
        ),
        pytest.param(
            half_an_answer,
            "network_error",
            "The connection to api.example broke off before the answer was complete. Retry later.",
            True,
            id="half an answer",
        ),
        pytest.param(
            lambda _: httpx.Response(200, content=b"[" + b" " * 2_000_000 + b"]"),
            "response_too_large",
            "The response is larger than 1000000 bytes (limits.max_response_bytes), and the rest was not read. "
            "Raise limits.max_response_bytes.",
            False,
            id="too large an answer",
        ),
        pytest.param(
            lambda _: httpx.Response(500, json={"error": "oops", "code": 500}),
            "upstream_error",
            'Blaxel answered 500: "oops". Retry later.',
            True,
            id="its own failure",
        ),
        pytest.param(
            lambda _: httpx.Response(404, text="no such page"),
            "not_found",
            'Blaxel answered 404: "no such page". Check `api_url`, `api_version` and `workspace` in the settings.',
            False,
            id="another server",
        ),
    ],
)
async def test_no_failure_of_a_list_speaks_of_a_bill(
    answer: Callable[[httpx.Request], Any], code: str, text: str, retryable: bool
) -> None:
    config = acme(limits={"max_response_bytes": 1_000_000})
    async with asking(config, answer, page_seconds=0.01 if answer is no_answer else 60) as control_plane:
        with pytest.raises(BlaxelError) as caught:
            await control_plane.list_models("acme")

    error = caught.value
    assert (error.code, str(error), error.billed, error.retryable) == (code, text, "no", retryable)


async def test_half_a_list_says_nothing_of_any_model() -> None:
    platform = Platform(**{"models?limit=200": page("a", cursor="c"), "models/a": resource("a", model="gpt")})
    async with asking(acme(), platform) as control_plane:
        with pytest.raises(BlaxelError):
            await control_plane.list_models("acme")
        assert await control_plane.find("acme", "a") == Lookup(record("a", provider_model="gpt"))

    assert platform.asked == ["/models?limit=200", "/models?limit=200&cursor=c", "/models/a"]


def test_a_record_is_read_whole() -> None:
    value = {
        "metadata": {"name": "house", "displayName": " The\nhouse\u202e ", "url": "https://x.example"},
        "spec": {
            "enabled": False,
            "sandbox": True,
            "integrationConnections": ["acme-openai", 5],
            "policies": ["eu-only"],
            "runtime": {"type": "openai", "model": "gpt-4o-mini", "generation": "mk3", "endpointName": "sad-sheep"},
        },
        "status": "FAI\x00LED",
        "events": [{"type": "x"}],
    }

    assert read_record(value) == ModelRecord(
        name="house",
        display_name="The house",
        runtime_type="openai",
        provider_model="gpt-4o-mini",
        generation="mk3",
        url="https://x.example",
        status="FAILED",
        enabled=False,
        sandbox=True,
        policies=("eu-only",),
    )


@pytest.mark.parametrize("text", ["gpt\n4", "gpt\x004", "g" * 500, "", "  ", 5, None, ["gpt"], "gpt\u202e4"])
def test_an_identifier_that_cannot_be_one_is_left_out_and_not_mended(text: Any) -> None:
    assert read_record(resource("a", model=text)) == record("a")


async def test_what_was_listed_is_not_asked_for_again_until_it_is_old() -> None:
    clock, platform = Clock(), Platform(**{"models?limit=200": page("a"), "models/a": resource("a", model="newer")})
    async with asking(acme(discovery={"refresh_seconds": 60}), platform, now=clock) as control_plane:
        await control_plane.list_models("acme")
        clock.time = 59
        assert await control_plane.find("acme", "a") == Lookup(record("a"))
        clock.time = 60
        assert await control_plane.find("acme", "a") == Lookup(record("a", provider_model="newer"))

    assert platform.asked == ["/models?limit=200", "/models/a"]


async def test_a_list_of_one_workspace_says_nothing_of_another() -> None:
    platform = Platform(**{"models?limit=200": page("a"), "models/a": resource("a", model="other")})
    async with asking(acme(), platform) as control_plane:
        await control_plane.list_models("acme")
        assert await control_plane.find("other", "a") == Lookup(record("a", provider_model="other"))


async def test_in_an_outage_what_was_known_of_a_model_serves() -> None:
    clock, platform = Clock(), Platform(**{"models?limit=200": page("a"), "models/b": resource("b")})
    async with asking(acme(), platform, now=clock) as control_plane:
        await control_plane.list_models("acme")
        await control_plane.find("acme", "b")
        platform.answers.clear()
        clock.time = 301
        problem = "the control plane answered 503 (upstream_error)"
        assert await found(control_plane, "a") == (record("a"), problem)
        assert await found(control_plane, "b") == (record("b"), problem)
        assert await found(control_plane, "c") == (None, problem)


async def test_after_an_outage_the_control_plane_is_asked_again_soon() -> None:
    clock, platform = Clock(), Platform()
    async with asking(acme(), platform, now=clock) as control_plane:
        control_plane.seed("acme", [record("a")])
        assert (await control_plane.find("acme", "a")).record == record("a")
        platform.answers["models/a"] = resource("a", model="newer")
        clock.time = FAILURE_SECONDS - 1
        assert (await control_plane.find("acme", "a")).record == record("a")
        clock.time = FAILURE_SECONDS
        assert await control_plane.find("acme", "a") == Lookup(record("a", provider_model="newer"))


async def test_a_model_that_is_gone_is_not_brought_back() -> None:
    clock, platform = Clock(), Platform(**{"models?limit=200": page("a"), "models/a": 404})
    async with asking(acme(), platform, now=clock) as control_plane:
        await control_plane.list_models("acme")
        clock.time = 301
        lookup = await found(control_plane, "a")

    assert lookup == (None, "the control plane answered 404 (not_found)")


async def test_records_of_an_earlier_run_do_not_keep_the_control_plane_from_being_asked() -> None:
    platform = Platform(**{"models/a": resource("a", model="newer")})
    async with asking(acme(), platform) as control_plane:
        control_plane.seed("acme", [record("a", provider_model="older")])
        assert await control_plane.find("acme", "a") == Lookup(record("a", provider_model="newer"))


async def test_an_integration_is_asked_once_for_all_models_of_an_open_type(emulator: Emulator) -> None:
    emulator.models["other-hf"] = EmulatedModel(name="other-hf", type="huggingface")
    async with asking(leading_to(emulator)) as control_plane:
        async with anyio.create_task_group() as group:
            for name in ("house-classifier", "house-classifier", "other-hf", "house-chat"):
                group.start_soon(control_plane.find, "demo", name)
        listed = {record.name: record for record in await control_plane.list_models("demo")}
        found = (await control_plane.find("demo", "house-classifier")).record

    assert found == listed["house-classifier"]
    assert found.integration_path == ""
    assert listed["house-chat"].integration_path is None
    assert [path for path in paths(emulator) if "integrations" in path] == ["/v0/integrations/huggingface"]


async def test_an_integration_that_does_not_answer_leaves_what_was_known_of_it() -> None:
    clock, platform = Clock(), Platform(**{"integrations/hf": {"endpoints": {"/v1/chat/completions": {}}}})
    async with asking(acme(), platform, now=clock) as control_plane:
        control_plane.seed("acme", [record("b", runtime_type="tgi", integration_path="/generate")])
        found = [await control_plane.integration_path("acme", "hf")]
        platform.answers.clear()
        clock.time = 301
        found += [await control_plane.integration_path("acme", name) for name in ("hf", "tgi", "unknown")]

    assert found == ["/v1/chat/completions", "/v1/chat/completions", "/generate", None]


@pytest.mark.parametrize("runtime_type", ["../models", "a/b", "..", "", "x?y", "x" * 65, "é"])
async def test_a_type_that_could_lead_elsewhere_is_not_asked_about(runtime_type: str) -> None:
    platform = Platform()
    async with asking(acme(), platform) as control_plane:
        assert await control_plane.integration_path("acme", runtime_type) is None

    assert platform.asked == []


async def test_without_credentials_nothing_is_asked() -> None:
    platform = Platform()
    async with asking(acme(api_key=None), platform) as control_plane:
        for ask in (
            control_plane.list_models("acme"),
            control_plane.find("acme", "a"),
            control_plane.integration_path("acme", "hf"),
        ):
            with pytest.raises(ConfigurationError):
                await ask

    assert platform.asked == []
