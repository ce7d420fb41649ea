"""Accept and Content-Type as RFC 9110 has them, and what browsers ask before they send a request."""

import json
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import MCP_PATH
from tests.support.connecting import ERAS, Era, is_slow_call, leading_to
from tests.support.http_serving import HOUSE_CHAT, SLOW_CALL, Served, message, serving
from tests.support.jwt_issuer import AUDIENCE

pytestmark = pytest.mark.anyio

in_each_era = pytest.mark.parametrize("era", ERAS)
EVENTS, JSON = "text/event-stream", "application/json"
ORIGIN = "https://app.example.com"


async def called(served: Served, era: Era, headers: dict[str, str | None]) -> httpx.Response:
    """Return the answer to a call with these headers; None leaves one out."""
    body, usual = message("tools/call", era, **HOUSE_CHAT)
    async with served.http() as http:
        request = http.build_request("POST", MCP_PATH, content=body, headers=usual)
        for name, value in headers.items():
            request.headers.pop(name, None)
            if value is not None:
                request.headers[name] = value
        return await http.send(request)


@in_each_era
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, EVENTS),
        ("", EVENTS),
        ("*/*", EVENTS),
        ("text/*", EVENTS),
        ("Text/Event-Stream", EVENTS),
        ("text/event-stream; q=0.1, application/json", EVENTS),
        ("application/json, */*;q=0.1", EVENTS),
        ("application/json", JSON),
        ("application/json;charset=utf-8", JSON),
        ("Application/JSON ; Q=1", JSON),
        ("application/*", JSON),
        ("*/*, text/event-stream;q=0", JSON),
        ("application/json, text/*;q=0.000", JSON),
        ('application/json;profile="a,b;q=0", text/html', JSON),
        ("text/event-stream;q=0, application/json;q=0", None),
        ("text/html", None),
        ("*/*;q=0", None),
        ("application/*;q=0, text/plain", None),
    ],
)
async def test_a_client_gets_what_it_accepts(
    emulator: Emulator, era: Era, accept: str | None, media_type: str | None
) -> None:
    async with serving(leading_to(emulator)) as served:
        answer = await called(served, era, {"accept": accept})

    if media_type is None:
        assert (answer.status_code, answer.json()["error"]) == (406, "not_acceptable")
        return
    assert answer.status_code == 200
    if media_type == JSON:
        assert answer.headers["content-type"] == JSON
    # Since 2026-07-28, an answer without progress is JSON for clients that accept both.
    assert answer.headers["content-type"].partition(";")[0] in (media_type, JSON)
    text = answer.text if answer.headers["content-type"] == JSON else answer.text.partition("data:")[2]
    assert "42" in json.dumps(json.loads(text)["result"])


@in_each_era
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("Application/JSON", 200),
        ("application/json; charset=UTF-8", 200),
        ("application/json ;charset=utf-8", 200),
        ("application/json;", 200),
        ("application/jsonl", 415),
        ("text/plain; x=application/json", 415),
        ("", 415),
        (None, 415),
    ],
)
async def test_a_message_is_json_in_any_case_and_with_any_parameters(
    emulator: Emulator, era: Era, content_type: str | None, status: int
) -> None:
    async with serving(leading_to(emulator)) as served:
        answer = await called(served, era, {"content-type": content_type})

    assert answer.status_code == status, answer.text
    if status != 200:
        assert "application/json" in answer.json()["error_description"]


@in_each_era
async def test_a_client_that_takes_json_only_ends_its_call_by_going_away(emulator: Emulator, era: Era) -> None:
    body, headers = message("tools/call", era, **SLOW_CALL)

    async def call(served: Served, scope: anyio.CancelScope) -> None:
        with scope:
            await served.post(body, {**headers, "accept": JSON})

    with anyio.fail_after(30):
        async with serving(leading_to(emulator)) as served, anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(call, served, scope)
            request = await emulator.wait_for(is_slow_call)
            scope.cancel()
            await request.wait_aborted()


async def test_a_client_that_takes_json_only_is_told_of_a_drain_in_json(emulator: Emulator) -> None:
    answers: list[httpx.Response] = []
    body, headers = message("tools/call", "legacy", **SLOW_CALL)

    async def call(served: Served) -> None:
        answers.append(await served.post(body, {**headers, "accept": JSON}))

    with anyio.fail_after(30):
        async with serving(leading_to(emulator), drain_seconds=0.1) as served, anyio.create_task_group() as group:
            group.start_soon(call, served)
            await emulator.wait_for(is_slow_call)
            served.shutdown.begun.set()

    assert answers[0].headers["content-type"] == JSON
    assert (answers[0].json()["id"], answers[0].json()["error"]["code"]) == (1, -32603)


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 200), ("", 200)])
async def test_a_compressed_body_is_refused_with_what_to_send(emulator: Emulator, coding: str, status: int) -> None:
    body, headers = message("ping", "legacy")
    async with serving(leading_to(emulator)) as served:
        answer = await served.post(body, {**headers, "content-encoding": coding})

    assert answer.status_code == status
    if status == 415:
        assert "uncompressed" in answer.json()["error_description"]
        assert answer.headers["accept-encoding"] == "identity"


async def preflight(served: Served, path: str, method: str, **headers: str) -> httpx.Response:
    asked = {"access-control-request-method": method, "access-control-request-headers": "mcp-protocol-version"}
    async with served.http({"origin": ORIGIN, **asked, **headers}) as http:
        return await http.options(path)


@pytest.mark.parametrize("listed", [ORIGIN, ORIGIN.title()])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_page_that_may_call_sees_the_answer_to_any_method(emulator: Emulator, method: str, listed: str) -> None:
    async with serving(leading_to(emulator, http={"allowed_origins": [listed]})) as served:
        allowed = await preflight(served, MCP_PATH, method, **{"access-control-request-private-network": "true"})
        async with served.http({"origin": ORIGIN}) as http:
            answer = await http.request(method, MCP_PATH)

    assert allowed.status_code == 200, allowed.text
    assert method in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-private-network"] == "true"
    assert answer.status_code == (415 if method == "POST" else 405)
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origins", [[], [ORIGIN], ["https://other.example.com"]])
@pytest.mark.parametrize("path", ["", MCP_PATH])
async def test_any_page_may_read_the_oauth_metadata_and_is_told_so(
    emulator: Emulator, origins: list[str], path: str
) -> None:
    http: dict[str, Any] = {"auth": "oauth", "issuer": "http://127.0.0.1:9", "audience": AUDIENCE}
    page = f"/.well-known/oauth-protected-resource{path}"
    async with serving(leading_to(emulator, http={**http, "allowed_origins": origins})) as served:
        allowed = await preflight(served, page, "GET")
        async with served.http({"origin": ORIGIN}) as client:
            answer = await client.get(page)

    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "GET" in allowed.headers["access-control-allow-methods"]
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
