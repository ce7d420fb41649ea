"""The result app in a host of `@modelcontextprotocol/ext-apps` and a real browser, under the policy of such hosts."""

from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator
from tests.clients.installed import needs
from tests.playground.conftest import Says
from tests.support.app_host import hosting
from tests.support.connecting import inference_requests, leading_to, receipt_of
from tests.support.playground import require_browser

require_browser()

pytestmark = [pytest.mark.anyio, needs("apps")]

LONG = "".join(f"Sentence {number} of a long story. " for number in range(3000))


async def test_a_picture_is_shown_at_full_size_with_its_receipt_and_asked_for_again_with_changes(
    emulator: Emulator,
) -> None:
    budget = {"ledger": ":memory:", "calls_per_day": 10}
    async with hosting(leading_to(emulator, models=None, budget=budget)) as host:
        modes = ["inline", "fullscreen"]
        await host.show("house-painter", {"prompt": "A house"}, theme="dark", availableDisplayModes=modes)
        picture = host.app.get_by_role("img").first
        await picture.evaluate("image => image.decode()")
        await host.app.get_by_role("button", name="Full size").click()
        assert await picture.evaluate("image => image.width === image.naturalWidth && image.width > 0")
        await host.app.get_by_text("1 call of 10 calls").wait_for()
        assert "Cost" in await host.app.get_by_role("article").inner_text()
        await host.app.get_by_role("button", name="Full screen").click()
        await host.page.wait_for_function("window.mode === 'fullscreen'")
        assert await host.app.locator(":root").evaluate("root => getComputedStyle(root).colorScheme") == "dark"

        await host.app.get_by_text("Again with changes").click()
        assert await host.app.locator("[name=prompt]").input_value() == "A house"
        await host.app.locator("[name=prompt]").fill("A house by the sea")
        await host.app.get_by_role("button", name="Send").click()
        await host.app.locator("article[data-state=done]").wait_for()
        await host.app.get_by_text("2 calls of 10 calls").wait_for()

        assert ("tools/call", "house-painter") in host.asked
        assert await host.app.get_by_role("article").count() == 2
        assert (host.complaints, host.foreign) == ([], [])
    assert b"A house by the sea" in inference_requests(emulator.requests)[1].body


async def test_a_long_text_is_read_page_by_page_and_runs_no_markup(emulator: Emulator) -> None:
    Says(emulator, f"<img src=x onerror=\"document.title='pwned'\"> {LONG}")
    settings = {"models": None, "limits": {"max_result_chars": 10_000}}
    async with hosting(leading_to(emulator, **settings)) as host:
        await host.show("house-chat", {"prompt": "Tell me a long story"})
        await host.app.get_by_role("button", name="Read the whole text").click()
        page = host.app.get_by_label("A page of the text")
        await host.app.get_by_text("characters 1 to 10,000 of").wait_for()
        assert (await page.inner_text()).startswith("<img src=x")
        await host.app.get_by_role("button", name="Next page").click()
        await host.app.get_by_text("characters 10,001 to 20,000 of").wait_for()
        await host.app.get_by_role("button", name="Previous page").click()
        await host.app.get_by_text("characters 1 to 10,000 of").wait_for()

        assert host.asked.count(("tools/call", "read_result")) == 3
        assert await host.app.locator("article img").count() == 0
        assert (host.complaints, host.foreign) == ([], [])


async def test_sounds_and_vectors_are_shown_and_a_picture_too_large_for_the_result_is_read(emulator: Emulator) -> None:
    settings = {"models": None, "limits": {"max_media_bytes": 0, "max_result_chars": 1000}}
    async with hosting(leading_to(emulator, **settings)) as host:
        result = await host.show("house-painter", {"prompt": "A house"}, reads_resources=False)
        await host.app.get_by_role("button", name="Show").click()
        await host.app.get_by_role("img").evaluate("image => image.decode()")
        assert ("tools/call", "app_resource") in host.asked
        assert receipt_of(result)["model"] == "house-painter"
        assert (host.complaints, host.foreign) == ([], [])
    async with hosting(leading_to(emulator, models=None, limits={"max_result_chars": 1000})) as host:
        await host.show("house-embed", {"input": ["a house", "a home"]})
        await host.app.get_by_role("button", name="Load the whole answer").click()
        await host.app.get_by_text("Cosine similarity").wait_for()
        assert await host.app.locator("svg.plot").count() == 2
        assert (host.complaints, host.foreign) == ([], [])
    async with hosting(leading_to(emulator, models=None)) as host:
        await host.show("house-voice", {"input": "Hello", "voice": "alloy", "response_format": "wav"})
        sound = host.app.locator("audio")
        await sound.evaluate("sound => sound.duration > 0 || new Promise((done) => (sound.onloadedmetadata = done))")
        assert (host.complaints, host.foreign) == ([], [])


async def test_an_error_says_what_happened_and_a_slow_call_is_waited_for(emulator: Emulator) -> None:
    async with hosting(leading_to(emulator, models=None, limits={"detach_after_seconds": 0.05})) as host:
        await host.show(
            "run_model", {"model": "fault-slow-1s", "data": {"messages": [{"role": "user", "content": "Hi"}]}}
        )
        await host.app.get_by_text("Receipt").wait_for()
        assert ("tools/call", "read_result") in host.asked
        assert await host.app.get_by_role("alert").is_hidden()
    async with hosting(leading_to(emulator, models=None)) as host:
        await host.show("run_model", {"model": "fault-400", "data": {}})
        await host.app.locator(".error").wait_for()
        assert "Billed" in await host.app.locator(".error").inner_text()
        assert (host.complaints, host.foreign) == ([], [])


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_the_app(emulator: Emulator, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core is not installed").Axe()
    found: list[tuple[str, str, list[str]]] = []
    calls: dict[str, dict[str, Any]] = {
        "house-chat": {"prompt": f"Repeat: {LONG}"},
        "house-embed": {"input": ["a house", "a home"]},
        "run_model": {"model": "fault-402", "data": {}},
    }
    budget = {"ledger": ":memory:", "calls_per_day": 100}
    for tool, arguments in calls.items():
        settings = {"models": None, "budget": budget, "limits": {"max_result_chars": 10_000}}
        # Its script is let in only here.
        async with hosting(leading_to(emulator, **settings), color_scheme=theme, bypass_csp=True) as host:
            await host.show(tool, arguments, theme=theme, availableDisplayModes=["inline", "fullscreen"])
            await host.app.get_by_label("Today's usage").get_by_text("of 100 calls").wait_for()
            await host.app.get_by_text("Again with changes").click()
            (frame,) = host.page.main_frame.child_frames
            violations = (await axe.run(frame)).response["violations"]
            found += [
                (tool, violation["id"], [node["target"] for node in violation["nodes"]])
                for violation in violations
                if violation["impact"] in ("serious", "critical")
            ]
    assert found == []
