"""Where the HTTP transport may listen, and under which names it is answered."""

import socket
import sys
from typing import Any

import httpx
import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import Address, require_safe, resolve, transport_security
from blaxel_mcp.settings.http import HttpSettings
from tests.support.connecting import ERAS, Era, leading_to
from tests.support.http_serving import Served, message, serving

in_each_era = pytest.mark.parametrize("era", ERAS)

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what must not be listened on just so

TOKENS = {"bearer_tokens": ["x" * 32]}
NAMED = {"allowed_hosts": ["models.example.com"]}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({}, "http.auth is not set", id="nobody asks"),
        pytest.param({"auth": "token", **TOKENS}, "http.allowed_hosts is not set", id="token without names"),
        pytest.param({"auth": "oauth"}, "http.allowed_hosts is not set", id="oauth without names"),
        pytest.param({"auth": "caller"}, "http.allowed_hosts is not set", id="caller without names"),
        pytest.param({"auth": "oauth", **NAMED}, "need this server's public URL", id="oauth without a URL"),
        pytest.param(
            {"auth": "platform", "allowed_origins": ["https://a.example"]}, "hosts is not", id="origins alone"
        ),
        pytest.param({"auth": "token", **TOKENS, **NAMED}, None, id="token"),
        pytest.param({"auth": "caller", **NAMED}, None, id="caller"),
        pytest.param({"auth": "oauth", "resource_url": "https://a.example/mcp", **NAMED}, None, id="oauth"),
        pytest.param({"auth": "platform"}, None, id="platform"),
    ],
)
@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.7"])
def test_beyond_this_machine_it_has_to_be_settled_who_may_call_and_under_which_name(
    host: str, settings: dict[str, Any], told: str | None
) -> None:
    http = HttpSettings(host=host, **settings)
    if host == "192.0.2.7" and told and "URL" in told:
        told = None
    if told is None:
        require_safe(http, resolve(http))
        return
    with pytest.raises(ConfigurationError, match=told):
        require_safe(http, resolve(http))


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "app.example.com",
        "https://app.example.com/",
        "https://a.example/mcp",
        "https://*.a.example",
        "https://a b",
        "",
    ],
)
def test_an_origin_that_no_page_can_have_is_an_error(origin: str) -> None:
    http = HttpSettings(allowed_origins=("http://localhost:*", origin))

    with pytest.raises(ConfigurationError, match=r"http\.allowed_origins has .*, which is not the origin of a page"):
        require_safe(http, resolve(http))


@pytest.mark.parametrize(
    "name", ["*", "http://a.example", "a.example/", "a.example:x", "*.a.example", " ", "a.example:"]
)
def test_a_host_that_no_request_can_name_is_an_error(name: str) -> None:
    http = HttpSettings(auth="platform", allowed_hosts=("models.example.com:8000", name))

    with pytest.raises(ConfigurationError, match=r"http\.allowed_hosts has .*, which is not a Host header"):
        require_safe(http, resolve(http))


def test_all_spellings_of_names_are_accepted() -> None:
    hosts = ("a.example", "A.example:80", "a_b:*", "[::1]", "[fe80::1]:*", "10.0.0.5:*")
    http = HttpSettings(
        allowed_hosts=hosts, allowed_origins=(*(f"https://{host}" for host in hosts), "null", "app://x")
    )

    require_safe(http, resolve(http))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"])
def test_on_this_machine_alone_nothing_has_to_be_settled(host: str) -> None:
    http = HttpSettings(host=host)
    require_safe(http, resolve(http))

    assert resolve(http).is_loopback


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no 127.0.0.2")
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]"])
async def test_a_server_is_answered_under_its_own_address(emulator: Emulator, host: str) -> None:
    async with serving(leading_to(emulator, http={"host": host})) as served:
        response = await served.post(*message("ping", "legacy"))

    assert response.status_code == 200


def test_a_host_that_is_no_address_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"'no.such.host.invalid' is not an address of this machine"):
        resolve(HttpSettings(host="no.such.host.invalid"))


def test_only_what_is_in_front_may_have_any_name_and_not_on_this_machine() -> None:
    public, local = Address(socket.AF_INET, EVERYWHERE, 80), Address(socket.AF_INET, "127.0.0.1", 80)
    platform, named = HttpSettings(auth="platform"), HttpSettings(auth="platform", **NAMED)

    assert not transport_security(platform, public).enable_dns_rebinding_protection
    assert transport_security(platform, local).enable_dns_rebinding_protection
    assert transport_security(named, public).allowed_hosts == ["models.example.com"]


async def answered(served: Served, era: Era, headers: dict[str, str]) -> httpx.Response:
    body, usual = message("tools/list", era)
    return await served.post(body, {**usual, **headers})


@in_each_era
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1"}, 200),
        ({"host": "localhost:8000"}, 200),
        ({"host": "[::1]:9"}, 200),
        ({"host": "evil.example.com"}, 421),
        ({"host": "127.0.0.1.evil.example.com"}, 421),
        ({"host": "localhost.evil.example.com:80"}, 421),
        ({"origin": "http://localhost:6274"}, 200),
        ({"origin": "https://evil.example.com"}, 403),
        ({"origin": "http://localhost.evil.example.com"}, 403),
        ({"origin": "null"}, 403),
    ],
    ids=str,
)
@pytest.mark.anyio
async def test_on_this_machine_its_own_names_are_answered_and_no_page_of_another(
    emulator: Emulator, era: Era, headers: dict[str, str], status: int
) -> None:
    async with serving(leading_to(emulator)) as served:
        assert (await answered(served, era, headers)).status_code == status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1/mcp", 200),
        ("HTTP://localhost:8000/mcp/", 200),
        ("http://evil.example.com/mcp", 421),
        ("http://127.0.0.1@evil.example.com/mcp", 421),
        ("http://127.0.0.1/other", 404),
        ("http://127.0.0.1/mcp%0A", 404),
        ("http:///mcp", 404),
    ],
)
@pytest.mark.anyio
async def test_a_target_in_absolute_form_names_the_host_itself(emulator: Emulator, target: str, status: int) -> None:
    body, headers = message("tools/list", "legacy")
    async with serving(leading_to(emulator)) as served, served.http(headers) as http:
        answer = await http.post("/mcp", content=body, extensions={"target": target.encode()})

    assert answer.status_code == status


@in_each_era
@pytest.mark.anyio
async def test_names_and_pages_of_the_settings_are_answered_and_no_others(emulator: Emulator, era: Era) -> None:
    http = {"allowed_hosts": ["models.example.com", "10.0.0.5:*"], "allowed_origins": ["https://app.example.com"]}
    async with serving(leading_to(emulator, http=http)) as served:
        statuses: dict[tuple[str, str], int] = {}
        for host in ("models.example.com", "models.example.com:81", "10.0.0.5:99", "localhost"):
            for origin in ("", "https://app.example.com", "http://app.example.com"):
                headers = {"host": host, "origin": origin} if origin else {"host": host}
                statuses[host, origin] = (await answered(served, era, headers)).status_code

    assert statuses == {
        (host, origin): 421 if host in ("models.example.com:81", "localhost") else 403 if origin[:5] == "http:" else 200
        for host, origin in statuses
    }


@pytest.mark.anyio
async def test_the_browser_of_a_named_page_may_read_the_answers_and_that_of_another_may_not(emulator: Emulator) -> None:
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,mcp-method"}
    http = {"allowed_origins": ["https://app.example.com", "http://localhost:*"]}
    allowed: dict[str, str | None] = {}
    async with serving(leading_to(emulator, http=http)) as served:
        for origin in ("https://app.example.com", "http://localhost:6274", "https://app.example.com.evil.example"):
            async with served.http({"origin": origin, **preflight}) as client:
                answer = await client.options("/mcp")
                allowed[origin] = answer.headers.get("access-control-allow-origin")
        good = await answered(served, "2026-07-28", {"origin": "https://app.example.com"})

    assert allowed == {
        "https://app.example.com": "https://app.example.com",
        "http://localhost:6274": "http://localhost:6274",
        "https://app.example.com.evil.example": None,
    }
    assert good.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "WWW-Authenticate" in good.headers["access-control-expose-headers"]


@pytest.mark.anyio
async def test_the_browser_of_a_page_that_nobody_named_may_read_nothing(emulator: Emulator) -> None:
    async with serving(leading_to(emulator)) as served:
        answer = await answered(served, "2026-07-28", {"origin": "http://localhost:6274"})

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status", "setting"),
    [
        ({"host": "LocalHost:80"}, 200, ""),
        ({"host": "localhost", "origin": "HTTP://LOCALHOST:5173"}, 200, ""),
        ({"host": "localhost:x"}, 421, "http.allowed_hosts"),
        ({"host": "localhost:80.evil.example"}, 421, "http.allowed_hosts"),
        ({"host": "localhost.evil.example:80"}, 421, "http.allowed_hosts"),
        ({"host": "localhost", "origin": "http://localhost.evil.example:80"}, 403, "http.allowed_origins"),
        ({"host": "localhost", "origin": "http://localhost:80:80"}, 403, "http.allowed_origins"),
    ],
)
@in_each_era
@pytest.mark.anyio
async def test_a_refused_name_is_told_with_the_setting_that_accepts_it_and_logged(
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    era: Era,
    *,
    headers: dict[str, str],
    status: int,
    setting: str,
) -> None:
    async with serving(leading_to(emulator)) as served:
        answer = await answered(served, era, headers)

    assert answer.status_code == status
    assert setting in (answer.json()["error_description"] if setting else "")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    refused = list(headers.values())[-1]
    assert warnings == ([f"refused a request: {setting} does not list '{refused}'"] if setting else [])
