"""Who is let in over HTTP with a static token, with a Blaxel key of its own, by the platform, or on this machine."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.auth.caller_auth import MIN_TOKEN_CHARS
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.login_file import LoginEntry, LoginFile
from tests.support.canaries import CALLER_KEY, CLIENT_CREDENTIALS, CLIENT_SECRET, HTTP_TOKEN, KEY, REFRESH_TOKEN
from tests.support.connecting import ERAS, Era, answer_of, leading_to, receipt_of, text_of
from tests.support.http_serving import Served, answer_to_42, message, serving

pytestmark = pytest.mark.anyio

OTHER_TOKEN = f"{HTTP_TOKEN}-of-somebody-else"


def with_tokens(emulator: Emulator, *tokens: str, **settings: Any) -> Configuration:
    http = {"auth": "token", "bearer_tokens": [SecretStr(token) for token in tokens]}
    return leading_to(emulator, http=http, **settings)


def for_callers(emulator: Emulator) -> Configuration:
    return leading_to(emulator, http={"auth": "caller"}, api_key=None)


async def listed(served: Served, *headers: tuple[str, str]) -> httpx.Response:
    """The answer to one request with these headers."""
    body, usual = message("tools/list", "2026-07-28")
    async with served.http(usual) as http:
        return await http.post("/mcp", content=body, headers=list(headers))


def sent_keys(emulator: Emulator) -> set[str]:
    """The credentials that reached Blaxel."""
    return {value for request in emulator.requests for value in request.header_values("x-blaxel-authorization")}


@pytest.mark.parametrize("era", ERAS)
async def test_each_of_the_tokens_lets_in_and_none_of_them_is_sent_to_blaxel(emulator: Emulator, era: Era) -> None:
    async with serving(with_tokens(emulator, HTTP_TOKEN, OTHER_TOKEN)) as served:
        for token in (HTTP_TOKEN, OTHER_TOKEN):
            async with served.client(era, {"authorization": f"Bearer {token}"}) as client:
                result = await answer_to_42(client)
                assert "42" in answer_of(result)["choices"][0]["message"]["content"]

    assert sent_keys(emulator) == {f"Bearer {KEY}"}
    assert HTTP_TOKEN not in str([request.headers for request in emulator.requests])


@pytest.mark.parametrize(
    ("headers", "error", "description"),
    [
        pytest.param(
            (),
            "unauthorized",
            "Send the header `Authorization: Bearer TOKEN` with one of the tokens configured on this server.",
            id="none",
        ),
        pytest.param(
            (("authorization", f"Bearer {HTTP_TOKEN}x"),),
            "invalid_token",
            "The token is not configured on this server.",
            id="a wrong one",
        ),
        pytest.param(
            (("authorization", f"Bearer {KEY}"),),
            "invalid_token",
            "The token is not configured on this server.",
            id="ours",
        ),
        pytest.param(
            (("x-blaxel-authorization", f"Bearer {HTTP_TOKEN}"),),
            "unauthorized",
            "Send the header `Authorization: Bearer TOKEN` with one of the tokens configured on this server.",
            id="in another header",
        ),
        *(
            pytest.param(
                headers,
                "invalid_request",
                "Send one header `Authorization: Bearer TOKEN` with one of the tokens configured on this server.",
                id=name,
            )
            for name, headers in {
                "another scheme": (("authorization", f"Basic {HTTP_TOKEN}"),),
                "no scheme": (("authorization", HTTP_TOKEN),),
                "no token": (("authorization", "Bearer"),),
                "two words": (("authorization", f"Bearer {HTTP_TOKEN} x"),),
                "twice": (("authorization", f"Bearer {HTTP_TOKEN}"), ("authorization", f"Bearer {HTTP_TOKEN}")),
            }.items()
        ),
    ],
)
async def test_without_one_of_the_tokens_nobody_is_let_in_and_the_answer_says_what_to_send(
    emulator: Emulator, headers: tuple[tuple[str, str], ...], error: str, description: str
) -> None:
    async with serving(with_tokens(emulator, HTTP_TOKEN)) as served:
        answer = await listed(served, *headers)

    assert answer.status_code == 401
    assert answer.json() == {"error": error, "error_description": description}
    challenge = answer.headers["www-authenticate"]
    told = f', error="{error}", error_description="{description}"' if error != "unauthorized" else ""
    assert challenge == f'Bearer realm="blaxel-mcp"{told}'
    assert answer.headers["cache-control"] == "no-store"
    assert emulator.requests == [] or sent_keys(emulator) == {f"Bearer {KEY}"}


async def test_the_name_of_the_scheme_may_be_in_small_letters(emulator: Emulator) -> None:
    async with serving(with_tokens(emulator, HTTP_TOKEN)) as served:
        assert (await listed(served, ("authorization", f"bearer  {HTTP_TOKEN}"))).status_code == 200


async def test_the_probes_ask_nobody_who_they_are(emulator: Emulator) -> None:
    async with serving(with_tokens(emulator, HTTP_TOKEN)) as served, served.http() as http:
        assert [(await http.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]


async def test_a_caller_with_a_token_cannot_bring_a_key_or_a_workspace(emulator: Emulator) -> None:
    emulator.workspaces.add("other")
    headers = {
        "authorization": f"Bearer {HTTP_TOKEN}",
        "x-blaxel-authorization": f"Bearer {CALLER_KEY}",
        "x-blaxel-workspace": "other",
    }
    async with serving(with_tokens(emulator, HTTP_TOKEN)) as served, served.client(headers=headers) as client:
        result = await answer_to_42(client)

    assert receipt_of(result)["workspace"] == "demo"
    assert sent_keys(emulator) == {f"Bearer {KEY}"}


async def test_two_tokens_are_two_callers_who_do_not_see_each_others_answers(emulator: Emulator) -> None:
    config = with_tokens(emulator, HTTP_TOKEN, OTHER_TOKEN)
    async with (
        serving(config) as served,
        served.client(headers={"authorization": f"Bearer {HTTP_TOKEN}"}) as anna,
        served.client(headers={"authorization": f"Bearer {OTHER_TOKEN}"}) as bert,
    ):
        call_id = receipt_of(await answer_to_42(anna))["call_id"]
        own = await anna.call_tool("read_result", {"call_id": call_id})
        foreign = await bert.call_tool("read_result", {"call_id": call_id})

    assert not own.is_error
    assert foreign.is_error
    assert "is known here" in text_of(foreign)


def login_of(refresh_token: SecretStr) -> LoginFile:
    return LoginFile(Path("config.yaml"), "demo", {"demo": LoginEntry("demo", refresh_token=refresh_token)})


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        pytest.param([], "http.bearer_tokens is empty", id="none"),
        pytest.param(
            ["x" * (MIN_TOKEN_CHARS - 1)], r"http.bearer_tokens\[0\] has fewer than 16 characters", id="short"
        ),
        pytest.param(["x" * 16, ""], r"http.bearer_tokens\[1\] is not a valid token", id="empty"),
        pytest.param(["two words of some length"], r"http.bearer_tokens\[0\] is not a valid token", id="a space"),
        pytest.param(["größer als sechzehn"], r"http.bearer_tokens\[0\] is not a valid token", id="not ASCII"),
        pytest.param([KEY], r"http.bearer_tokens\[0\] is a Blaxel credential", id="the key"),
        pytest.param([CLIENT_CREDENTIALS], r"http.bearer_tokens\[0\] is a Blaxel credential", id="the credentials"),
        pytest.param([CLIENT_SECRET], r"http.bearer_tokens\[0\] is a Blaxel credential", id="half of them"),
        pytest.param([REFRESH_TOKEN], r"http.bearer_tokens\[0\] is a Blaxel credential", id="the login's"),
        pytest.param([CALLER_KEY], r"http.bearer_tokens\[0\] is a Blaxel credential", id="a workspace's key"),
    ],
)
async def test_tokens_that_can_be_guessed_or_are_blaxels_are_refused_at_the_start(
    emulator: Emulator, tokens: list[str], told: str
) -> None:
    workspaces = {"acme-eu": {"api_key": SecretStr(CALLER_KEY)}}
    plain = with_tokens(emulator, *tokens, client_credentials=SecretStr(CLIENT_CREDENTIALS), workspaces=workspaces)
    config = Configuration(plain.settings, login=login_of(refresh_token=SecretStr(REFRESH_TOKEN)))

    with pytest.raises(ConfigurationError, match=told) as error:
        async with serving(config):
            pass

    assert not any(token in str(error.value) for token in tokens if token)
    assert "openssl rand" in str(error.value)


OWN = {"x-blaxel-authorization": f"Bearer {CALLER_KEY}", "x-blaxel-workspace": "demo"}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("spelling", [f"Bearer {CALLER_KEY}", f"bearer {CALLER_KEY}", CALLER_KEY])
async def test_a_caller_with_a_key_of_its_own_is_served_with_it(emulator: Emulator, era: Era, spelling: str) -> None:
    headers = {**OWN, "x-blaxel-authorization": spelling}
    async with serving(for_callers(emulator)) as served, served.client(era, headers) as client:
        result = await answer_to_42(client)

    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert sent_keys(emulator) == {f"Bearer {CALLER_KEY}"}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        pytest.param((), "The header X-Blaxel-Authorization is missing", id="nothing"),
        pytest.param((("authorization", f"Bearer {CALLER_KEY}"),), "X-Blaxel-Authorization is missing", id="elsewhere"),
        pytest.param((("x-blaxel-workspace", "demo"),), "X-Blaxel-Authorization is missing", id="no key"),
        pytest.param((("x-blaxel-authorization", CALLER_KEY),), "X-Blaxel-Workspace is missing", id="no workspace"),
        pytest.param(
            (("x-blaxel-authorization", ""), ("x-blaxel-workspace", "demo")),
            "X-Blaxel-Authorization is missing",
            id="empty",
        ),
        pytest.param(
            (("x-blaxel-authorization", f"Basic {CALLER_KEY}"), ("x-blaxel-workspace", "demo")),
            "is not `Bearer `",
            id="another scheme",
        ),
        *(
            pytest.param(
                (("x-blaxel-authorization", CALLER_KEY), ("x-blaxel-workspace", name)),
                "X-Blaxel-Workspace is not the name of a workspace",
                id=f"the workspace {name[:10]!r}",
            )
            for name in ("..", "a/b", "a b", "a?b", "-a", "%2e%2e", "x" * 129)
        ),
        pytest.param(
            (("x-blaxel-authorization", CALLER_KEY), ("x-blaxel-workspace", "demo"), ("x-blaxel-workspace", "other")),
            "was sent more than once",
            id="two workspaces",
        ),
    ],
)
async def test_a_caller_without_a_key_and_a_workspace_is_told_what_is_missing(
    emulator: Emulator, headers: tuple[tuple[str, str], ...], told: str
) -> None:
    async with serving(for_callers(emulator)) as served:
        answer = await listed(served, *headers)

    assert answer.status_code == 401
    assert told in answer.json()["error_description"]
    assert answer.headers["www-authenticate"].startswith('Bearer realm="blaxel-mcp"')
    assert emulator.requests == []


async def test_a_key_that_blaxel_does_not_take_is_the_callers_own_affair(emulator: Emulator) -> None:
    headers = {**OWN, "x-blaxel-authorization": "Bearer nobody-knows-it"}
    async with serving(for_callers(emulator)) as served, served.client(headers=headers) as client:
        result = await client.call_tool("run_model", {"model": "house-chat", "data": {}})

    assert result.is_error
    assert "authentication_failed" in json.dumps(result.meta)
    assert "X-Blaxel-Authorization" in str(result.content)
