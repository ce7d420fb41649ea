"""A page of the Playground in a real browser."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator, Upstream
from tests.support.connecting import leading_to
from tests.support.playground import BROWSER, BROWSER_ARGUMENTS, OpenPlayground, playing


class BrowserPage:
    """An open page.

    Args:
        playground: The Playground behind it.
        page: The page, as Playwright drives it.

    Attributes:
        complaints: What the browser has complained about: errors, and violations of the page's policy.
        foreign: The URLs that it has asked for and that are not this server's.
    """

    def __init__(self, playground: OpenPlayground, page: Any) -> None:
        self.playground, self.page = playground, page
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._look_at(request.url))

    async def choose(self, model: str, compared: str = "", /) -> None:
        """Choose a model, and one to compare with."""
        await self.page.get_by_role("radio", name=model).check()
        await self.page.get_by_label("Compare with").select_option(compared)

    async def fill(self, **fields: str) -> None:
        """Fill in fields by their names."""
        for name, text in fields.items():
            await self.page.locator(f"[name={name}]").fill(text)

    async def send(self) -> None:
        """Send the request as people do who do not touch the mouse."""
        await self.page.keyboard.press("Control+Enter")

    async def ended(self, count: int = 1) -> Any:
        """Wait until so many calls have ended, and return their answers."""
        answers = self.page.locator("article[data-state]")
        await answers.nth(count - 1).wait_for()
        return answers

    async def ask(self, model: str, compared: str = "", /, **fields: str) -> Any:
        """Return the answers to a request."""
        await self.choose(model, compared)
        await self.fill(**fields)
        await self.send()
        return await self.ended(2 if compared else 1)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _look_at(self, url: str) -> None:
        if not url.startswith((self.playground.url, "blob:", "data:")):
            self.foreign.append(url)


class Says(Upstream):
    """The upstream of an emulator: every chat model answers with this message."""

    def __init__(self, emulator: Emulator, content: str | None, **message: Any) -> None:
        self._message = {"role": "assistant", "content": content, **message}
        emulator.upstream = self

    async def post(self, _path: str, _body: bytes) -> tuple[int, str, bytes]:
        answer = {"choices": [{"index": 0, "message": self._message, "finish_reason": "stop"}]}
        return 200, "application/json", json.dumps(answer).encode()


OpenPage = Callable[..., Awaitable[BrowserPage]]


@asynccontextmanager
async def browsing(emulator: Emulator, settings: dict[str, Any], options: dict[str, Any]) -> AsyncIterator[BrowserPage]:
    """Open the page in a new browser, with these settings and options of Playwright's `new_page`."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not installed everywhere

    config = leading_to(emulator, **{"models": None, "limits": {"detach_after_seconds": 0}, **settings})
    async with playing(config) as playground, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=BROWSER, args=list(BROWSER_ARGUMENTS))
        page = await browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **options})
        page.set_default_timeout(60_000)
        opened = BrowserPage(playground, page)
        await page.goto(playground.link())
        await page.locator("main").wait_for()
        yield opened
        await browser.close()


@pytest.fixture
async def open_page(emulator: Emulator) -> AsyncIterator[OpenPage]:
    """Opens pages; `settings` are the server's, everything else is passed to the browser."""
    async with AsyncExitStack() as stack:

        async def open_one(settings: dict[str, Any] | None = None, **options: Any) -> BrowserPage:
            return await stack.enter_async_context(browsing(emulator, settings or {}, options))

        yield open_one
