import asyncio
import base64
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from blaxel_mcp.client.auth import Authenticator, TokenReply, WorkspaceAuth
from blaxel_mcp.client.auth.key_command import KEY_COMMAND_BYTES, run_key_command
from blaxel_mcp.client.auth.token_endpoint import check_is_private
from blaxel_mcp.client.auth.tokens import DEFAULT_LIFETIME_SECONDS, RENEWAL_MARGIN_SECONDS, RENEWAL_PAUSE_SECONDS
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, ErrorCode, UpstreamError
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.login_file import LoginFile, read_login_file
from blaxel_mcp.settings.schema import Settings
from tests.support.canaries import CLIENT_CREDENTIALS, CLIENT_ID, CLIENT_SECRET, KEY

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
# Every secret in this file contains the word, so that one search finds any that leaks.
CANARY = "canary"
MODEL_URL = "https://run.blaxel.ai/acme/models/gpt"
TOKEN_URL = "https://api.blaxel.ai/v0/oauth/token"


class Clock:
    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


class TokenEndpoint:
    """Gives canary-7f3a-token-1, canary-7f3a-token-2, ... unless told otherwise, when its gate is open."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.answer: Callable[[int], TokenReply] = granted

    async def __call__(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> TokenReply:
        self.requests.append((url, dict(headers), dict(form)))
        number = len(self.requests)
        await self.gate.wait()
        return self.answer(number)


class Blaxel:
    """Answers any request with 200, or 401 to a token it was told to reject; notes the headers."""

    def __init__(self) -> None:
        self.seen: list[httpx.Headers] = []
        self.rejects: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.headers.copy())
        return httpx.Response(401 if bearer(request.headers) in self.rejects else 200)

    @property
    def tokens(self) -> list[str | None]:
        return [bearer(headers) for headers in self.seen]


def bearer(headers: httpx.Headers) -> str | None:
    value = headers.get("X-Blaxel-Authorization")
    return value.removeprefix("Bearer ") if value is not None else None


def granted(number: int) -> TokenReply:
    return reply(access_token=f"canary-7f3a-token-{number}", expires_in=7200, token_type="Bearer")


def reply(status: int = 200, /, **fields: object) -> TokenReply:
    return TokenReply(status, json.dumps(fields).encode())


def unreachable(_number: int) -> TokenReply:
    raise UpstreamError("No route.", code="network_error", origin="network", retryable=True)


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"canary-7f3a-header.{payload}.signature"


def key_configuration(key: str = KEY) -> Configuration:
    return Configuration(Settings(workspace="acme", api_key=SecretStr(key)), sources={"api_key": "BL_API_KEY"})


def client_configuration(value: str = CLIENT_CREDENTIALS) -> Configuration:
    settings = Settings(workspace="acme", client_credentials=SecretStr(value))
    return Configuration(settings, sources={"client_credentials": "BL_CLIENT_CREDENTIALS"})


def command_configuration(*command: str) -> Configuration:
    settings = Settings(workspace="acme", api_key_command=command)
    return Configuration(settings, sources={"api_key_command": "BLAXEL_MCP_API_KEY_COMMAND"})


def login_configuration(path: Path, **credentials: str) -> Configuration:
    write_login(path, **credentials)
    return Configuration(Settings(workspace="acme"), login=read_login_file(path))


def write_login(path: Path, **credentials: str) -> None:
    entry = {"name": "acme", "credentials": credentials}
    # JSON is YAML.
    path.write_text(json.dumps({"context": {"workspace": "acme"}, "workspaces": [entry]}), encoding="utf-8")


class Signing(httpx.Auth):
    """Signs the requests of an httpx client."""

    def __init__(self, auth: WorkspaceAuth) -> None:
        self._auth = auth

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await self._auth.sign(request)
        yield request


@asynccontextmanager
async def client_for(auth: WorkspaceAuth, blaxel: Blaxel) -> AsyncIterator[httpx.AsyncClient]:
    with anyio.fail_after(30):
        async with httpx.AsyncClient(auth=Signing(auth), transport=httpx.MockTransport(blaxel)) as client:
            yield client


async def call(
    authenticator: Authenticator, blaxel: Blaxel, url: str = MODEL_URL, workspace: str = "acme"
) -> httpx.Response:
    async with client_for(authenticator.for_workspace(workspace), blaxel) as client:
        return await client.post(url)


async def failed_call(authenticator: Authenticator, workspace: str = "acme") -> BlaxelError:
    """Make a call that must fail before it is sent, and return its error after looking for secrets in it."""
    blaxel = Blaxel()
    with pytest.raises(BlaxelError) as caught:
        await call(authenticator, blaxel, workspace=workspace)
    assert blaxel.seen == []
    assert CANARY not in told_by(caught.value)
    return caught.value


def told_by(error: BaseException | None) -> str:
    told = ""
    while error is not None:
        told += f"{error} {error!r} {vars(error)} "
        error = error.__cause__ or error.__context__
    return told


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint() -> TokenEndpoint:
    return TokenEndpoint()


@pytest.fixture
def blaxel() -> Blaxel:
    return Blaxel()


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert [record for record in caplog.get_records("call") if CANARY in record.getMessage()] == []


# Signing


async def test_request_to_blaxel_carries_exactly_one_authentication_header(
    endpoint: TokenEndpoint, blaxel: Blaxel
) -> None:
    auth = Authenticator(key_configuration(), endpoint).for_workspace("acme")
    dummies = [
        ("Authorization", "Bearer dummy"),
        ("x-blaxel-authorization", "Bearer a"),
        ("X-Blaxel-Authorization", "b"),
    ]
    async with client_for(auth, blaxel) as client:
        await client.post(MODEL_URL, headers=dummies)
    (headers,) = blaxel.seen
    assert [(name, value) for name, value in headers.multi_items() if "authorization" in name] == [
        ("x-blaxel-authorization", f"Bearer {KEY}")
    ]
    assert (auth.source, endpoint.requests) == ("BL_API_KEY", [])


async def test_request_to_another_origin_goes_bare(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    auth = Authenticator(client_configuration(), endpoint).for_workspace("acme")
    async with client_for(auth, blaxel) as client:
        await client.get(
            "https://elsewhere.example/", headers={"Authorization": "Bearer x", "X-Blaxel-Authorization": "y"}
        )
    assert [name for name in blaxel.seen[0] if "authorization" in name] == []
    assert endpoint.requests == []


async def test_user_name_in_a_url_does_not_become_a_header(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    await call(Authenticator(key_configuration(), endpoint), blaxel, "https://user:word@elsewhere.example/")
    assert "authorization" not in blaxel.seen[0]


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        pytest.param("https://run.blaxel.ai/acme/models/x?y=z", True, id="run_url"),
        pytest.param("https://api.blaxel.ai/v0/models", True, id="api_url"),
        pytest.param("https://api.blaxel.ai/", True, id="another-path-of-the-origin"),
        pytest.param("HTTPS://RUN.Blaxel.AI/", True, id="capitals"),
        pytest.param("https://run.blaxel.ai:443/", True, id="default-port-spelled-out"),
        pytest.param("https://user@run.blaxel.ai/", True, id="user-name-before-our-host"),
        pytest.param("https://run.blaxel.ai:8443/", False, id="another-port"),
        pytest.param("https://run.blaxel.ai:0/", False, id="port-zero"),
        pytest.param("http://run.blaxel.ai/", False, id="no-tls"),
        pytest.param("http://run.blaxel.ai:443/", False, id="no-tls-on-the-tls-port"),
        pytest.param("https://run.blaxel.ai./", False, id="trailing-dot"),
        pytest.param("https://run.blaxel.ai.example/", False, id="our-host-as-a-prefix"),
        pytest.param("https://evil-run.blaxel.ai/", False, id="our-host-as-a-suffix"),
        pytest.param("https://blaxel.ai/", False, id="parent-domain"),
        pytest.param("https://run.blaxel.ai@elsewhere.example/", False, id="our-host-as-the-user-name"),
        pytest.param("https://elsewhere.example/https://run.blaxel.ai/", False, id="our-url-as-the-path"),
        pytest.param("https://run.bla\u0445el.ai/", False, id="look-alike-letter"),
        pytest.param("//run.blaxel.ai/", False, id="no-scheme"),
        pytest.param("https://run.blaxel.ai:99999/", False, id="impossible-port"),
        pytest.param("https://[run.blaxel.ai/", False, id="broken"),
        pytest.param("https://xn--0.pt/", False, id="broken-international-name"),
        pytest.param("https://[::1]\u2460]/", False, id="brackets-around-more-than-an-address"),
        pytest.param("", False, id="empty"),
    ],
)
async def test_only_the_configured_origins_are_trusted(endpoint: TokenEndpoint, url: str, trusted: bool) -> None:
    assert Authenticator(key_configuration(), endpoint).is_trusted(url) is trusted


@pytest.mark.parametrize(
    ("url", "trusted", "trusted_by_a_remote_one"),
    [
        pytest.param("https://mdl-x-acme.us-pdx-1.bl.run/v1", True, True, id="https"),
        pytest.param("http://mdl-x-acme.us-pdx-1.bl.run/v1", False, False, id="http"),
        pytest.param("http://127.0.0.1:8123/x", True, False, id="loopback"),
        pytest.param("http://127.9.9.9/", True, False, id="loopback-network"),
        pytest.param("http://[::1]:80/", True, False, id="loopback-ipv6"),
        pytest.param("http://localhost:9/", True, False, id="localhost"),
        pytest.param("http://localhost.example/", False, False, id="localhost-as-a-prefix"),
        pytest.param("http://127.0.0.1.example/", False, False, id="loopback-as-a-prefix"),
        pytest.param("http://10.0.0.1/", False, False, id="private-network"),
        pytest.param("https://127.0.0.1:8123/x", True, False, id="loopback-over-tls"),
        pytest.param("https://0x7f.1/", True, False, id="loopback-in-hexadecimal"),
        pytest.param("https://[::ffff:10.0.0.1]/", True, False, id="a-mapped-address"),
        pytest.param("ftp://localhost:2121/", False, False, id="another-scheme"),
        pytest.param("https:///x", False, False, id="no-host"),
        pytest.param("nonsense", False, False, id="not-a-url"),
    ],
)
async def test_model_url_is_trusted_over_tls_or_on_this_machine_only(
    endpoint: TokenEndpoint,
    url: str,
    trusted: bool,
    trusted_by_a_remote_one: bool,
) -> None:
    local = Settings(workspace="acme", api_key=SecretStr(KEY), api_url="http://127.0.0.1:1/v0")
    for config, expected in ((Configuration(local), trusted), (key_configuration(), trusted_by_a_remote_one)):
        authenticator = Authenticator(config, endpoint)
        authenticator.trust(url)
        assert authenticator.is_trusted(url) is expected


async def test_a_name_that_a_remote_control_plane_gave_must_lead_to_a_public_address(endpoint: TokenEndpoint) -> None:
    local = Settings(workspace="acme", api_key=SecretStr(KEY), api_url="http://127.0.0.1:1/v0")
    record, own = "https://mdl-x-acme.us-pdx-1.bl.run/v1", "https://run.blaxel.ai/acme/models/x"
    for config, expected in ((Configuration(local), [None, None]), (key_configuration(), [True, None])):
        authenticator = Authenticator(config, endpoint)
        authenticator.trust(record)
        authenticator.trust(own)
        requests = [httpx.Request("POST", url) for url in (record, own)]
        for request in requests:
            await authenticator.for_workspace("acme").sign(request)
        assert [request.extensions.get("must_be_public") for request in requests] == expected


@pytest.mark.parametrize(
    ("url", "is_private"),
    [
        ("https://api.blaxel.ai/v0/oauth/token", True),
        ("http://127.0.0.1:8/oauth/token", True),
        ("http://api.blaxel.ai/v0/oauth/token", False),
        ("http://localhost.example/oauth/token", False),
        ("http://127.0.0.1@api.example/oauth/token", False),
    ],
)
def test_credentials_go_to_no_clear_text_token_endpoint(url: str, *, is_private: bool) -> None:
    with nullcontext() if is_private else pytest.raises(ConfigurationError, match="it is not an https URL"):
        check_is_private(url)


async def test_international_host_is_trusted_in_both_spellings(endpoint: TokenEndpoint) -> None:
    authenticator = Authenticator(key_configuration(), endpoint)
    authenticator.trust("https://b\u00fccher.example/")
    assert authenticator.is_trusted("https://xn--bcher-kva.example:443/v1")


async def test_trusted_model_url_gets_the_token(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    authenticator = Authenticator(key_configuration(), endpoint)
    await call(authenticator, blaxel, "https://mdl.bl.run/v1/chat")
    authenticator.trust("https://mdl.bl.run")
    await call(authenticator, blaxel, "https://mdl.bl.run/v1/chat")
    assert blaxel.tokens == [None, KEY]


async def test_calls_are_in_flight_together_while_signed(endpoint: TokenEndpoint) -> None:
    together = anyio.Event()
    in_flight = 0

    async def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal in_flight
        in_flight += 1
        if in_flight == 4:
            together.set()
        await together.wait()
        return httpx.Response(200)

    auth = Authenticator(client_configuration(), endpoint).for_workspace("acme")
    with anyio.fail_after(30):
        async with (
            httpx.AsyncClient(auth=Signing(auth), transport=httpx.MockTransport(answer)) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(4):
                group.start_soon(client.post, MODEL_URL)
    assert in_flight == 4


# No credentials, unusable credentials


async def test_call_without_credentials_says_what_is_missing_and_sends_nothing(
    endpoint: TokenEndpoint, blaxel: Blaxel
) -> None:
    authenticator = Authenticator(Configuration(Settings(workspace="acme")), endpoint)
    error = await failed_call(authenticator)
    assert (error.code, authenticator.for_workspace("acme").source) == ("configuration_error", None)
    assert "BL_API_KEY" in str(error)
    await call(authenticator, blaxel, "https://elsewhere.example/")
    assert blaxel.tokens == [None]
    assert await authenticator.for_workspace("acme").renew(httpx.Request("POST", MODEL_URL)) is False


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("bl_canary\r\nX-Evil: 1", id="line-break"),
        pytest.param("bl_canary\u00e9", id="not-ascii"),
        pytest.param("bl_canary bl_other", id="two-words"),
        pytest.param("bl_canary\x00", id="nul"),
    ],
)
@pytest.mark.parametrize("make", [key_configuration, client_configuration], ids=["api-key", "client-credentials"])
async def test_credential_that_no_header_can_carry_is_a_configuration_error_naming_its_source(
    endpoint: TokenEndpoint, make: Callable[[str], Configuration], key: str
) -> None:
    error = await failed_call(Authenticator(make(key), endpoint))
    assert isinstance(error, ConfigurationError)
    assert error.message.startswith("The credential from BL_")
    assert endpoint.requests == []


async def test_whitespace_around_a_key_is_not_part_of_it(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    await call(Authenticator(key_configuration(f" \t{KEY}\r\n"), endpoint), blaxel)
    assert blaxel.tokens == [KEY]


async def test_rejected_api_key_is_not_sent_again(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    blaxel.rejects = {KEY}
    authenticator = Authenticator(key_configuration(), endpoint)
    response = await call(authenticator, blaxel)
    assert await authenticator.for_workspace("acme").renew(response.request) is False
    assert (len(blaxel.seen), endpoint.requests) == (1, [])


# Client credentials


@pytest.mark.parametrize("given", [CLIENT_CREDENTIALS, f"{CLIENT_ID}:{CLIENT_SECRET}"], ids=["base64", "raw-pair"])
async def test_client_credentials_are_exchanged_for_the_token_that_is_sent(
    endpoint: TokenEndpoint, blaxel: Blaxel, given: str
) -> None:
    await call(Authenticator(client_configuration(given), endpoint), blaxel)
    headers, form = {"Authorization": f"Basic {CLIENT_CREDENTIALS}"}, {"grant_type": "client_credentials"}
    assert endpoint.requests == [(TOKEN_URL, headers, form)]
    assert blaxel.tokens == ["canary-7f3a-token-1"]


async def test_hundred_concurrent_calls_share_one_exchange(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    endpoint.gate = anyio.Event()
    authenticator = Authenticator(client_configuration(), endpoint)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(call, authenticator, blaxel)
            await anyio.wait_all_tasks_blocked()
            endpoint.gate.set()
    assert (len(endpoint.requests), blaxel.tokens) == (1, ["canary-7f3a-token-1"] * 100)


async def test_workspaces_with_the_same_credentials_share_one_token(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    authenticator = Authenticator(client_configuration(), endpoint)
    await call(authenticator, blaxel, workspace="acme")
    await call(authenticator, blaxel, workspace="umbrella")
    assert (len(endpoint.requests), blaxel.tokens) == (1, ["canary-7f3a-token-1"] * 2)
    assert authenticator.for_workspace("acme") is authenticator.for_workspace("acme")


async def test_each_workspace_of_the_login_file_has_its_own_key(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    entries = [{"name": name, "credentials": {"apiKey": f"canary-7f3a-{name}"}} for name in ("acme", "umbrella")]
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"workspaces": entries}), encoding="utf-8")
    authenticator = Authenticator(Configuration(Settings(), login=read_login_file(path)), endpoint)
    await call(authenticator, blaxel, workspace="umbrella")
    await call(authenticator, blaxel, workspace="acme")
    assert blaxel.tokens == ["canary-7f3a-umbrella", "canary-7f3a-acme"]
    assert (await failed_call(authenticator, workspace="other")).code == "configuration_error"


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        pytest.param({"expires_in": 7200}, 7200, id="expires-in"),
        pytest.param({"expires_in": 3600.5}, 3600.5, id="fraction"),
        pytest.param({"expires_in": 100}, 100, id="shorter-than-the-margin"),
        pytest.param({}, DEFAULT_LIFETIME_SECONDS, id="nothing-known"),
        pytest.param({"expires_in": None}, DEFAULT_LIFETIME_SECONDS, id="null"),
        pytest.param({"expires_in": True}, DEFAULT_LIFETIME_SECONDS, id="boolean"),
        pytest.param({"expires_in": "soon"}, DEFAULT_LIFETIME_SECONDS, id="text"),
        pytest.param({"expires_in": -5}, DEFAULT_LIFETIME_SECONDS, id="negative"),
        pytest.param({"expires_in": 0}, DEFAULT_LIFETIME_SECONDS, id="zero"),
        pytest.param({"expires_in": float("nan")}, DEFAULT_LIFETIME_SECONDS, id="nan"),
        pytest.param({"expires_in": float("inf")}, DEFAULT_LIFETIME_SECONDS, id="infinite"),
        pytest.param({"expires_in": 10**400}, DEFAULT_LIFETIME_SECONDS, id="absurd"),
        pytest.param({"access_token": jwt(exp=NOW + 5000)}, 5000, id="jwt-exp"),
        pytest.param({"access_token": jwt(iat=5000, exp=9000)}, 4000, id="jwt-of-a-server-with-another-clock"),
        pytest.param({"access_token": jwt(exp=NOW - 1)}, DEFAULT_LIFETIME_SECONDS, id="jwt-born-expired"),
        pytest.param({"access_token": jwt(exp="late")}, DEFAULT_LIFETIME_SECONDS, id="jwt-exp-is-text"),
        pytest.param({"access_token": "canary-7f3a.a.y"}, DEFAULT_LIFETIME_SECONDS, id="jwt-payload-is-not-base64"),
        pytest.param({"access_token": "canary-7f3a.W10.y"}, DEFAULT_LIFETIME_SECONDS, id="jwt-payload-is-a-list"),
    ],
)
async def test_token_is_renewed_its_margin_before_it_expires(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, fields: dict[str, Any], lifetime: float
) -> None:
    endpoint.answer = lambda number: reply(**{"access_token": f"canary-7f3a-{number}", **fields})
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    renewal = NOW + lifetime - min(RENEWAL_MARGIN_SECONDS, lifetime / 2)
    exchanges = []
    for seconds in (NOW, renewal - 1, renewal):
        clock.seconds = seconds
        await call(authenticator, blaxel)
        exchanges.append(len(endpoint.requests))
    assert exchanges == [1, 1, 2]


async def test_renewed_token_replaces_the_old_one_in_a_running_client(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock
) -> None:
    auth = Authenticator(client_configuration(), endpoint, now=clock).for_workspace("acme")
    async with client_for(auth, blaxel) as client:
        await client.post(MODEL_URL)
        clock.seconds += 7200
        await client.post(MODEL_URL)
    assert blaxel.tokens == ["canary-7f3a-token-1", "canary-7f3a-token-2"]


PASSING_FAULTS = [
    pytest.param(unreachable, id="network"),
    *(
        pytest.param(lambda _number, status=status: reply(status, error="down"), id=str(status))
        for status in (404, 408, 429, 500, 503)
    ),
]


@pytest.mark.parametrize("fault", PASSING_FAULTS)
async def test_old_token_serves_while_an_early_renewal_fails_in_passing(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, fault: Callable[[int], TokenReply]
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    await call(authenticator, blaxel)
    endpoint.answer = fault
    clock.seconds += 7200 - RENEWAL_MARGIN_SECONDS
    await call(authenticator, blaxel)
    await call(authenticator, blaxel)
    assert (len(endpoint.requests), blaxel.tokens) == (2, ["canary-7f3a-token-1"] * 3)
    clock.seconds += RENEWAL_PAUSE_SECONDS
    endpoint.answer = granted
    await call(authenticator, blaxel)
    assert (len(endpoint.requests), blaxel.tokens[-1]) == (3, "canary-7f3a-token-3")


async def test_early_renewal_that_failed_for_many_is_logged_once(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    await call(authenticator, blaxel)
    endpoint.answer, endpoint.gate = unreachable, anyio.Event()
    clock.seconds += 7200 - RENEWAL_MARGIN_SECONDS
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call, authenticator, blaxel)
            await anyio.wait_all_tasks_blocked()
            endpoint.gate.set()
    assert blaxel.tokens == ["canary-7f3a-token-1"] * 6
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "An early renewal of the access token failed (network_error); the old token is still used"
    ]


@pytest.mark.parametrize("fault", PASSING_FAULTS)
async def test_expired_token_is_never_sent_when_the_renewal_fails(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, fault: Callable[[int], TokenReply]
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    await call(authenticator, blaxel)
    endpoint.answer = fault
    clock.seconds += 7199
    await call(authenticator, blaxel)
    clock.seconds += 1
    assert (await failed_call(authenticator)).retryable


async def test_credentials_revoked_before_an_early_renewal_fail_the_call(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    await call(authenticator, blaxel)
    endpoint.answer = lambda _number: reply(401, error="invalid_client")
    clock.seconds += 7200 - RENEWAL_MARGIN_SECONDS
    assert (await failed_call(authenticator)).code == "authentication_failed"


async def test_callers_who_waited_for_a_failing_exchange_share_its_failure(endpoint: TokenEndpoint) -> None:
    endpoint.gate = anyio.Event()
    endpoint.answer = lambda _number: reply(503)
    authenticator = Authenticator(client_configuration(), endpoint)
    codes: list[ErrorCode] = []

    async def fail() -> None:
        codes.append((await failed_call(authenticator)).code)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(fail)
            await anyio.wait_all_tasks_blocked()
            endpoint.gate.set()
    assert (len(endpoint.requests), codes) == (1, ["upstream_error"] * 20)
    assert (await failed_call(authenticator)).code == "upstream_error"
    assert len(endpoint.requests) == 2


async def test_cancelled_caller_leaves_its_exchange_to_the_others(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    endpoint.gate = anyio.Event()
    authenticator = Authenticator(client_configuration(), endpoint)
    first = anyio.CancelScope()

    async def cancelled() -> None:
        with first:
            await call(authenticator, blaxel)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(cancelled)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(call, authenticator, blaxel)
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            endpoint.gate.set()
    assert first.cancelled_caught
    assert (len(endpoint.requests), blaxel.tokens) == (1, ["canary-7f3a-token-1"])


async def leave(authenticator: Authenticator, blaxel: Blaxel) -> None:
    """Call, and give up once the exchange waits for the token endpoint."""
    async with anyio.create_task_group() as group:
        group.start_soon(call, authenticator, blaxel)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()


async def test_token_obtained_for_a_caller_who_left_serves_the_next(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    endpoint.gate = anyio.Event()
    authenticator = Authenticator(client_configuration(), endpoint)
    await leave(authenticator, blaxel)
    endpoint.gate.set()
    await call(authenticator, blaxel)
    assert (len(endpoint.requests), blaxel.tokens) == (1, ["canary-7f3a-token-1"])


async def test_failure_that_nobody_waits_for_any_more_is_not_reported_by_asyncio(
    endpoint: TokenEndpoint, blaxel: Blaxel, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.gate = anyio.Event()
    endpoint.answer = unreachable
    await leave(Authenticator(client_configuration(), endpoint), blaxel)
    endpoint.gate.set()
    await anyio.wait_all_tasks_blocked()
    # asyncio reports a forgotten failure when the task that holds it is collected.
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_event_loop_goes_on_during_an_exchange(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    endpoint.gate = anyio.Event()
    authenticator = Authenticator(client_configuration(), endpoint)
    async with anyio.create_task_group() as group:
        group.start_soon(call, authenticator, blaxel)
        await anyio.wait_all_tasks_blocked()
        await call(authenticator, blaxel, "https://elsewhere.example/")
        assert blaxel.tokens == [None]
        endpoint.gate.set()


async def test_exchange_that_does_not_end_is_a_timeout_of_the_network(endpoint: TokenEndpoint) -> None:
    endpoint.gate = anyio.Event()
    error = await failed_call(Authenticator(client_configuration(), endpoint, exchange_seconds=0.01))
    assert (error.code, error.origin, error.retryable, error.billed) == ("timeout", "network", True, "no")


async def test_closing_stops_an_exchange_under_way(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    endpoint.gate = anyio.Event()
    authenticator = Authenticator(client_configuration(), endpoint)
    await leave(authenticator, blaxel)
    with anyio.fail_after(30):
        await authenticator.aclose()
    endpoint.gate.set()
    await call(authenticator, blaxel)
    assert blaxel.tokens == ["canary-7f3a-token-2"]


# What the token endpoint answers


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>canary</html>", id="html"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'["canary"]', id="list"),
        pytest.param(b"{}", id="no-token"),
        pytest.param(b'{"access_token": null}', id="null"),
        pytest.param(b'{"access_token": 7}', id="number"),
        pytest.param(b'{"access_token": ""}', id="empty-token"),
        pytest.param(b'{"access_token": "canary-7f3a\\r\\nX-Evil: 1"}', id="line-break"),
        pytest.param(b'{"access_token": "canary-7f3a\\u00e9"}', id="not-ascii"),
        pytest.param(b'{"access_token": "canary-7f3a token"}', id="space"),
    ],
)
async def test_success_without_a_usable_token_is_a_bad_response_and_nothing_is_sent(
    endpoint: TokenEndpoint, body: bytes
) -> None:
    endpoint.answer = lambda _number: TokenReply(200, body)
    error = await failed_call(Authenticator(client_configuration(), endpoint))
    assert (error.code, error.origin, error.status) == ("bad_response", "blaxel", 200)
    assert error.message == "Blaxel's token endpoint answered without a usable access token."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(reply(400, error="invalid_grant"), "(HTTP 400, invalid_grant)", id="oauth-code"),
        pytest.param(
            reply(401, error="invalid_client", error_description="No."),
            '(HTTP 401, invalid_client: "No")',
            id="description",
        ),
        pytest.param(reply(401, code=401, error="Unauthorized"), "(HTTP 401)", id="control-plane"),
        pytest.param(reply(403, error={"code": "FORBIDDEN"}), "(HTTP 403)", id="edge-envelope"),
        pytest.param(TokenReply(401, b""), "(HTTP 401)", id="no-body"),
        pytest.param(reply(400, error="x" * 41), "(HTTP 400)", id="code-too-long"),
        pytest.param(reply(400, error="a\nb"), "(HTTP 400)", id="code-of-two-lines"),
        pytest.param(reply(400, error="e", error_description=7), "(HTTP 400, e)", id="description-is-a-number"),
        pytest.param(
            reply(400, error="e", error_description="a\r\n\x1b[2Jb\u202ec"),
            '(HTTP 400, e: "a [2Jbc")',
            id="control-characters",
        ),
        pytest.param(reply(400, error="e", error_description="d" * 300), f'(HTTP 400, e: "{"d" * 199}…")', id="long"),
        pytest.param(
            reply(400, error="e", error_description=f"{CLIENT_SECRET} and {CLIENT_CREDENTIALS}"),
            '(HTTP 400, e: "[redacted] and [redacted]")',
            id="secrets",
        ),
        pytest.param(
            reply(400, error="e", error_description=f"{CLIENT_SECRET[:5]}\u200b{CLIENT_SECRET[5:]}"),
            '(HTTP 400, e: "[redacted]")',
            id="secret-with-an-invisible-break",
        ),
        pytest.param(
            reply(400, error="e", error_description="Bearer abcdef0123456789 is not sk-abcdef0123456789"),
            '(HTTP 400, e: "Bearer [redacted] is not [redacted]")',
            id="secrets-of-somebody-else",
        ),
        pytest.param(
            reply(400, error="e", error_description='no". Run `rm`'),
            '(HTTP 400, e: "no\'. Run `rm`")',
            id="an-end-of-the-quotation",
        ),
    ],
)
async def test_refused_credentials_say_what_blaxel_said_and_how_to_mend_it(
    endpoint: TokenEndpoint, answer: TokenReply, message: str
) -> None:
    endpoint.answer = lambda _number: answer
    error = await failed_call(Authenticator(client_configuration(), endpoint))
    assert (error.code, error.origin, error.status, error.retryable) == (
        "authentication_failed",
        "blaxel",
        answer.status,
        False,
    )
    assert error.message == f"Blaxel refused to issue an access token {message}."
    assert error.hint.startswith("Check the client credentials from BL_CLIENT_CREDENTIALS")


async def test_secret_that_looks_like_an_oauth_code_is_not_quoted(endpoint: TokenEndpoint) -> None:
    endpoint.answer = lambda _number: reply(400, error="canary_secret")
    error = await failed_call(Authenticator(client_configuration("identifier:canary_secret"), endpoint))
    assert error.message == "Blaxel refused to issue an access token (HTTP 400)."


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (302, "upstream_error", False),
        (400, "upstream_error", False),
        (403, "upstream_error", False),
        (404, "upstream_error", True),
        (405, "upstream_error", False),
        (408, "upstream_error", True),
        (429, "rate_limited", True),
        (500, "upstream_error", True),
        (502, "upstream_error", True),
        (503, "upstream_error", True),
    ],
)
async def test_fault_of_the_endpoint_is_not_taken_for_refused_credentials(
    endpoint: TokenEndpoint,
    status: int,
    code: str,
    retryable: bool,
) -> None:
    endpoint.answer = lambda _number: TokenReply(status, b"<html>canary</html>")
    error = await failed_call(Authenticator(client_configuration(), endpoint))
    assert (error.code, error.origin, error.status, error.retryable) == (code, "blaxel", status, retryable)


# After a 401


async def test_concurrent_rejections_of_one_token_lead_to_one_exchange(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    blaxel.rejects = {"canary-7f3a-token-1"}
    auth = Authenticator(client_configuration(), endpoint).for_workspace("acme")
    statuses: list[int] = []

    async with client_for(auth, blaxel) as client:
        rejected = [await client.post(MODEL_URL) for _ in range(20)]

        async def send_again(response: httpx.Response) -> None:
            assert await auth.renew(response.request)
            statuses.append((await client.send(response.request)).status_code)

        endpoint.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            for response in rejected:
                group.start_soon(send_again, response)
            await anyio.wait_all_tasks_blocked()
            endpoint.gate.set()
    assert (len(endpoint.requests), statuses) == (2, [200] * 20)
    assert blaxel.tokens == ["canary-7f3a-token-1"] * 20 + ["canary-7f3a-token-2"] * 20


async def test_late_rejection_of_a_token_already_replaced_needs_no_exchange(
    endpoint: TokenEndpoint, blaxel: Blaxel
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint)
    auth = authenticator.for_workspace("acme")
    early, late = await call(authenticator, blaxel), await call(authenticator, blaxel)
    assert await auth.renew(early.request)
    assert await auth.renew(late.request)
    assert len(endpoint.requests) == 2


async def test_exchange_that_brings_the_rejected_token_again_allows_no_resend(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock
) -> None:
    endpoint.answer = lambda _number: reply(access_token="canary-7f3a-same")
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    auth = authenticator.for_workspace("acme")
    response = await call(authenticator, blaxel)
    assert [await auth.renew(response.request) for _ in range(3)] == [False] * 3
    assert len(endpoint.requests) == 2
    clock.seconds += RENEWAL_PAUSE_SECONDS
    endpoint.answer = granted
    assert await auth.renew(response.request)


async def test_failed_renewal_after_a_rejection_is_the_error_of_the_call(
    endpoint: TokenEndpoint, blaxel: Blaxel
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint)
    response = await call(authenticator, blaxel)
    endpoint.answer = lambda _number: reply(401, error="invalid_client")
    with pytest.raises(UpstreamError) as caught:
        await authenticator.for_workspace("acme").renew(response.request)
    assert caught.value.code == "authentication_failed"


async def test_request_that_was_not_signed_is_not_renewed(endpoint: TokenEndpoint, blaxel: Blaxel) -> None:
    authenticator = Authenticator(client_configuration(), endpoint)
    response = await call(authenticator, blaxel, "https://elsewhere.example/")
    assert await authenticator.for_workspace("acme").renew(response.request) is False
    assert endpoint.requests == []


# The tokens of `bl login`


REFRESH_FORM = {
    "grant_type": "refresh_token",
    "refresh_token": "canary-7f3a-refresh-0",
    "device_code": "canary-7f3a-device",
    "client_id": "blaxel",
}


def device_login(path: Path, access_token: str, **changes: str) -> Configuration:
    tokens = {
        "access_token": access_token,
        "refresh_token": "canary-7f3a-refresh-0",
        "device_code": "canary-7f3a-device",
        **changes,
    }
    return login_configuration(path, **tokens)


@pytest.mark.parametrize(
    ("token", "refreshed"),
    [
        pytest.param(jwt(exp=NOW + RENEWAL_MARGIN_SECONDS + 1), False, id="far-from-its-end"),
        pytest.param(jwt(exp=NOW + RENEWAL_MARGIN_SECONDS), True, id="within-the-margin"),
        pytest.param(jwt(iat=NOW - 100, exp=NOW + 101), False, id="short-lived-in-its-first-half"),
        pytest.param(jwt(iat=NOW - 101, exp=NOW + 100), True, id="short-lived-in-its-second-half"),
        pytest.param(jwt(exp=NOW - 1), True, id="expired"),
        pytest.param(jwt(sub="x"), False, id="jwt-without-exp"),
        pytest.param("canary-7f3a-opaque", False, id="not-a-jwt"),
        pytest.param("canary.%%%.x", False, id="jwt-in-looks-only"),
    ],
)
async def test_stored_token_is_used_while_it_is_far_from_its_end(
    endpoint: TokenEndpoint,
    clock: Clock,
    tmp_path: Path,
    token: str,
    refreshed: bool,
) -> None:
    blaxel = Blaxel()
    await call(Authenticator(device_login(tmp_path / "config.yaml", token), endpoint, now=clock), blaxel)
    assert endpoint.requests == ([(TOKEN_URL, {}, REFRESH_FORM)] if refreshed else [])
    assert blaxel.tokens == ["canary-7f3a-token-1" if refreshed else token]


async def test_a_stored_token_that_no_header_can_carry_is_refreshed(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    await call(Authenticator(device_login(tmp_path / "config.yaml", "canary-7f3a two words"), endpoint), blaxel)
    assert blaxel.tokens == ["canary-7f3a-token-1"]


async def test_access_token_alone_is_a_login_without_device_code(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    await call(Authenticator(login_configuration(tmp_path / "c", access_token="canary-7f3a-alone"), endpoint), blaxel)
    assert blaxel.tokens == ["canary-7f3a-alone"]


async def test_refresh_token_alone_is_enough(endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path) -> None:
    await call(
        Authenticator(login_configuration(tmp_path / "c", refresh_token="canary-7f3a-refresh-0"), endpoint), blaxel
    )
    form = {name: value for name, value in REFRESH_FORM.items() if name != "device_code"}
    assert endpoint.requests == [(TOKEN_URL, {}, form)]


@pytest.mark.parametrize(
    ("given", "second"),
    [
        pytest.param({}, "canary-7f3a-refresh-0", id="absent"),
        pytest.param({"refresh_token": ""}, "canary-7f3a-refresh-0", id="empty"),
        pytest.param({"refresh_token": None}, "canary-7f3a-refresh-0", id="null"),
        pytest.param({"refresh_token": "canary-7f3a-refresh-1"}, "canary-7f3a-refresh-1", id="rotated"),
    ],
)
async def test_refresh_token_is_kept_until_a_reply_brings_another(
    endpoint: TokenEndpoint, clock: Clock, tmp_path: Path, given: dict[str, Any], second: str
) -> None:
    blaxel = Blaxel()
    endpoint.answer = lambda number: reply(access_token=f"canary-7f3a-token-{number}", expires_in=7200, **given)
    authenticator = Authenticator(device_login(tmp_path / "c", jwt(exp=NOW)), endpoint, now=clock)
    await call(authenticator, blaxel)
    clock.seconds += 7200
    await call(authenticator, blaxel)
    assert [form["refresh_token"] for _, _, form in endpoint.requests] == ["canary-7f3a-refresh-0", second]
    assert blaxel.tokens == ["canary-7f3a-token-1", "canary-7f3a-token-2"]


async def test_login_file_is_never_written(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    authenticator = Authenticator(device_login(path, jwt(exp=NOW)), endpoint, now=clock)
    before = directory_state(tmp_path)
    await call(authenticator, blaxel)
    assert (len(endpoint.requests), directory_state(tmp_path)) == (1, before)


def directory_state(directory: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


async def test_token_that_bl_has_renewed_meanwhile_is_taken_without_an_exchange(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    authenticator = Authenticator(device_login(path, jwt(exp=NOW)), endpoint, now=clock)
    renewed = jwt(exp=NOW + 7200)
    device_login(path, renewed, refresh_token="canary-7f3a-refresh-9")
    await call(authenticator, blaxel)
    assert (endpoint.requests, blaxel.tokens) == ([], [renewed])
    clock.seconds += 7200
    await call(authenticator, blaxel)
    assert [form["refresh_token"] for _, _, form in endpoint.requests] == ["canary-7f3a-refresh-9"]


async def test_login_that_bl_renewed_but_that_expired_again_is_refreshed_with_its_new_tokens(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    authenticator = Authenticator(device_login(path, jwt(exp=NOW)), endpoint, now=clock)
    device_login(path, jwt(exp=NOW - 1), refresh_token="canary-7f3a-refresh-9")
    await call(authenticator, blaxel)
    assert endpoint.requests == [(TOKEN_URL, {}, {**REFRESH_FORM, "refresh_token": "canary-7f3a-refresh-9"})]
    assert blaxel.tokens == ["canary-7f3a-token-1"]


async def test_refresh_token_renewed_here_outlives_a_login_file_that_did_not_change(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    authenticator = Authenticator(device_login(path, jwt(exp=NOW)), endpoint, now=clock)
    endpoint.answer = lambda number: reply(
        access_token=f"canary-7f3a-{number}", refresh_token=f"canary-7f3a-refresh-{number}"
    )
    for _ in range(3):
        await call(authenticator, blaxel)
        clock.seconds += 7200
    assert [form["refresh_token"] for _, _, form in endpoint.requests] == [f"canary-7f3a-refresh-{n}" for n in range(3)]


async def test_login_file_that_vanished_does_not_end_the_login(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    authenticator = Authenticator(device_login(path, jwt(exp=NOW)), endpoint, now=clock)
    path.unlink()
    await call(authenticator, blaxel)
    assert blaxel.tokens == ["canary-7f3a-token-1"]


async def test_refused_refresh_reaches_the_caller_and_a_new_login_is_noticed(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    authenticator = Authenticator(device_login(path, jwt(exp=NOW)), endpoint, now=clock)
    endpoint.answer = lambda _number: reply(400, error="invalid_grant")
    error = await failed_call(authenticator)
    assert (error.code, "`bl login acme`" in error.hint) == ("authentication_failed", True)
    device_login(path, jwt(exp=NOW + 7200))
    await call(authenticator, blaxel)
    assert blaxel.tokens == [jwt(exp=NOW + 7200)]


@pytest.mark.parametrize(
    ("new", "token"),
    [
        pytest.param({"apiKey": "canary-7f3a-key-2"}, "canary-7f3a-key-2", id="another key"),
        pytest.param({"access_token": "canary-7f3a-access"}, "canary-7f3a-access", id="a login in a browser"),
        pytest.param({"client_credentials": CLIENT_CREDENTIALS}, "canary-7f3a-token-1", id="a service account"),
    ],
)
@pytest.mark.parametrize(
    "old",
    [
        pytest.param({"apiKey": "canary-7f3a-key-1"}, id="a key"),
        pytest.param({"access_token": "canary-7f3a-old"}, id="an access token"),
    ],
)
async def test_a_rejected_login_is_replaced_by_a_new_one_of_any_kind(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], token: str
) -> None:
    endpoint, blaxel = TokenEndpoint(), Blaxel()
    authenticator = Authenticator(login_configuration(tmp_path / "c", **old), endpoint)
    response = await call(authenticator, blaxel)
    write_login(tmp_path / "c", **new)
    assert await authenticator.for_workspace("acme").renew(response.request)
    await call(authenticator, blaxel)
    assert blaxel.tokens == [*old.values(), token]
    assert (
        authenticator.redact(" ".join([*old.values(), *new.values(), token]).encode())
        == b"[redacted] " * 2 + b"[redacted]"
    )


async def test_a_rejected_key_that_is_still_in_the_login_file_is_not_sent_again(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    authenticator = Authenticator(login_configuration(tmp_path / "c", apiKey="canary-7f3a-key-1"), endpoint)
    response = await call(authenticator, blaxel)
    assert not await authenticator.for_workspace("acme").renew(response.request)


async def test_a_login_after_the_start_counts_without_a_restart(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    config = Configuration(Settings(workspace="acme"), login=read_login_file(tmp_path / "c"))
    authenticator = Authenticator(config, endpoint)
    assert "`bl login acme`" in (await failed_call(authenticator)).hint
    write_login(tmp_path / "c", apiKey="canary-7f3a-key-1")
    await call(authenticator, blaxel)
    assert blaxel.tokens == ["canary-7f3a-key-1"]
    assert authenticator.for_workspace("acme").source == f"bl login file ({tmp_path / 'c'}), workspace acme"
    assert authenticator.redact(b"canary-7f3a-key-1") == b"[redacted]"


async def test_expired_login_without_refresh_token_asks_for_a_new_one(
    endpoint: TokenEndpoint, clock: Clock, tmp_path: Path
) -> None:
    config = login_configuration(tmp_path / "c", access_token=jwt(exp=NOW))
    error = await failed_call(Authenticator(config, endpoint, now=clock))
    assert (error.code, error.origin) == ("authentication_failed", "blaxel")
    assert "`bl login acme`" in error.hint
    assert endpoint.requests == []


async def test_rejected_login_without_refresh_token_asks_for_a_new_one(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    authenticator = Authenticator(login_configuration(tmp_path / "c", access_token="canary-7f3a-alone"), endpoint)
    response = await call(authenticator, blaxel)
    with pytest.raises(UpstreamError, match="`bl login acme`"):
        await authenticator.for_workspace("acme").renew(response.request)


async def test_rejected_stored_token_is_refreshed(endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path) -> None:
    authenticator = Authenticator(device_login(tmp_path / "c", "canary-7f3a-stored"), endpoint)
    response = await call(authenticator, blaxel)
    assert await authenticator.for_workspace("acme").renew(response.request)
    await call(authenticator, blaxel)
    assert blaxel.tokens == ["canary-7f3a-stored", "canary-7f3a-token-1"]


# A command that prints the key


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def counting(tmp_path: Path, expression: str) -> tuple[str, ...]:
    """A command that notes each run in a file and prints an expression of their number, `n`."""
    runs = tmp_path / "runs"
    code = f"f = open({str(runs)!r}, 'a+'); f.write('x'); f.seek(0); n = len(f.read()); print({expression})"
    return python(code)


def runs_in(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text(encoding="utf-8"))


async def test_key_command_is_run_once_for_concurrent_calls(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    config = command_configuration(*counting(tmp_path, "' canary-7f3a-key-%d ' % n"))
    authenticator = Authenticator(config, endpoint)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(call, authenticator, blaxel)
    await call(authenticator, blaxel)
    assert (runs_in(tmp_path), blaxel.tokens) == (1, ["canary-7f3a-key-1"] * 11)
    assert authenticator.redact(b"canary-7f3a-key-1") == b"[redacted]"


@pytest.mark.parametrize(
    ("expression", "resend"),
    [
        pytest.param("'canary-7f3a-key-%d' % n", True, id="changed"),
        pytest.param("'canary-7f3a-key'", False, id="unchanged"),
    ],
)
async def test_rejected_key_is_sent_again_only_if_the_command_prints_another(
    endpoint: TokenEndpoint,
    blaxel: Blaxel,
    tmp_path: Path,
    expression: str,
    resend: bool,
) -> None:
    authenticator = Authenticator(command_configuration(*counting(tmp_path, expression)), endpoint)
    response = await call(authenticator, blaxel)
    assert [await authenticator.for_workspace("acme").renew(response.request) for _ in range(2)] == [resend] * 2
    assert runs_in(tmp_path) == 2


async def test_a_rejected_key_is_asked_for_again_after_the_clock_was_set_back(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    command = counting(tmp_path, "'canary-7f3a-key-%s' % (n > 2)")
    authenticator = Authenticator(command_configuration(*command), endpoint, now=clock)
    response = await call(authenticator, blaxel)
    assert not await authenticator.for_workspace("acme").renew(response.request)
    clock.seconds -= 86_400
    assert await authenticator.for_workspace("acme").renew(response.request)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        pytest.param(python("pass"), "did not print a key", id="nothing"),
        pytest.param(python("print(' ')"), "did not print a key", id="blank"),
        pytest.param(python("print('canary one')"), "did not print a key", id="two-words"),
        pytest.param(python("print('canary\\nuser: x')"), "did not print a key", id="two-lines"),
        pytest.param(python("print(ascii('canary') and 'canary\\u00e9')"), "did not print a key", id="not-ascii"),
        pytest.param(python(f"print('canary' * {KEY_COMMAND_BYTES})"), "did not print a key", id="flood"),
        pytest.param(python("while True: print('canary')"), "did not print a key", id="endless"),
        pytest.param(
            python("import sys; print('canary'); sys.exit('canary')"), "ended with exit code 1", id="exit-code"
        ),
        pytest.param(("no-such-program-here", "canary"), "was not found on the server's PATH", id="missing"),
        pytest.param(("/", "canary"), "could not be started (Permission denied)", id="not-a-program"),
        pytest.param((sys.executable, "canary\0"), "could not be started (ValueError)", id="nul-in-an-argument"),
    ],
)
async def test_failing_key_command_is_named_without_its_output(
    endpoint: TokenEndpoint, command: tuple[str, ...], what: str
) -> None:
    error = await failed_call(Authenticator(command_configuration(*command), endpoint))
    assert isinstance(error, ConfigurationError)
    assert error.message.startswith(f"The command {command[0]!r}, which should print the Blaxel API key, {what}")
    assert "BLAXEL_MCP_API_KEY_COMMAND" in error.hint


async def test_a_key_in_place_of_the_command_is_not_shown(endpoint: TokenEndpoint) -> None:
    error = await failed_call(Authenticator(command_configuration("bl_canary7f3a"), endpoint))
    assert error.message.startswith("The command '[redacted]', which should print the Blaxel API key, was not found")


async def test_key_command_that_does_not_end_is_stopped() -> None:
    with anyio.fail_after(30), pytest.raises(ConfigurationError, match=r"did not end within 0\.05 seconds"):
        await run_key_command(python("import time; time.sleep(60)"), source="x", limit_seconds=0.05)


def test_key_command_whose_time_is_over_while_it_starts_is_waited_for() -> None:
    with pytest.raises(ConfigurationError, match="did not end within 0 seconds"):
        asyncio.run(run_key_command(python("import time; time.sleep(60)"), source="x", limit_seconds=0.0))
    # A process that nobody has waited for is reported when it is collected.
    gc.collect()


async def test_key_command_may_leave_a_process_behind_that_holds_its_output(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    start = f"import subprocess; p = subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(300)'])"
    with anyio.fail_after(30):
        token = await run_key_command(
            python(f"{start}; open({str(file)!r}, 'w').write(str(p.pid)); print('canary-7f3a')"), source="x"
        )
    os.kill(int(file.read_text()), signal.SIGTERM)
    assert token.value.get_secret_value() == "canary-7f3a"


async def test_key_command_in_the_home_directory_is_found(home: Path) -> None:
    program = home / "print-key"
    program.write_text("#!/bin/sh\necho canary-7f3a\n")
    program.chmod(0o755)
    assert (await run_key_command(("~/print-key",), source="x")).value.get_secret_value() == "canary-7f3a"


@pytest.fixture
def protocol_on_stdin() -> Iterator[None]:
    """Puts three bytes into this process's standard input, where the server's client would write."""
    original = os.dup(0)
    reader, writer = os.pipe()
    os.write(writer, b"{}\n")
    os.close(writer)
    os.dup2(reader, 0)
    yield
    os.dup2(original, 0)
    os.close(reader)
    os.close(original)


@pytest.mark.usefixtures("protocol_on_stdin")
async def test_key_command_gets_no_input_and_no_shell(blaxel: Blaxel, endpoint: TokenEndpoint) -> None:
    code = "import sys; print('canary-7f3a-' + str(len(sys.stdin.read())) + sys.argv[1])"
    await call(Authenticator(command_configuration(*python(code), "$HOME;x"), endpoint), blaxel)
    assert blaxel.tokens == ["canary-7f3a-0$HOME;x"]


# Secrets in what others say


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"nothing of ours", b"nothing of ours", id="nothing"),
        pytest.param(CLIENT_CREDENTIALS.encode(), b"[redacted]", id="basic-value"),
        pytest.param(CLIENT_ID.encode(), b"[redacted]", id="client-id"),
        pytest.param(CLIENT_SECRET.encode(), b"[redacted]", id="client-secret"),
        pytest.param(rb'"canary-7f3a\/client+secret"', b'"[redacted]"', id="escaped-slash"),
        pytest.param(
            b"\xffcanary-7f3a-token-1\x00canary-7f3a-token-2.",
            b"\xff[redacted]\x00[redacted].",
            id="tokens-old-and-new",
        ),
        pytest.param(b"canary-7f3a-token-", b"canary-7f3a-token-", id="part-of-a-token"),
    ],
)
async def test_every_secret_of_ours_is_taken_out_of_what_comes_back(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, data: bytes, expected: bytes
) -> None:
    authenticator = Authenticator(client_configuration(), endpoint, now=clock)
    for _ in range(2):
        await call(authenticator, blaxel)
        clock.seconds += 7200
    assert authenticator.redact(data) == expected


@pytest.mark.parametrize(
    ("key", "data", "expected"),
    [
        pytest.param(
            'canary-7f3a"\\key',
            rb'"canary-7f3a\"\\key" canary-7f3a"\key',
            b'"[redacted]" [redacted]',
            id="quote-and-backslash",
        ),
        pytest.param("canary", b"a canary, canaries", b"a [redacted], canaries", id="short, as a whole word"),
        pytest.param("canary-k", b"a canary-k", b"a [redacted]", id="just-long-enough"),
        pytest.param(
            " canary-7f3a-key\n", b'{"x":"canary-7f3a-key"}', b'{"x":"[redacted]"}', id="given-with-whitespace"
        ),
    ],
)
async def test_key_is_found_in_each_spelling(endpoint: TokenEndpoint, key: str, data: bytes, expected: bytes) -> None:
    authenticator = Authenticator(key_configuration(key), endpoint)
    authenticator.for_workspace("acme")
    assert authenticator.redact(data) == expected


async def test_secret_that_contains_another_is_taken_out_as_a_whole(endpoint: TokenEndpoint) -> None:
    pair = f"{CLIENT_ID}:{CLIENT_SECRET}"
    authenticator = Authenticator(client_configuration(pair), endpoint)
    authenticator.for_workspace("acme")
    assert authenticator.redact(f"<{pair}>".encode()) == b"<[redacted]>"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("canary-7f3a-not-base64!", id="not-base64"),
        pytest.param(base64.b64encode(b"canary").decode(), id="no-colon"),
        pytest.param(base64.b64encode(b"\x00\x01\x02\x03:canary-7f3a-half").decode(), id="binary-half"),
        pytest.param(base64.b64encode(b"canary-7f3a-\xff:canary-7f3a-half").decode(), id="not-ascii"),
    ],
)
async def test_client_credentials_of_another_make_are_found_whole(endpoint: TokenEndpoint, value: str) -> None:
    authenticator = Authenticator(client_configuration(value), endpoint)
    authenticator.for_workspace("acme")
    assert authenticator.redact(f"{value} canary-7f3a-half".encode()) == b"[redacted] canary-7f3a-half"


async def test_tokens_of_a_login_are_found_before_and_after_a_refresh(
    endpoint: TokenEndpoint, blaxel: Blaxel, clock: Clock, tmp_path: Path
) -> None:
    endpoint.answer = lambda _number: reply(access_token="canary-7f3a-access-1", refresh_token="canary-7f3a-refresh-1")
    stored = jwt(exp=NOW)
    authenticator = Authenticator(device_login(tmp_path / "c", stored), endpoint, now=clock)
    await call(authenticator, blaxel)
    secrets = (stored, "canary-7f3a-refresh-0", "canary-7f3a-device", "canary-7f3a-access-1", "canary-7f3a-refresh-1")
    assert authenticator.redact(" ".join(secrets).encode()) == b" ".join([b"[redacted]"] * 5)


async def test_nothing_that_is_shown_of_the_objects_holds_a_secret(
    endpoint: TokenEndpoint, blaxel: Blaxel, tmp_path: Path
) -> None:
    login = LoginFile(tmp_path / "absent")
    for config in (key_configuration(), client_configuration(), device_login(tmp_path / "c", "canary-7f3a-stored")):
        authenticator = Authenticator(config, endpoint)
        response = await call(authenticator, blaxel)
        shown = [
            authenticator,
            authenticator.for_workspace("acme"),
            config,
            login,
            response.request,
            vars(authenticator),
        ]
        assert CANARY not in "".join(f"{thing!r} {thing}" for thing in shown)


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        pytest.param("1700000000", '{"created": 1700000000}', '{"created": 1700000000}', id="a number that equals it"),
        pytest.param(
            "17000000", '{"n": [1.7000000e9, 170000000]}', '{"n": [1.7000000e9, 170000000]}', id="parts of numbers"
        ),
        pytest.param(
            "1700000000",
            '{"n": 1700000000, "s": "x1700000000"}',
            '{"n": 1700000000, "s": "x[redacted]"}',
            id="in a string",
        ),
        pytest.param("1700000000", '{"s": "1700000000"}', '{"s": "[redacted]"}', id="a whole string"),
        pytest.param("1700000000", "at 1700000000, no JSON", "at [redacted], no JSON", id="in text"),
        pytest.param("n1234567", '"\\n1234567"', '"\\n1234567"', id="after an escape"),
        pytest.param("null", '{"a": null, "b": "null"}', '{"a": null, "b": "[redacted]"}', id="a literal"),
        pytest.param(
            "key7",
            '{"m": "bad\\nkey7", "monkey7": "/key7/"}',
            '{"m": "bad\\n[redacted]", "monkey7": "/key7/"}',
            id="short",
        ),
        pytest.param("abcdefgh", '{"m": "abcdefgh"}', '{"m": "[redacted]"}', id="an ordinary key"),
    ],
)
async def test_redaction_leaves_json_as_json(endpoint: TokenEndpoint, key: str, body: str, expected: str) -> None:
    authenticator = Authenticator(key_configuration(key), endpoint)
    authenticator.for_workspace("acme")

    assert authenticator.redact(body.encode()).decode() == expected


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        pytest.param("1700000000:canary-7f3a-secret", b"1700000000 [redacted]", id="a number"),
        pytest.param("acme:canary-7f3a-secret", b"1700000000 [redacted]", id="a word"),
    ],
)
async def test_an_id_that_is_no_secret_is_left(endpoint: TokenEndpoint, pair: str, expected: bytes) -> None:
    settings = Settings(workspace="acme", client_credentials=SecretStr(pair))
    authenticator = Authenticator(Configuration(settings), endpoint)
    authenticator.for_workspace("acme")

    assert authenticator.redact(b"1700000000 canary-7f3a-secret") == expected
    assert authenticator.redact(b'{"workspace": "acme"}') == b'{"workspace": "acme"}'
