"""A host of MCP Apps in a real browser: the bridge of `@modelcontextprotocol/ext-apps`, and a client of our server."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.client import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID

from blaxel_mcp.settings.loading import Configuration
from tests.clients.installed import CLIENTS
from tests.support.connecting import connect
from tests.support.leaks import Client
from tests.support.playground import BROWSER, BROWSER_ARGUMENTS

HOST, VIEW = "http://host.test/", "http://view.test/"
RESULT_URI = "ui://blaxel/result.html"
RESTRICTIVE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'self'"
)
"""What a host has to allow at most without declared domains (MCP Apps 2026-01-26, host behavior)."""

_PAGE = """<!doctype html><meta charset="utf-8"><title>Host</title><link rel="icon" href="data:,"><script type="module">
import { AppBridge, PostMessageTransport } from "./bridge.js";

window.openApp = async (tool, capabilities, context) => {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style = "width: 700px; height: 300px; border: 0";
  frame.title = "app";
  frame.src = "VIEW_URL";
  const bridge = new AppBridge(null, { name: "host", version: "1" }, capabilities, {
    hostContext: { toolInfo: { tool }, ...context },
  });
  bridge.oncalltool = (params) => window.serverAnswer("tools/call", params);
  bridge.onreadresource = (params) => window.serverAnswer("resources/read", params);
  bridge.onrequestdisplaymode = async ({ mode }) => ({ mode: (window.mode = mode) });
  bridge.onsizechange = ({ height }) => (frame.style.height = `${height}px`);
  const ready = new Promise((resolve) => (bridge.oninitialized = resolve));
  document.body.append(frame);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await ready;
  window.bridge = bridge;
};
window.isReady = true;
</script>""".replace("VIEW_URL", VIEW)


class AppHost:
    """An open host, and the app in it.

    Args:
        client: Calls our server.
        page: The host's page, as Playwright drives it.

    Attributes:
        app: The app's frame.
        asked: The requests of the app that the host has passed on: the method, and the tool or the URI.
        complaints: What the browser has complained about: errors, and violations of a policy.
        foreign: The URLs that were asked for and are none of the host's own.
    """

    def __init__(self, client: Client, page: Any) -> None:
        self.client, self.page = client, page
        self.app = page.frame_locator("iframe")
        self.asked: list[tuple[str, str]] = []
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._look_at(request.url))

    async def show(
        self, tool: str, arguments: dict[str, Any], *, reads_resources: bool = True, **context: Any
    ) -> types.CallToolResult:
        """Call a tool as a model would, and show its result in the app."""
        definition = next(each for each in (await self.client.list_tools()).tools if each.name == tool)
        assert definition.meta == {"ui": {"resourceUri": RESULT_URI}}
        capabilities: dict[str, dict[str, Any]] = {
            "serverTools": {},
            **({"serverResources": {}} if reads_resources else {}),
        }
        await self.page.evaluate("args => openApp(...args)", [plain(definition), capabilities, context])
        await self.page.evaluate("args => bridge.sendToolInput(args)", {"arguments": arguments})
        result = await self.client.call_tool(tool, arguments)
        await self.page.evaluate("result => bridge.sendToolResult(result)", plain(result))
        return result

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer a request that the app sent through the host."""
        self.asked.append((method, params.get("name") or params["uri"]))
        if method == "tools/call":
            return plain(await self.client.call_tool(params["name"], params.get("arguments")))
        return plain(await self.client.read_resource(params["uri"]))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _look_at(self, url: str) -> None:
        if not url.startswith((HOST, VIEW, "blob:", "data:")):
            self.foreign.append(url)


def plain(model: Any) -> dict[str, Any]:
    """Return a model of the protocol as it travels."""
    value: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


@asynccontextmanager
async def hosting(config: Configuration, **options: Any) -> AsyncIterator[AppHost]:
    """Open a host for a server with this configuration."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not installed everywhere

    extensions = [advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})]
    async with connect(config, extensions=extensions) as client, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=BROWSER, args=list(BROWSER_ARGUMENTS))
        page = await browser.new_page(**{"viewport": {"width": 760, "height": 900}, **options})
        page.set_default_timeout(60_000)
        host = AppHost(client, page)
        (contents,) = (await client.read_resource(RESULT_URI)).contents
        assert isinstance(contents, types.TextResourceContents)
        await _serve(page, f"{HOST}bridge.js", bridge(), "text/javascript")
        await _serve(page, HOST, _PAGE, "text/html")
        await _serve(page, VIEW, contents.text, "text/html", {"Content-Security-Policy": RESTRICTIVE})
        await page.expose_function("serverAnswer", host.answer)
        await page.goto(HOST)
        await page.wait_for_function("window.isReady")
        yield host
        await browser.close()


async def _serve(page: Any, url: str, text: str, kind: str, headers: dict[str, str] | None = None) -> None:
    async def fulfill(route: Any) -> None:
        await route.fulfill(body=text, content_type=f"{kind}; charset=utf-8", headers=headers or {})

    await page.route(url, fulfill)


@cache
def bridge() -> str:
    """Return the host's side of the extension as one module."""
    folder = CLIENTS / "apps"
    source = 'export { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";'
    program = Path(folder, "node_modules/.bin/esbuild").absolute()
    words = [str(program), "--bundle", "--format=esm", "--platform=browser", "--log-level=error"]
    finished = subprocess.run(words, input=source, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return finished.stdout
