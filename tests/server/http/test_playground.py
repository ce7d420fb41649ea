"""The Playground's server: who gets the page, who gets a session, and what the page is made of."""

import re
import socket
from pathlib import Path

import httpx
import pytest
from starlette.types import Message

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import Address
from blaxel_mcp.server.http.playground import playground_app
from blaxel_mcp.server.pages import bundle as bundle_module
from blaxel_mcp.server.pages.bundle import build_page, bundle
from tests.support.connecting import leading_to
from tests.support.http_serving import message
from tests.support.playground import OpenPlayground, playing

pytestmark = pytest.mark.anyio

ASSETS = Path(bundle_module.__file__).parent / "assets"


async def exchange(playground: OpenPlayground, token: str, **headers: str) -> httpx.Response:
    async with playground.http(**headers) as http:
        return await http.post("/session", json={"token": token})


async def listed(playground: OpenPlayground, **headers: str) -> httpx.Response:
    """Return the response to `tools/list` with these headers."""
    body, own = message("tools/list", "2026-07-28")
    async with playground.http() as http:
        return await http.post("/mcp", content=body, headers={**own, **headers})


async def test_a_token_gives_one_page_a_session(emulator: Emulator) -> None:
    async with playing(leading_to(emulator)) as playground:
        token = playground.sessions.new_token()
        first, second = await exchange(playground, token), await exchange(playground, token)
        secret = first.json()["secret"]
        tools = await listed(playground, Authorization=f"Bearer {secret}")

    assert (first.status_code, second.status_code, tools.status_code) == (200, 403, 200)
    assert secret != token
    assert "press enter in the terminal" in second.json()["error_description"].casefold()


@pytest.mark.parametrize("path", ["/session", "/mcp"])
async def test_a_client_that_leaves_within_its_body_gets_no_answer_and_is_no_error(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    app, sessions = playground_app(leading_to(emulator), Address(socket.AF_INET, "127.0.0.1", 8000), {})
    headers = {
        "host": "127.0.0.1:8000",
        "content-type": "application/json",
        "authorization": f"Bearer {sessions.exchange(sessions.new_token())}",
    }
    scope = {"type": "http", "method": "POST", "path": path, "headers": httpx.Headers(headers).raw}
    left: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async with app.running():
        await app.asgi(scope, receive, send)

    assert sent == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_new_link_voids_the_one_before_and_keeps_the_sessions(emulator: Emulator) -> None:
    async with playing(leading_to(emulator)) as playground:
        secret = (await exchange(playground, playground.sessions.new_token())).json()["secret"]
        old, new = playground.sessions.new_token(), playground.sessions.new_token()
        answers = [(await exchange(playground, token)).status_code for token in (old, new)]
        tools = await listed(playground, Authorization=f"Bearer {secret}")

    assert (*answers, tools.status_code) == (403, 200, 200)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic x"], ids=repr)
async def test_without_the_secret_of_a_page_nothing_is_called(emulator: Emulator, authorization: str) -> None:
    async with playing(leading_to(emulator)) as playground:
        token = playground.sessions.new_token()
        await exchange(playground, token)
        answers = [await listed(playground, **headers) for headers in ({"Authorization": authorization}, {})]
        with_token = await listed(playground, Authorization=f"Bearer {token}")

    assert {answer.status_code for answer in (*answers, with_token)} == {401}


@pytest.mark.parametrize("path", ["/", "/session", "/mcp"])
async def test_only_its_own_address_and_origin_are_served(emulator: Emulator, path: str) -> None:
    async with playing(leading_to(emulator)) as playground:
        own = playground.url.removeprefix("http://")
        port = own.rpartition(":")[2]
        async with playground.http() as http:
            method = "GET" if path == "/" else "POST"
            answers = [
                (await http.request(method, path, headers=headers)).status_code
                for headers in (
                    {"Host": "models.example.com"},
                    {"Host": f"attacker.example:{port}"},
                    {"Host": "127.0.0.1"},
                    {"Host": own, "Origin": "https://attacker.example"},
                    {"Host": own, "Origin": "null"},
                    {"Host": own, "Origin": f"http://localhost:{port}"},
                )
            ]

    assert answers == [421, 421, 421, 403, 403, 403]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"token": 1}', b"[" * 4000, b'{"token": "\xff"}'], ids=repr)
async def test_what_is_no_token_is_refused(emulator: Emulator, body: bytes) -> None:
    async with playing(leading_to(emulator)) as playground, playground.http() as http:
        playground.sessions.new_token()
        refused = await http.post("/session", content=body)
        too_long = await http.post("/session", content=b" " * 5000)
        wrong_method = await http.get("/session")
        nowhere = await http.get("/other")

    assert (refused.status_code, too_long.status_code) == (403, 413)
    assert (wrong_method.status_code, nowhere.status_code) == (405, 404)


async def test_the_settings_for_other_callers_do_not_open_or_close_the_page(emulator: Emulator) -> None:
    http = {"allowed_hosts": ["models.example.com"], "allowed_origins": ["https://example.com"]}
    async with playing(leading_to(emulator, http=http)) as playground:
        secret = (await exchange(playground, playground.sessions.new_token())).json()["secret"]
        own = await listed(playground, Authorization=f"Bearer {secret}", Origin=playground.url)
        other = await listed(playground, Authorization=f"Bearer {secret}", Origin="https://example.com")

    assert (own.status_code, other.status_code) == (200, 403)


async def test_the_page_can_load_and_run_nothing_but_itself(emulator: Emulator) -> None:
    async with playing(leading_to(emulator)) as playground, playground.http() as http:
        page = await http.get("/")

    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["style-src"])
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert not re.search(r"""(?:src|href)=["'](?!data:,)|url\(|@import|<script(?! type="module">)""", page.text)


def test_every_module_is_in_the_page_once_after_what_it_imports() -> None:
    modules = {path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.js")}
    html = build_page("page.html", "main.js", {}).html
    bundles = {entry: bundle(entry) for entry in ("main.js", "result_main.js")}
    comments = {name: text.partition("\n")[0] for name, text in modules.items()}

    assert {name for name in modules if not any(comments[name] in script for script in bundles.values())} == set()
    for script in bundles.values():
        assert_in_order(script, {name: text for name, text in modules.items() if comments[name] in script})
    assert html.count("<script") == html.count("</script>") == 1
    assert bundles["main.js"] in html


def assert_in_order(script: str, modules: dict[str, str]) -> None:
    places = {}
    for name, text in modules.items():
        comment = text.partition("\n")[0]
        assert script.count(comment) == 1, name
        places[name] = script.index(comment)
    for name, text in modules.items():
        for imported in re.findall(r'from "\./([\w.]+)"', text):
            assert places[imported] < places[name]
    assert not re.search(r"^(?:import|export)\b", script, re.MULTILINE)


def test_no_module_takes_text_for_markup() -> None:
    for path in ASSETS.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
