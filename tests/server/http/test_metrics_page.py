"""The page of metrics: on an address of its own, and on loopback unless the settings say otherwise."""

import httpx
import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.http.address import resolve_metrics
from blaxel_mcp.server.http.metrics import metrics_served, telemetry_for
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import load_settings
from tests.support.connecting import leading_to
from tests.support.http_serving import message, serving
from tests.support.leaks import Client, look_at

pytestmark = pytest.mark.anyio

EVERYWHERE = "0.0.0.0"  # noqa: S104 - only resolved
ANY_PORT = HttpSettings(metrics_address="0")


async def test_the_page_shows_calls_and_nothing_that_was_said(emulator: Emulator) -> None:
    telemetry = telemetry_for(ANY_PORT, {})
    async with metrics_served(ANY_PORT, telemetry) as address, httpx.AsyncClient() as http:
        assert address is not None
        assert address.is_loopback
        server = build_server(leading_to(emulator), environment=Environment(telemetry=telemetry))
        async with Client(server) as client:
            await client.call_tool("house-chat", {"prompt": "Say a secret"})
            page = await http.get(f"{address.url}/metrics")

    look_at("the page of metrics", page.text)
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'gen_ai_client_operation_duration_seconds_count{blaxel_model="house-chat"' in page.text
    assert "\nblaxel_calls_running 0\n" in page.text
    assert 'blaxel_budget_used{blaxel_budget_unit="calls"} 1\n' in page.text
    assert "secret" not in page.text


async def test_a_caller_without_a_good_key_names_no_tool_in_a_metric(emulator: Emulator) -> None:
    telemetry = telemetry_for(ANY_PORT, {})
    config = leading_to(emulator, http={"auth": "caller"})
    headers = {"x-blaxel-authorization": "Bearer made-up-key-0123456789", "x-blaxel-workspace": "demo"}
    async with (
        metrics_served(ANY_PORT, telemetry) as address,
        serving(config, environment=Environment(telemetry=telemetry)) as served,
        served.http(headers) as http,
    ):
        assert address is not None
        body, more = message("tools/call", "legacy", name="named-by-a-caller", arguments={})
        refused = await http.post("/mcp", content=body, headers=more)
        page = await http.get(f"{address.url}/metrics")

    assert "authentication_failed" in refused.text
    assert 'mcp_method_name="tools/call"' in page.text
    assert "named-by-a-caller" not in page.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("my_page.example.com", 421),
        ("page.example.com:abc", 421),
        ("[::1", 421),
        ("localhost.example.com", 421),
        ("", 421),
    ],
)
async def test_the_page_of_loopback_is_served_under_its_own_names_only(host: str, status: int) -> None:
    async with metrics_served(ANY_PORT, telemetry_for(ANY_PORT, {})) as address, httpx.AsyncClient() as http:
        assert address is not None
        page = await http.get(f"{address.url}/metrics", headers={"host": host})

    assert page.status_code == status


async def test_nothing_else_is_served_there() -> None:
    async with metrics_served(ANY_PORT, telemetry_for(ANY_PORT, {})) as address, httpx.AsyncClient() as http:
        assert address is not None
        statuses = [
            (await http.request(method, f"{address.url}{path}", headers=headers)).status_code
            for method, path, headers in (
                ("GET", "/metrics", {}),
                ("HEAD", "/metrics", {}),
                ("POST", "/metrics", {}),
                ("GET", "/", {}),
                ("GET", "/metrics%0a", {}),
                ("POST", "/mcp", {}),
                ("GET", "/metrics", {"host": "page.example.com"}),
            )
        ]

    assert statuses == [200, 200, 405, 404, 404, 404, 421]


@pytest.mark.parametrize(
    ("setting", "ip", "port"),
    [
        ("9464", "127.0.0.1", 9464),
        (f"{EVERYWHERE}:9464", EVERYWHERE, 9464),
        ("[::1]:1", "::1", 1),
        ("127.0.0.2:0", "127.0.0.2", 0),
    ],
)
async def test_a_port_alone_is_one_of_loopback(setting: str, ip: str, port: int) -> None:
    address = resolve_metrics(HttpSettings(metrics_address=setting))

    assert address is not None
    assert (address.ip, address.port) == (ip, port)


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with metrics_served(ANY_PORT, telemetry_for(ANY_PORT, {})) as address:
        assert address is not None
        taken = HttpSettings(metrics_address=str(address.port))
        with pytest.raises(ConfigurationError, match=r"cannot listen.*Set http\.metrics_address"):
            async with metrics_served(taken, telemetry_for(taken, {})):
                pass


@pytest.mark.parametrize(
    "value", ["", "${PORT}", "65536", "host", "host:", ":9464", "a b:1", "http://127.0.0.1:1", "-1"]
)
def test_an_address_that_cannot_be_meant_is_an_error(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"METRICS_ADDRESS|metrics_address"):
        load_settings(environ={"BLAXEL_MCP_HTTP__METRICS_ADDRESS": value})
