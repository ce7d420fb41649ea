"""The emulator against what Blaxel and the providers document, over real connections on loopback."""

import base64
import gzip
import json
import logging
import math
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.emulator import EmulatedModel, Emulator, RecordedRequest, Upstream, create_app, run_emulator
from blaxel_mcp.emulator.gateway import ENDPOINTS
from blaxel_mcp.emulator.platform.records import demo_models

pytestmark = pytest.mark.anyio

KEY = "X-Blaxel-Authorization"
CHAT = "/demo/models/house-chat/v1/chat/completions"
EMBED = "/demo/models/house-embed/v1/embeddings"
CLASSIFY = "/demo/models/house-classifier"
TOKEN = "/v0/oauth/token"
PAGED = {"X-Blaxel-Workspace": "demo", "Blaxel-Version": "2026-04-28"}
BASIC = "Basic " + base64.b64encode(b"demo-client:demo-secret").decode()
HELLO = {"messages": [{"role": "user", "content": "Hello there"}]}

# Built once: every client would otherwise read the certificates again, for connections that use none.
TLS = ssl.create_default_context()


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever the emulator is made to do, it has nothing to complain of."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with run_emulator() as running:
        yield running


@pytest.fixture
async def anonymous(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=emulator.url, verify=TLS) as client:
        yield client


@pytest.fixture
async def client(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    anonymous.headers[KEY] = "Bearer demo-key"
    return anonymous


async def chat(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post(CHAT, json=HELLO | fields)
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    return completion


async def say(client: httpx.AsyncClient, text: str, **fields: Any) -> str:
    completion = await chat(client, messages=[{"role": "user", "content": text}], **fields)
    content: str = completion["choices"][0]["message"]["content"]
    return content


def data_of(events: str) -> list[str]:
    return [line.removeprefix("data: ") for line in events.splitlines() if line]


# Authentication


WRONG_CREDENTIALS = {
    "none": ({}, "AUTHENTICATION_REQUIRED"),
    "wrong key": ({KEY: "Bearer other-key"}, "AUTHENTICATION_FAILED"),
    "not a bearer": ({KEY: "demo-key"}, "AUTHENTICATION_FAILED"),
    "basic": ({"Authorization": BASIC}, "AUTHENTICATION_FAILED"),
    "empty token": ({KEY: "Bearer"}, "AUTHENTICATION_FAILED"),
    "both headers": ({KEY: "Bearer demo-key", "Authorization": "Bearer demo-key"}, "AUTHENTICATION_FAILED"),
    "a dummy beside": ({KEY: "Bearer demo-key", "Authorization": "Bearer dummy"}, "AUTHENTICATION_FAILED"),
}


@pytest.mark.parametrize("name", [KEY, "Authorization"])
async def test_either_header_carries_the_key(anonymous: httpx.AsyncClient, name: str) -> None:
    response = await anonymous.post(CHAT, json=HELLO, headers={name: "Bearer demo-key"})
    assert response.status_code == 200


@pytest.mark.parametrize(("headers", "code"), WRONG_CREDENTIALS.values(), ids=WRONG_CREDENTIALS.keys())
async def test_gateway_refuses_other_credentials_in_the_edge_envelope(
    anonymous: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    response = await anonymous.post(CHAT, json=HELLO, headers=headers)
    error = response.json()["error"]
    assert (response.status_code, response.headers["x-blaxel-source"]) == (401, "platform")
    assert (error["code"], error["status"], error["origin"]) == (code, 401, "platform")
    assert (error["retryable"], error["dispatch_state"]) == (False, "not_dispatched")


@pytest.mark.parametrize("wrong", ["none", "wrong key"])
async def test_control_plane_refuses_other_credentials_in_its_own_form(
    anonymous: httpx.AsyncClient, wrong: str
) -> None:
    headers, code = WRONG_CREDENTIALS[wrong]
    response = await anonymous.get("/v0/models", headers=PAGED | headers)
    body = response.json()
    assert (response.status_code, response.headers["x-blaxel-error-code"]) == (401, code)
    assert (body["error"], body["code"]) == ("Unauthorized", 401)


async def test_two_values_of_one_header_are_refused(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post(CHAT, json=HELLO, headers=[(KEY, "Bearer demo-key"), (KEY, "Bearer demo-key")])
    assert response.json()["error"]["code"] == "AUTHENTICATION_FAILED"


async def test_a_path_that_is_not_served_is_still_for_callers_with_credentials_only(
    anonymous: httpx.AsyncClient,
) -> None:
    assert (await anonymous.get("/v0/nothing", headers=PAGED)).status_code == 401
    assert (await anonymous.get("/nothing")).status_code == 401


async def test_minted_token_is_accepted_until_it_is_revoked(anonymous: httpx.AsyncClient, emulator: Emulator) -> None:
    anonymous.headers[KEY] = f"Bearer {emulator.mint_token()}"
    assert (await anonymous.post(CHAT, json=HELLO)).status_code == 200
    emulator.revoke_tokens()
    refused = await anonymous.post(CHAT, json=HELLO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "TOKEN_REVOKED")


async def test_token_is_refused_from_its_expiry_on(anonymous: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.now = lambda: 1_000.0
    anonymous.headers[KEY] = f"Bearer {emulator.mint_token()}"
    emulator.now = lambda: 8_199.0
    assert (await anonymous.post(CHAT, json=HELLO)).status_code == 200
    emulator.now = lambda: 8_200.0
    refused = await anonymous.post(CHAT, json=HELLO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "AUTHENTICATION_FAILED")


# The token endpoint


GRANTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "Basic header": ({"Authorization": BASIC}, {"grant_type": "client_credentials"}),
    "id and secret in the body": (
        {},
        {"grant_type": "client_credentials", "client_id": "demo-client", "client_secret": "demo-secret"},
    ),
    "device login": (
        {},
        {
            "grant_type": "refresh_token",
            "refresh_token": "demo-refresh",
            "device_code": "demo-device",
            "client_id": "blaxel",
        },
    ),
    "device login without a client id": (
        {},
        {"grant_type": "refresh_token", "refresh_token": "demo-refresh", "device_code": "demo-device"},
    ),
}


@pytest.mark.parametrize(("headers", "body"), GRANTS.values(), ids=GRANTS.keys())
async def test_grant_gives_a_token_that_opens_the_gateway(
    anonymous: httpx.AsyncClient, emulator: Emulator, headers: dict[str, str], body: dict[str, str]
) -> None:
    emulator.now = lambda: 1_000.0
    reply = (await anonymous.post(TOKEN, json=body, headers=headers)).json()
    assert reply.keys() == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert (reply["expires_in"], reply["token_type"]) == (7200, "Bearer")
    claims = json.loads(base64.urlsafe_b64decode(reply["access_token"].split(".")[1] + "=="))
    assert (claims["iat"], claims["exp"]) == (1_000, 8_200)
    call = await anonymous.post(CHAT, json=HELLO, headers={KEY: f"Bearer {reply['access_token']}"})
    assert call.status_code == 200


async def test_service_account_can_refresh_with_the_refresh_token_it_was_given(anonymous: httpx.AsyncClient) -> None:
    first = await anonymous.post(TOKEN, json={"grant_type": "client_credentials"}, headers={"Authorization": BASIC})
    again = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    assert (await anonymous.post(TOKEN, json=again)).status_code == 200


async def test_token_lifetime_can_be_set(anonymous: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.token_lifetime = 60
    reply = await anonymous.post(TOKEN, json={"grant_type": "client_credentials"}, headers={"Authorization": BASIC})
    assert reply.json()["expires_in"] == 60


def _basic(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


REFUSED_GRANTS: dict[str, tuple[dict[str, str], object, str]] = {
    "unknown grant": ({}, {"grant_type": "password"}, "unsupported_grant_type"),
    "no grant": ({}, {}, "unsupported_grant_type"),
    "not an object": ({}, ["client_credentials"], "invalid_request"),
    "wrong secret": (_basic("demo-client:other"), {"grant_type": "client_credentials"}, "invalid_client"),
    "unknown client": (_basic("other:demo-secret"), {"grant_type": "client_credentials"}, "invalid_client"),
    "raw pair in the header": (
        {"Authorization": "Basic demo-client:demo-secret"},
        {"grant_type": "client_credentials"},
        "invalid_client",
    ),
    "bearer in the header": (
        {"Authorization": "Bearer demo-key"},
        {"grant_type": "client_credentials"},
        "invalid_client",
    ),
    "no client credentials": ({}, {"grant_type": "client_credentials"}, "invalid_client"),
    "unknown refresh token": ({}, {"grant_type": "refresh_token", "refresh_token": "other"}, "invalid_grant"),
    "no device code": ({}, {"grant_type": "refresh_token", "refresh_token": "demo-refresh"}, "invalid_grant"),
    "another client id": (
        {},
        {
            "grant_type": "refresh_token",
            "refresh_token": "demo-refresh",
            "device_code": "demo-device",
            "client_id": "other",
        },
        "invalid_client",
    ),
}


@pytest.mark.parametrize(("headers", "body", "error"), REFUSED_GRANTS.values(), ids=REFUSED_GRANTS.keys())
async def test_grant_is_refused_as_oauth_does(
    anonymous: httpx.AsyncClient, emulator: Emulator, headers: dict[str, str], body: object, error: str
) -> None:
    response = await anonymous.post(TOKEN, json=body, headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert (emulator.tokens, emulator.token_exchanges) == ({}, 1)


async def test_token_endpoint_takes_json_and_no_form(anonymous: httpx.AsyncClient) -> None:
    form = await anonymous.post(TOKEN, data={"grant_type": "client_credentials"}, headers={"Authorization": BASIC})
    broken = await anonymous.post(TOKEN, content=b"{", headers={"Content-Type": "application/json"})
    assert (form.status_code, form.json()["error"]) == (415, "invalid_request")
    assert (broken.status_code, broken.json()["error"]) == (400, "invalid_request")


# Workspaces


async def test_control_plane_needs_a_workspace(client: httpx.AsyncClient) -> None:
    response = await client.get("/v0/models")
    assert (response.status_code, response.headers["x-blaxel-error-code"]) == (400, "WORKSPACE_REQUIRED")


async def test_control_plane_takes_the_workspace_from_the_query(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v0/models", params={"workspace": "demo"})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "query"),
    [({"X-Blaxel-Workspace": "other"}, {}), ({}, {"workspace": "other"}), (PAGED, {"workspace": "other"})],
    ids=["header", "query", "query against header"],
)
async def test_control_plane_refuses_another_workspace(
    client: httpx.AsyncClient, headers: dict[str, str], query: dict[str, str]
) -> None:
    response = await client.get("/v0/models", headers=headers, params=query)
    assert (response.status_code, response.headers["x-blaxel-error-code"]) == (403, "UNAUTHORIZED_WORKSPACE")


@pytest.mark.parametrize(
    ("path", "workspace"),
    [(CHAT.replace("demo", "other"), "other"), (CHAT, "other"), ("/direct/edge-chat/v1/chat/completions", "other")],
    ids=["unknown in the URL", "header against URL", "own URL"],
)
async def test_gateway_refuses_another_workspace(client: httpx.AsyncClient, path: str, workspace: str) -> None:
    response = await client.post(path, json=HELLO, headers={"X-Blaxel-Workspace": workspace})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "UNAUTHORIZED_WORKSPACE")


async def test_workspace_that_was_added_is_served(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.workspaces.add("other")
    response = await client.post(CHAT.replace("demo", "other"), json=HELLO)
    assert response.status_code == 200


# The control plane


async def names(client: httpx.AsyncClient, **parameters: str | int) -> list[str]:
    response = await client.get("/v0/models", headers=PAGED, params=parameters)
    assert response.status_code == 200, response.text
    return [record["metadata"]["name"] for record in response.json()["data"]]


DEMO_NAMES = list(demo_models())
"""The newest first, as the control plane lists them."""


@pytest.mark.parametrize("version", [{}, {"Blaxel-Version": "2026-04-16"}], ids=["none", "the oldest"])
async def test_list_is_a_bare_array_in_the_oldest_version(client: httpx.AsyncClient, version: dict[str, str]) -> None:
    response = await client.get("/v0/models", headers={"X-Blaxel-Workspace": "demo"} | version)
    assert [record["metadata"]["name"] for record in response.json()] == DEMO_NAMES


@pytest.mark.parametrize("version", ["2026-04-28", "2026-09-22"])
async def test_list_has_pages_in_later_versions(client: httpx.AsyncClient, version: str) -> None:
    response = await client.get("/v0/models", headers=PAGED | {"Blaxel-Version": version})
    meta = {"hasMore": False, "nextCursor": None, "total": len(DEMO_NAMES), "totalIsPartial": False}
    assert response.json()["meta"] == meta
    assert len(response.json()["data"]) == len(DEMO_NAMES)


async def test_unknown_version_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/v0/models", headers=PAGED | {"Blaxel-Version": "2020-01-01"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_api_version")


async def test_pages_give_every_model_once(client: httpx.AsyncClient) -> None:
    seen: list[list[str]] = []
    parameters: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await client.get("/v0/models", headers=PAGED, params=parameters)).json()
        seen.append([record["metadata"]["name"] for record in page["data"]])
        assert page["meta"]["hasMore"] == (page["meta"]["nextCursor"] is not None)
        if not page["meta"]["hasMore"]:
            break
        parameters["cursor"] = page["meta"]["nextCursor"]
    assert seen == [DEMO_NAMES[start : start + 2] for start in range(0, len(DEMO_NAMES), 2)]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("createdAt:desc", DEMO_NAMES),
        ("name:asc", sorted(DEMO_NAMES)),
    ],
)
async def test_list_is_sorted_as_asked(client: httpx.AsyncClient, sort: str, expected: list[str]) -> None:
    assert await names(client, sort=sort) == expected


async def test_list_is_filtered_by_text_and_status(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.models["house-embed"] = replace(emulator.models["house-embed"], status="FAILED")
    assert await names(client, q="HOUSE-E", status="DEPLOYED,FAILED") == [n for n in DEMO_NAMES if "house-e" in n]
    assert await names(client, q="HOUSE-C", status="FAILED") == []
    assert await names(client, status="FAILED,BUILDING") == ["house-embed"]


async def test_cursor_belongs_to_its_query_and_lives_a_day(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.now = lambda: 1_000.0
    first = await client.get("/v0/models", headers=PAGED, params={"limit": 1})
    cursor = first.json()["meta"]["nextCursor"]
    other = await client.get("/v0/models", headers=PAGED, params={"limit": 1, "sort": "name:asc", "cursor": cursor})
    emulator.now = lambda: 1_000.0 + 24 * 3600 + 1
    late = await client.get("/v0/models", headers=PAGED, params={"limit": 1, "cursor": cursor})
    assert [other.status_code, late.status_code] == [400, 400]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"sort": "size:asc"},
        {"q": "x"},
        {"q": "x" * 201},
        {"status": "ASLEEP"},
        {"cursor": "WzFd"},
        {"colour": "red"},
    ],
    ids=str,
)
async def test_list_parameter_out_of_range_is_refused(client: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    response = await client.get("/v0/models", headers=PAGED, params=parameters)
    assert (response.status_code, response.json()["code"]) == (400, 400)


async def test_model_record_is_the_documented_resource(client: httpx.AsyncClient, emulator: Emulator) -> None:
    response = await client.get("/v0/models/edge-chat", headers=PAGED)
    assert response.json() == {
        "metadata": {
            "name": "edge-chat",
            "displayName": "edge-chat",
            "workspace": "demo",
            "labels": {},
            "createdAt": "2026-08-20T10:00:07.000Z",
            "updatedAt": "2026-08-20T10:00:07.000Z",
            "createdBy": "demo-user",
            "updatedBy": "demo-user",
            "url": f"{emulator.url}/direct/edge-chat",
        },
        "spec": {
            "enabled": True,
            "sandbox": False,
            "integrationConnections": ["demo-openai"],
            "policies": [],
            "flavors": [],
            "runtime": {"type": "openai", "model": "gpt-4o-mini", "generation": "mk3"},
        },
        "status": "DEPLOYED",
        "events": [],
    }


async def test_absolute_own_url_is_shown_as_it_is(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.models["far"] = EmulatedModel(name="far", own_url="https://mdl-far.example.test")
    record = (await client.get("/v0/models/far", headers=PAGED)).json()
    assert record["metadata"]["url"] == "https://mdl-far.example.test"


async def test_fault_model_has_a_record_but_is_not_listed(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v0/models/fault-slow-30s", headers=PAGED)).status_code == 200
    assert await names(client, q="fault") == []


@pytest.mark.parametrize("path", ["/v0/models/absent", "/v0/models/fault-absent", "/v0/integrations/absent", "/v0/x"])
async def test_control_plane_answers_404_to_what_it_does_not_have(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers=PAGED)
    assert (response.status_code, response.json()["error"], response.json()["code"]) == (404, "Not Found", 404)


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("openai", list(ENDPOINTS["openai"])),
        ("anthropic", ["/v1/messages"]),
        ("huggingface", ["/"]),
    ],
)
async def test_integration_lists_its_endpoints_by_path(client: httpx.AsyncClient, kind: str, paths: list[str]) -> None:
    integration = (await client.get(f"/v0/integrations/{kind}", headers=PAGED)).json()
    assert list(integration["endpoints"]) == paths
    assert {endpoint["method"] for endpoint in integration["endpoints"].values()} == {"POST"}


# The gateway


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/demo/models/absent/v1/chat/completions", "WORKLOAD_NOT_FOUND"),
        ("/demo/models/edge-chat/v1/chat/completions", "ROUTE_NOT_FOUND"),
        ("/direct/house-chat/v1/chat/completions", "ROUTE_NOT_FOUND"),
        ("/direct/absent/v1/chat/completions", "WORKLOAD_NOT_FOUND"),
        ("/demo/agents/house-chat", "ROUTE_NOT_FOUND"),
        ("/demo", "ROUTE_NOT_FOUND"),
    ],
)
async def test_gateway_answers_404_to_what_it_does_not_serve(client: httpx.AsyncClient, path: str, code: str) -> None:
    response = await client.post(path, json=HELLO)
    assert (response.status_code, response.json()["error"]["code"]) == (404, code)


@pytest.mark.parametrize("change", [{"enabled": False}, {"status": "DEPLOYING"}], ids=str)
async def test_model_that_does_not_serve_is_unavailable_for_now(
    client: httpx.AsyncClient, emulator: Emulator, change: dict[str, Any]
) -> None:
    emulator.models["house-chat"] = replace(emulator.models["house-chat"], **change)
    response = await client.post(CHAT, json=HELLO)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["retryable"]) == (404, "WORKLOAD_UNAVAILABLE", True)


async def test_sandbox_model_serves_chat_completions_alone(client: httpx.AsyncClient) -> None:
    allowed = await client.post("/demo/models/sandbox-openai/v1/chat/completions", json=HELLO)
    refused = await client.post("/demo/models/sandbox-openai/chat/completions", json=HELLO)
    assert allowed.status_code == 200
    assert (refused.status_code, refused.text) == (403, "Endpoint not allowed on sandbox model")
    assert refused.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["", "/", "/chat/completions", "/v1/chat/completions/"])
async def test_path_that_the_provider_does_not_have_is_its_own_404(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(f"/demo/models/house-chat{path}", json=HELLO)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")
    assert "x-blaxel-source" not in response.headers


async def test_other_method_is_refused_by_the_provider(client: httpx.AsyncClient) -> None:
    response = await client.get(CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_supported")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_body_that_is_not_announced_as_json_is_refused(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(CHAT, content=json.dumps(HELLO), headers={"Content-Type": content_type})
    assert response.status_code == 415


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"n": NaN}', b'{"n": 1e999}', b'"\xff"', b'{"user": "\\ud800"}', b"[" * 100_000],
    ids=["cut", "array", "NaN", "infinite", "not UTF-8", "lone surrogate", "deep"],
)
async def test_body_that_is_no_json_object_is_refused_by_the_provider(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_provider_refuses_in_its_own_style(client: httpx.AsyncClient) -> None:
    response = await client.post(CLASSIFY, content=b"{", headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()) == (
        400,
        {"error": "The JSON body of the request could not be parsed."},
    )


async def test_body_over_the_limit_is_refused_by_the_platform(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.max_request_bytes = 10
    within = await client.post(CHAT, content=b"x" * 10)
    over = await client.post(CHAT, content=b"x" * 11)
    assert (within.status_code, over.status_code) == (415, 413)
    assert over.json()["error"]["code"] == "REQUEST_ENTITY_TOO_LARGE"
    assert emulator.requests[-1].body == b"x" * 10


HOSTILE_PATHS = [
    b"/demo/models/house-chat/../house-embed",
    b"/demo/models/house-chat//v1",
    b"/demo/models/house-chat/v1%0d%0aX:y",
    b"/v0/models/%2e%2e/models",
]


async def send_raw(emulator: Emulator, target: bytes) -> bytes:
    """Send a target as it stands, since an HTTP client would mend it, and return the response."""
    port = int(emulator.url.rpartition(":")[2])
    with anyio.fail_after(30):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            head = b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo-key\r\n" % target
            await stream.send(head + b"X-Blaxel-Workspace: demo\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return b"".join([chunk async for chunk in stream])


@pytest.mark.parametrize("target", HOSTILE_PATHS)
async def test_path_that_could_be_read_two_ways_is_refused(emulator: Emulator, target: bytes) -> None:
    assert (await send_raw(emulator, target)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "target",
    [b"/demo/models/house%2Dchat/v1/chat/completions", b"/demo/models/house-chat/v1/chat/completions?a=../b"],
)
async def test_path_with_harmless_escapes_and_query_is_served(emulator: Emulator, target: bytes) -> None:
    assert (await send_raw(emulator, target)).startswith(b"HTTP/1.1 415 ")


# Chat completions


async def test_chat_completion_is_openais(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.now = lambda: 1_000.0
    completion = await chat(client, model="gpt-4o-mini")
    assert completion.pop("id").startswith("chatcmpl-")
    content = 'You said: "Hello there" I read 1 message with 11 characters.'
    assert completion == {
        "object": "chat.completion",
        "created": 1_000,
        "model": "gpt-4o-mini",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 11, "total_tokens": 13},
    }


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 17 * 23?", "17 * 23 = 391"),
        ("calculate (1 + 2) x 3 =", "(1 + 2) x 3 = 9"),
        ("how much is 10 ÷ 4?", "10 ÷ 4 = 2.5"),
        ("What is 1/0?", "1/0 has no value: it divides by zero."),
        ("Reverse the word: Blaxel", "lexalB"),
        ("How many words are in one two three?", "I count 3 words."),
        ("count the words in: one", "I count 1 word."),
    ],
)
async def test_answer_is_worked_out_from_the_question(client: httpx.AsyncClient, question: str, answer: str) -> None:
    assert await say(client, question) == answer


async def test_answer_tells_what_it_read(client: httpx.AsyncClient) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": "Look"}, image]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": parts}]
    completion = await chat(client, messages=messages)
    content = completion["choices"][0]["message"]["content"]
    assert content == 'You said: "Look" I read 2 messages with 12 characters and 1 image.'


async def test_answer_ends_at_max_tokens(client: httpx.AsyncClient) -> None:
    completion = await chat(client, max_tokens=3)
    choice = completion["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ('You said: "Hello', "length")
    assert completion["usage"]["completion_tokens"] == 3


async def test_answer_ends_before_a_stop_text(client: httpx.AsyncClient) -> None:
    completion = await chat(client, stop=["characters", " there"])
    assert completion["choices"][0]["message"]["content"] == 'You said: "Hello'
    assert completion["choices"][0]["finish_reason"] == "stop"


async def test_n_choices_are_given_and_counted(client: httpx.AsyncClient) -> None:
    completion = await chat(client, n=3, max_tokens=2)
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2]
    assert completion["usage"]["completion_tokens"] == 6


async def test_json_object_is_answered_with_one(client: httpx.AsyncClient) -> None:
    answer = await say(client, "2 + 2", response_format={"type": "text"})
    messages = [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": "2 + 2"}]
    completion = await chat(client, messages=messages, response_format={"type": "json_object"})
    assert json.loads(completion["choices"][0]["message"]["content"]) == {"answer": answer}


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 2},
        "unit": {"enum": ["C", "F"]},
        "exact": {"type": ["boolean", "null"]},
        "kind": {"const": "forecast"},
        "nothing": {"type": "null"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "ignored": {"type": "string"},
    },
    "required": ["city", "days", "unit", "exact", "kind", "nothing", "tags"],
}


def _schema_value(text: str, days: int) -> dict[str, Any]:
    fixed = {"unit": "C", "exact": True, "kind": "forecast", "nothing": None}
    return {"city": text, "days": days, "tags": [text]} | fixed


async def test_json_schema_is_answered_with_a_value_that_satisfies_it(client: httpx.AsyncClient) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
    answer = await say(client, "reverse 7", response_format=response_format)
    assert json.loads(answer) == _schema_value("7", 7)


TOOLS = [
    {"type": "function", "function": {"name": "other"}},
    {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}},
]


@pytest.mark.parametrize(
    ("tool_choice", "name", "arguments"),
    [
        ({"type": "function", "function": {"name": "weather"}}, "weather", _schema_value("Hello there", 2)),
        ("required", "other", {}),
    ],
    ids=["named", "required"],
)
async def test_forced_tool_is_called(
    client: httpx.AsyncClient, tool_choice: object, name: str, arguments: dict[str, Any]
) -> None:
    completion = await chat(client, tools=TOOLS, tool_choice=tool_choice)
    choice = completion["choices"][0]
    function = choice["message"]["tool_calls"][0]["function"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert (function["name"], json.loads(function["arguments"])) == (name, arguments)


@pytest.mark.parametrize("tool_choice", [None, "auto", "none"])
async def test_tool_that_is_not_forced_is_not_called(client: httpx.AsyncClient, tool_choice: str | None) -> None:
    completion = await chat(client, tools=TOOLS, tool_choice=tool_choice)
    assert completion["choices"][0]["finish_reason"] == "stop"


async def test_stream_adds_up_to_the_whole_answer(client: httpx.AsyncClient) -> None:
    whole = await chat(client)
    response = await client.post(CHAT, json=HELLO | {"stream": True, "stream_options": {"include_usage": True}})
    *events, last = data_of(response.text)
    chunks = [json.loads(event) for event in events]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert (response.headers["content-type"], last) == ("text/event-stream; charset=utf-8", "[DONE]")
    assert "".join(delta.get("content", "") for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert (deltas[0]["role"], chunks[-2]["choices"][0]["finish_reason"]) == ("assistant", "stop")
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])


async def test_stream_has_no_usage_unless_asked(client: httpx.AsyncClient) -> None:
    response = await client.post(CHAT, json=HELLO | {"stream": True})
    assert "usage" not in response.text


async def test_stream_carries_a_tool_call(client: httpx.AsyncClient) -> None:
    response = await client.post(CHAT, json=HELLO | {"stream": True, "tools": TOOLS, "tool_choice": "required"})
    first = json.loads(data_of(response.text)[0])["choices"][0]["delta"]
    assert [(call["index"], call["function"]["name"]) for call in first["tool_calls"]] == [(0, "other")]


def _message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hello"} | fields]}


REFUSED_CHATS: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": None}, "messages"),
    "messages empty": ({"messages": []}, "messages"),
    "no role": ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
    "unknown role": (_message(role="robot"), "messages[0].role"),
    "no content": (_message(content=None), "messages[0].content"),
    "no parts": (_message(content=[]), "messages[0].content"),
    "unknown part": (_message(content=[{"type": "smell"}]), "messages[0].content[0].type"),
    "tool message without id": (_message(role="tool"), "messages[0].tool_call_id"),
    "unknown field": ({"prompt": "Hello"}, "prompt"),
    "temperature too high": ({"temperature": 2.1}, "temperature"),
    "n zero": ({"n": 0}, "n"),
    "n with a decimal point": ({"n": 1.0}, "n"),
    "n a boolean": ({"n": True}, "n"),
    "temperature a boolean": ({"temperature": True}, "temperature"),
    "both limits": ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    "five stops": ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    "stream options without stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "unknown format": ({"response_format": {"type": "xml"}}, "response_format.type"),
    "json_object without the word": ({"response_format": {"type": "json_object"}}, "messages"),
    "schema not valid": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"required": 5}}}},
        "response_format.json_schema.schema",
    ),
    "tools empty": ({"tools": []}, "tools"),
    "tool of another type": ({"tools": [{"type": "shell"}]}, "tools[0].type"),
    "tool name not valid": (
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name",
    ),
    "tool name with a line end": (
        {"tools": [{"type": "function", "function": {"name": "a\n"}}]},
        "tools[0].function.name",
    ),
    "tool parameters not valid": (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "thing"}}}]},
        "tools[0].function.parameters",
    ),
    "choice without tools": ({"tool_choice": "auto"}, "tool_choice"),
    "choice of an absent tool": (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "absent"}}},
        "tool_choice.function.name",
    ),
}


@pytest.mark.parametrize(("fields", "param"), REFUSED_CHATS.values(), ids=REFUSED_CHATS.keys())
async def test_chat_body_is_refused_as_openai_does(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str
) -> None:
    response = await client.post(CHAT, json=HELLO | fields)
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)


async def test_model_must_be_the_providers_id_on_the_gateway(client: httpx.AsyncClient) -> None:
    response = await client.post(CHAT, json=HELLO | {"model": "house-chat"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_model_must_be_blaxels_name_at_its_own_url(client: httpx.AsyncClient) -> None:
    url = "/direct/edge-chat/v1/chat/completions"
    named = await client.post(url, json=HELLO | {"model": "edge-chat"})
    other = await client.post(url, json=HELLO | {"model": "gpt-4o-mini"})
    assert (named.status_code, other.status_code) == (200, 404)


async def test_model_does_only_what_the_provider_offers_it_for(client: httpx.AsyncClient) -> None:
    chat_of_embed = await client.post("/demo/models/house-embed/v1/chat/completions", json=HELLO)
    embed_of_chat = await client.post("/demo/models/house-chat/v1/embeddings", json={"input": "Hello"})
    assert (chat_of_embed.status_code, embed_of_chat.status_code) == (404, 403)


# Embeddings


async def vectors(client: httpx.AsyncClient, *texts: str, **fields: Any) -> list[Any]:
    response = await client.post(EMBED, json={"input": list(texts)} | fields)
    assert response.status_code == 200, response.text
    return [entry["embedding"] for entry in response.json()["data"]]


def product(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_embeddings_are_openais(client: httpx.AsyncClient) -> None:
    body = {"input": "one", "model": "text-embedding-3-small", "dimensions": 1}
    response = await client.post(EMBED, json=body)
    embedding = response.json()["data"][0].pop("embedding")
    assert embedding in ([1.0], [-1.0])
    assert response.json() | {"data": []} == {
        "object": "list",
        "data": [],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


async def test_each_text_gets_a_vector_of_length_one(client: httpx.AsyncClient) -> None:
    found = await vectors(client, "one", "two words", "!?")
    assert [len(vector) for vector in found] == [1536, 1536, 1536]
    assert [math.hypot(*vector) for vector in found] == pytest.approx([1.0, 1.0, 1.0])


async def test_words_that_cancel_each_other_still_give_a_vector(client: httpx.AsyncClient) -> None:
    found = await vectors(client, *(f"first second{number}" for number in range(20)), dimensions=1)
    assert {abs(value) for [value] in found} == {1.0}


async def test_texts_that_share_words_are_nearer(client: httpx.AsyncClient) -> None:
    cat, other_cat, stocks = await vectors(
        client, "the cat sat on the mat", "a cat lay on the mat", "stock prices fell sharply today"
    )
    assert product(cat, other_cat) > 0.5 > product(cat, stocks)


async def test_base64_holds_the_same_floats(client: httpx.AsyncClient) -> None:
    [plain] = await vectors(client, "one two", dimensions=8)
    [encoded] = await vectors(client, "one two", dimensions=8, encoding_format="base64")
    assert list(struct.unpack("<8f", base64.b64decode(encoded))) == pytest.approx(plain)


async def test_model_at_its_own_url_embeds(client: httpx.AsyncClient) -> None:
    response = await client.post("/direct/edge-chat/v1/embeddings", json={"input": "Hello", "model": "edge-chat"})
    assert response.json()["model"] == "edge-chat"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 1537}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "inputs": "a"}, "inputs"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_embedding_body_is_refused_as_openai_does(
    client: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    response = await client.post(EMBED, json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


# The classifier


@pytest.mark.parametrize("path", [CLASSIFY, f"{CLASSIFY}/"], ids=["base", "final slash"])
async def test_classifier_answers_at_the_base_endpoint(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path, json={"inputs": "I love this wonderful day"})
    assert response.json() == [{"label": "POSITIVE", "score": 0.982014}, {"label": "NEGATIVE", "score": 0.017986}]


@pytest.mark.parametrize(
    ("text", "label"),
    [("good", "POSITIVE"), ("awful and slow", "NEGATIVE"), ("not good", "NEGATIVE"), ("not bad at all", "POSITIVE")],
)
async def test_likeliest_label_comes_first(client: httpx.AsyncClient, text: str, label: str) -> None:
    [scores] = (await client.post(CLASSIFY, json={"inputs": [text]})).json()
    assert scores[0]["label"] == label
    assert scores[0]["score"] > scores[1]["score"]


@pytest.mark.parametrize("body", [{"inputs": []}, {"inputs": ["a", 5]}, {"input": "a"}], ids=str)
async def test_classifier_refuses_other_inputs(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await client.post(CLASSIFY, json=body)
    assert (response.status_code, list(response.json())) == (400, ["error"])


# Faults


def _asks(fault: str, request: RecordedRequest) -> bool:
    return fault in request.path


PLATFORM_FAULTS = {
    "fault-401": (401, "AUTHENTICATION_FAILED", False, "not_dispatched"),
    "fault-402": (402, "USAGE_LIMIT_EXCEEDED", False, "not_dispatched"),
    "fault-403": (403, "FORBIDDEN", False, "not_dispatched"),
    "fault-404": (404, "WORKLOAD_NOT_FOUND", False, "not_dispatched"),
    "fault-404-unavailable": (404, "WORKLOAD_UNAVAILABLE", True, "not_dispatched"),
    "fault-413": (413, "REQUEST_ENTITY_TOO_LARGE", False, "not_dispatched"),
    "fault-429": (429, "RATE_LIMIT_EXCEEDED", True, "not_dispatched"),
    "fault-429-body": (429, "RATE_LIMIT_EXCEEDED", True, "not_dispatched"),
    "fault-500": (500, "GATEWAY_INTERNAL_ERROR", False, "dispatched_unknown"),
    "fault-not-dispatched": (503, "ROUTING_UNAVAILABLE", True, "not_dispatched"),
}


async def ask(client: httpx.AsyncClient, fault: str) -> httpx.Response:
    return await client.post(f"/demo/models/{fault}/v1/chat/completions", json=HELLO)


@pytest.mark.parametrize("fault", PLATFORM_FAULTS)
async def test_platform_fault_comes_in_the_edge_envelope(client: httpx.AsyncClient, fault: str) -> None:
    response = await ask(client, fault)
    error = response.json()["error"]
    told = (response.status_code, error["code"], error["safe_to_retry_request"], error["dispatch_state"])
    assert told == PLATFORM_FAULTS[fault]
    assert (error["origin"], response.headers["x-blaxel-source"]) == ("platform", "platform")


async def test_rate_limits_say_in_three_ways_when_to_come_back(client: httpx.AsyncClient) -> None:
    header, body, provider = [await ask(client, f"fault-429{kind}") for kind in ("", "-body", "-provider")]
    assert header.headers["retry-after"] == "7"
    assert ("retry-after" in body.headers, body.json()["error"]["retry_after"]) == (False, 7)
    assert "try again in 20s" in provider.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("fault-401-provider", 401, "invalid_api_key"),
        ("fault-429-provider", 429, "rate_limit_exceeded"),
        ("fault-500-provider", 500, None),
    ],
)
async def test_provider_fault_is_passed_through(
    client: httpx.AsyncClient, fault: str, status: int, code: str | None
) -> None:
    response = await ask(client, fault)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "x-blaxel-source" not in response.headers


async def test_provider_401_quotes_a_key(client: httpx.AsyncClient) -> None:
    assert "sk-" in (await ask(client, "fault-401-provider")).text


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        ("fault-403-text", 403, "text/plain; charset=utf-8", b"Endpoint not allowed on sandbox model"),
        ("fault-502-empty", 502, None, b""),
        ("fault-204", 204, None, b""),
        ("fault-empty-200", 200, "application/json", b""),
        ("fault-text", 200, "text/plain; charset=utf-8", b"Just a sentence."),
        ("fault-not-json", 200, "application/json", b'{"choices": [{"index": 0, "message": '),
        ("fault-array", 200, "application/json", b'[{"label": "POSITIVE", "score": 0.9}, [1, 2], null]'),
    ],
)
async def test_odd_answer_comes_byte_for_byte(
    client: httpx.AsyncClient, fault: str, status: int, content_type: str | None, body: bytes
) -> None:
    response = await ask(client, fault)
    assert (response.status_code, response.headers.get("content-type"), response.content) == (
        status,
        content_type,
        body,
    )


@pytest.mark.parametrize(("fault", "status"), [("fault-html-504", 504), ("fault-html-200", 200)])
async def test_html_page_comes_in_place_of_json(client: httpx.AsyncClient, fault: str, status: int) -> None:
    response = await ask(client, fault)
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert response.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(("fault", "status"), [("fault-201", 201), ("fault-gzip", 200), ("fault-slow-0s", 200)])
async def test_unusual_success_holds_a_completion(client: httpx.AsyncClient, fault: str, status: int) -> None:
    response = await ask(client, fault)
    assert (response.status_code, response.json()["object"]) == (status, "chat.completion")


async def test_numbers_come_as_they_are_written(client: httpx.AsyncClient) -> None:
    text = (await ask(client, "fault-numbers")).text
    assert text.startswith('{"zeta": 9007199254740993, "alpha": -0.0, "big": 123456789012345678901234567890, ')
    assert json.loads(text)["text"] == "Zoë \N{GRINNING FACE}"


async def test_png_is_a_picture_of_one_pixel(client: httpx.AsyncClient) -> None:
    response = await ask(client, "fault-png")
    picture = response.content
    assert (response.headers["content-type"], picture[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (1, 1)
    assert struct.unpack(">I", picture[29:33]) == (zlib.crc32(picture[12:29]),)


async def test_headers_are_echoed_credentials_included(client: httpx.AsyncClient) -> None:
    assert (await ask(client, "fault-echo-headers")).json()["headers"][KEY.lower()] == "Bearer demo-key"


async def test_redirect_points_to_another_origin_that_would_notice(
    client: httpx.AsyncClient, emulator: Emulator
) -> None:
    response = await ask(client, "fault-redirect")
    target = emulator.url.replace("127.0.0.1", "localhost") + "/elsewhere"
    assert (response.status_code, response.headers["location"]) == (307, target)


async def test_flood_is_as_long_as_its_name_says(client: httpx.AsyncClient) -> None:
    answer = (await ask(client, "fault-flood-2")).json()
    assert len(answer["output"]) == 2 * 1024 * 1024


async def test_gzip_bomb_expands_far_beyond_what_is_sent(client: httpx.AsyncClient) -> None:
    received = expanded = 0
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    async with client.stream("POST", "/demo/models/fault-gzip-bomb-64", json={}) as response:
        async for chunk in response.aiter_raw():
            received += len(chunk)
            expanded += len(decoder.decompress(chunk))
    assert expanded == 64 * 1024 * 1024 + len('{"output": ""}')
    assert received < 1024 * 1024


async def test_truncated_gzip_ends_too_soon(client: httpx.AsyncClient) -> None:
    async with client.stream("POST", "/demo/models/fault-truncated-gzip", json={}) as response:
        content = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    with pytest.raises(EOFError):
        gzip.decompress(content)


@pytest.mark.parametrize("fault", ["fault-drop", "fault-truncated"])
async def test_cut_connection_is_the_emulators_doing(client: httpx.AsyncClient, emulator: Emulator, fault: str) -> None:
    with anyio.fail_after(30), pytest.raises(httpx.RemoteProtocolError):
        await ask(client, fault)
    assert emulator.requests[-1].aborted is False


async def test_truncated_answer_announces_more_than_it_sends(emulator: Emulator) -> None:
    answer = await send_raw(emulator, b"/demo/models/fault-truncated")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body) + 1000}".encode() in head


@pytest.mark.parametrize("fault", ["fault-drip", "fault-slow-3600s"])
async def test_caller_who_goes_away_is_noticed(client: httpx.AsyncClient, emulator: Emulator, fault: str) -> None:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, client, fault)
            request = await emulator.wait_for(partial(_asks, fault))
            assert request.aborted is False
            group.cancel_scope.cancel()
        await request.wait_aborted()
    assert request.aborted is True


async def test_drip_sends_its_headers_and_a_byte_at_once(client: httpx.AsyncClient) -> None:
    with anyio.fail_after(30):
        async with client.stream("POST", "/demo/models/fault-drip", json={}) as response:
            assert await anext(response.aiter_raw()) == b" "


async def test_model_of_an_unknown_fault_does_not_exist(client: httpx.AsyncClient) -> None:
    assert (await ask(client, "fault-absent")).json()["error"]["code"] == "WORKLOAD_NOT_FOUND"


# What is recorded


async def test_request_is_recorded_as_it_came(client: httpx.AsyncClient, emulator: Emulator) -> None:
    headers = [("X-Twice", "1"), ("X-Twice", "2")]
    response = await client.post("/demo/models/house%2Dchat/a%20b?x=%2e", content=b"abc", headers=headers)
    [request] = emulator.requests
    assert (request.method, request.path) == ("POST", "/demo/models/house-chat/a b")
    assert (request.raw_path, request.body) == (b"/demo/models/house%2Dchat/a%20b?x=%2e", b"abc")
    assert request.header_values("x-twice") == ["1", "2"]
    assert (request.aborted, request.request_id) == (False, response.headers["x-cf-request-id"])


async def test_every_answer_has_its_own_request_id(client: httpx.AsyncClient) -> None:
    paths = [CHAT, "/v0/models", TOKEN, "/demo/models/fault-text", "/nowhere"]
    ids = [(await client.post(path, json=HELLO)).headers["x-cf-request-id"] for path in paths]
    assert len(set(ids)) == len(paths)


async def test_only_the_latest_requests_are_kept(client: httpx.AsyncClient, emulator: Emulator) -> None:
    emulator.requests_kept = 2
    for number in range(3):
        await client.get(f"/{number}")
    assert [request.path for request in emulator.requests] == ["/1", "/2"]


async def test_the_bodies_of_kept_requests_have_a_size_that_they_do_not_exceed(
    client: httpx.AsyncClient, emulator: Emulator
) -> None:
    emulator.bytes_kept = 1000

    sizes = []
    for size in (400, 500, 2000, 600, 300, 90):
        await client.post("/none", content=b"x" * size)
        sizes.append([len(request.body) for request in emulator.requests])
        if size == 600:
            emulator.requests.clear()

    assert sizes == [[400], [400, 500], [2000], [600], [300], [300, 90]]


async def test_upload_that_breaks_off_is_recorded_as_aborted(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with anyio.fail_after(30):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        request = await emulator.wait_for(lambda request: request.aborted)
    assert request.body == b"abc"


async def test_waiting_for_a_request_that_never_comes_ends(emulator: Emulator) -> None:
    with pytest.raises(TimeoutError):
        await emulator.wait_for(lambda _request: True, timeout_seconds=0)


# An upstream server


class ScriptedUpstream(Upstream):
    """Answers every post alike, and keeps what it was sent."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []

    async def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        self.posts.append((path, json.loads(body)))
        return 418, "application/teapot", b"short and stout"


@pytest.mark.parametrize(
    ("url", "path", "body", "model"),
    [
        (CHAT, "/v1/chat/completions", HELLO, "gpt-4o-mini"),
        (EMBED, "/v1/embeddings", {"input": "Hello"}, "text-embedding-3-small"),
        ("/direct/edge-chat/v1/chat/completions", "/v1/chat/completions", HELLO | {"model": "edge-chat"}, "edge-chat"),
    ],
    ids=["chat", "embeddings", "own URL"],
)
async def test_upstream_answers_in_the_emulators_place(url: str, path: str, body: dict[str, Any], model: str) -> None:
    upstream = ScriptedUpstream()
    async with run_emulator(upstream=upstream) as emulator, httpx.AsyncClient(verify=TLS) as client:
        response = await client.post(emulator.url + url, json=body, headers={KEY: "Bearer demo-key"})
    assert (response.status_code, response.headers["content-type"]) == (418, "application/teapot")
    assert response.content == b"short and stout"
    assert upstream.posts == [(path, body | {"model": model})]


async def test_upstream_is_not_asked_what_the_emulator_refuses() -> None:
    upstream = ScriptedUpstream()
    async with run_emulator(upstream=upstream) as emulator, httpx.AsyncClient(verify=TLS) as client:
        refused = [
            await client.post(emulator.url + CHAT, json=HELLO),
            await client.post(emulator.url + CHAT, json={"messages": []}, headers={KEY: "Bearer demo-key"}),
            await client.post(emulator.url + EMBED, json={"input": ""}, headers={KEY: "Bearer demo-key"}),
        ]
    assert ([response.status_code for response in refused], upstream.posts) == ([401, 400, 400], [])


# Serving


async def test_urls_lead_to_the_emulator(emulator: Emulator) -> None:
    assert emulator.url.startswith("http://127.0.0.1:")
    assert (emulator.run_url, emulator.api_url) == (emulator.url, f"{emulator.url}/v0")


async def test_taken_port_is_told_clearly(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match=rf"^The emulator cannot listen on 127\.0\.0\.1 port {port}: "):
        async with run_emulator(port=port):
            pass


async def test_port_is_free_again_afterwards() -> None:
    async with run_emulator() as first:
        port = int(first.url.rpartition(":")[2])
    async with run_emulator(port=port) as second:
        assert second.url == first.url


async def test_emulator_that_was_prepared_is_served() -> None:
    prepared = Emulator(now=lambda: 5.0)
    prepared.api_keys = {"other-key"}
    async with run_emulator(emulator=prepared) as emulator, httpx.AsyncClient(verify=TLS) as client:
        response = await client.post(emulator.url + CHAT, json=HELLO, headers={KEY: "Bearer other-key"})
    assert emulator is prepared
    assert response.json()["created"] == 5


async def test_leaving_ends_at_once_with_requests_in_flight() -> None:
    cut: list[type[Exception]] = []

    async def call(client: httpx.AsyncClient, fault: str) -> None:
        try:
            await ask(client, fault)
        except httpx.HTTPError as error:
            cut.append(type(error))

    headers = {KEY: "Bearer demo-key"}
    with anyio.fail_after(30):
        async with AsyncExitStack() as stack:
            emulator = await stack.enter_async_context(run_emulator())
            async with (
                httpx.AsyncClient(base_url=emulator.url, headers=headers, verify=TLS) as client,
                anyio.create_task_group() as group,
            ):
                for fault in ("fault-slow-3600s", "fault-drip"):
                    group.start_soon(call, client, fault)
                    await emulator.wait_for(partial(_asks, fault))
                started = anyio.current_time()
                await stack.aclose()
                assert anyio.current_time() - started < 1
    assert len(cut) == 2
    assert all(request.aborted for request in emulator.requests)


async def test_application_runs_under_another_server() -> None:
    transport = httpx.ASGITransport(create_app(Emulator()))
    async with httpx.AsyncClient(transport=transport, base_url="http://other") as client:
        response = await client.post(CHAT, json=HELLO, headers={KEY: "Bearer demo-key"})
    assert response.status_code == 200


async def test_error_inside_the_context_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with run_emulator():
            raise KeyError("mine")


async def test_two_emulators_share_nothing() -> None:
    async with run_emulator() as one, run_emulator() as other:
        one.models.clear()
        one.api_keys.clear()
    assert (list(other.models), other.api_keys) == (DEMO_NAMES, {"demo-key"})


def test_recorded_request_shows_no_more_than_was_sent() -> None:
    request = RecordedRequest(request_id="1", method="GET", path="/", raw_path=b"/", headers=[])
    assert (request.body, request.oversized, request.aborted) == (b"", False, False)
