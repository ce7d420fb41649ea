"""The Playground in a real browser: what a person sees of calls, by keyboard, on a phone and with assistive tools."""

import json
import os

import pytest

from blaxel_mcp.emulator import Emulator
from tests.playground.conftest import OpenPage, Says
from tests.support.canaries import WRONG_KEY
from tests.support.connecting import inference_requests
from tests.support.docs_pages import README
from tests.support.held import HeldAnswers
from tests.support.playground import require_browser, until

require_browser()

pytestmark = pytest.mark.anyio

SLOW_STREAM = {
    "model": "fault-stream-slow",
    "path": "/v1/chat/completions",
    "data": '{"messages": [{"role": "user", "content": "Hello"}]}',
}


async def test_a_question_is_answered_with_a_receipt_and_counted(open_page: OpenPage) -> None:
    opened = await open_page({"budget": {"ledger": ":memory:", "calls_per_day": 10}})
    answers = await opened.ask("house-chat", prompt="What is 17 * 23?")

    text = await answers.inner_text()
    assert "17 * 23 = 391" in text
    assert "5 in, 5 out" in text
    assert "Cost\n$0.0000038" in text
    await opened.page.get_by_text("1 call of 10 calls").wait_for()
    assert await opened.page.get_by_label("Budget of calls").evaluate("meter => meter.value") == 0.1
    assert "done in" in await opened.page.locator("#history li").inner_text()
    assert (opened.complaints, opened.foreign) == ([], [])


async def test_a_dry_run_shows_request_cost_and_budget_and_sends_nothing(
    open_page: OpenPage, emulator: Emulator
) -> None:
    opened = await open_page({"budget": {"ledger": ":memory:", "calls_per_day": 1}})
    await opened.choose("house-chat")
    await opened.fill(prompt="What is 17 * 23?")
    await opened.page.get_by_role("button", name="Dry run").click()
    text = await opened.page.get_by_role("article", name="Dry run of house-chat").inner_text()

    assert "Nothing was sent to the model." in text
    assert "/demo/models/house-chat/v1/chat/completions" in text
    assert '"content": "What is 17 * 23?"' in text
    assert "Bearer ********" in text
    assert "in, at most 1,000 out" in text
    assert "Cost\nat most $0.000" in text
    assert "1 call of 1 call after this call" in text
    assert inference_requests(emulator.requests) == []

    await opened.ask("house-chat", prompt="What is 17 * 23?")
    await opened.page.get_by_role("button", name="Dry run").click()
    await opened.page.get_by_text("The budget refuses this call").wait_for()
    await opened.choose("Any other model")
    await opened.fill(model="fault-402", data='{"inputs": "x"}')
    await opened.page.get_by_role("button", name="Dry run").click()
    await opened.page.get_by_role("article", name="Dry run of fault-402").wait_for()
    await opened.choose("house-ears")
    await opened.fill(file="/a/note.wav")
    await opened.page.get_by_role("button", name="Dry run").click()
    failed = opened.page.get_by_role("article", name="Dry run of house-ears")
    assert "There is no dry run of a request that sends a file." in await failed.inner_text()
    assert len(inference_requests(emulator.requests)) == 1
    assert (opened.complaints, opened.foreign) == ([], [])


async def test_an_answer_is_shown_while_it_comes(open_page: OpenPage) -> None:
    opened = await open_page()
    await opened.choose("Any other model")
    await opened.fill(**SLOW_STREAM)
    await opened.send()

    growing = opened.page.locator(".growing", has_text="Slowly")
    await growing.wait_for()
    answers = await opened.ended()
    assert "Slowly but surely, one word after the other." in await answers.inner_text()
    assert await growing.count() == 0


async def test_pictures_sounds_vectors_and_scores_are_shown_as_what_they_are(open_page: OpenPage) -> None:
    opened = await open_page()
    answers = await opened.ask("house-painter", prompt="A house on a hill")
    picture = answers.get_by_role("img")
    await picture.evaluate("image => image.decode()")
    assert await picture.evaluate("image => image.naturalWidth") > 0

    await opened.choose("house-voice")
    await opened.page.get_by_text("More fields").click()
    answers = await opened.ask("house-voice", input="Hello", voice="alloy", response_format="wav")
    await answers.locator("audio").wait_for()

    answers = await opened.ask("house-embed", input="a cat\na kitten")
    assert await answers.locator("svg.plot").count() == 2
    assert "1,536 dimensions" in await answers.inner_text()
    assert "Cosine similarity" in await answers.inner_text()

    answers = await opened.ask("house-rerank", query="pets", documents="a cat\na bridge")
    assert await answers.get_by_role("rowheader").all_inner_texts() == ["a cat", "a bridge"]
    assert (opened.complaints, opened.foreign) == ([], [])


async def test_a_failure_is_shown_with_its_hint_and_whether_it_was_billed(open_page: OpenPage) -> None:
    opened = await open_page()
    answers = await opened.ask("Any other model", model="fault-402", data='{"inputs": "x"}')

    text = await answers.inner_text()
    assert "USAGE_LIMIT_EXCEEDED" in text
    assert "Code\nquota_exceeded" in text
    assert "Billed\nno" in text
    assert await answers.get_attribute("data-state") == "failed"


async def test_a_mistake_in_a_field_is_shown_at_the_field_and_nothing_is_sent(
    open_page: OpenPage, emulator: Emulator
) -> None:
    opened = await open_page()
    await opened.choose("Any other model")
    await opened.fill(model="house-chat", data="{")
    before = len(emulator.requests)
    await opened.send()

    field = opened.page.locator("[name=data]")
    assert await field.get_attribute("aria-invalid") == ""
    assert await field.evaluate("field => field === document.activeElement")
    assert await opened.page.get_by_text("This is not JSON.").is_visible()
    assert len(emulator.requests) == before


async def test_cancel_stops_the_call_at_the_model(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page()
    held = HeldAnswers(emulator)
    await opened.choose("house-chat", "edge-chat")
    await opened.fill(prompt="Hello")
    await opened.send()
    await until(lambda: opened.playground.app.requests.count == 2)

    await opened.page.get_by_role("button", name="Cancel").click()
    answers = await opened.ended(2)

    assert all("cancelled after" in text for text in await answers.all_inner_texts())
    await until(lambda: opened.playground.app.requests.count == 0)
    held.release()
    # The page is ready for the next request.
    assert "At last." in await (await opened.ask("house-chat", prompt="Hello")).inner_text()


async def test_two_models_answer_side_by_side_and_the_request_is_sent_again(open_page: OpenPage) -> None:
    opened = await open_page()
    answers = await opened.ask("house-chat", "house-claude", prompt="What is 6 * 7?")
    assert ["6 * 7 = 42" in text for text in await answers.all_inner_texts()] == [True, True]
    left, right = [await answers.nth(index).bounding_box() for index in (0, 1)]
    assert left
    assert right
    assert left["y"] == right["y"]

    await opened.ask("house-embed", input="something else")
    again = opened.page.get_by_role("button", name="Send again to house-chat and house-claude")
    await again.click()
    await opened.page.locator("#history li").nth(2).wait_for()
    answers = await opened.ended(2)
    assert ["6 * 7 = 42" in text for text in await answers.all_inner_texts()] == [True, True]


async def test_the_request_is_shown_in_each_format_with_the_keys_of_the_keyboard(open_page: OpenPage) -> None:
    opened = await open_page()
    await opened.choose("house-chat")
    await opened.fill(prompt="It's 100 %")
    panel = opened.page.get_by_role("tabpanel")
    shown = {}
    await opened.page.get_by_role("tab", name="curl").focus()
    for title, expected in (
        ("curl", "/v1/chat/completions"),
        ("bl run", "bl run model house-chat"),
        ("Python", "httpx.post("),
        ("MCP call", '"tools/call"'),
        ("MCP client", "mcpServers"),
    ):
        await panel.filter(has_text=expected).wait_for()
        shown[title] = await panel.inner_text()
        assert await opened.page.get_by_role("tab", selected=True).inner_text() == title
        await opened.page.keyboard.press("ArrowRight")

    assert "It'\"'\"'s 100 %" in shown["curl"]
    assert json.loads(shown["MCP call"])["params"]["arguments"] == {"prompt": "It's 100 %"}


async def test_the_form_has_every_field_of_the_model_and_they_reach_it(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page()
    await opened.choose("house-chat")
    await opened.page.get_by_text("More fields").click()
    await opened.ask("house-chat", prompt="Hello", temperature="0.5", reasoning_effort="low")

    body = json.loads(emulator.requests[-1].body)
    assert (body["temperature"], body["reasoning_effort"]) == (0.5, "low")


async def test_models_are_found_by_name_and_by_api(open_page: OpenPage) -> None:
    opened = await open_page()
    models = opened.page.get_by_role("radio")
    await opened.page.get_by_label("Search models").fill("house EMBED")
    assert [await model.get_attribute("value") for model in await models.all()] == ["house-embed"]
    await opened.page.get_by_label("Search models").fill("")
    await opened.page.get_by_label("API", exact=True).select_option("messages")
    assert [await model.get_attribute("value") for model in await models.all()] == ["house-claude"]


async def test_what_keeps_the_models_from_being_listed_is_said(open_page: OpenPage) -> None:
    opened = await open_page({"api_key": WRONG_KEY})

    await opened.page.get_by_role("alert").filter(has_text="401").wait_for()
    answers = await opened.ask("Any other model", model="house-chat", data='{"inputs": "x"}')
    assert "authentication_failed" in await answers.inner_text()


async def test_the_keyboard_keeps_its_place_when_a_call_starts_and_ends(
    open_page: OpenPage, emulator: Emulator
) -> None:
    opened = await open_page()
    held = HeldAnswers(emulator)
    await opened.choose("house-chat")
    await opened.fill(prompt="Hello")
    send, cancel = (opened.page.get_by_role("button", name=name) for name in ("Send Ctrl+Enter", "Cancel"))
    await send.focus()
    await opened.page.keyboard.press("Enter")
    await opened.page.locator("#cancel:focus").wait_for()
    assert await send.is_disabled()

    held.release()
    await opened.page.locator("#send:focus").wait_for()
    assert await cancel.is_disabled()


async def test_reloading_ends_the_session_and_the_link_does_not_work_twice(open_page: OpenPage) -> None:
    opened = await open_page()
    link = opened.playground.link()
    assert "token" not in opened.page.url

    await opened.page.reload()
    await opened.page.get_by_role("alert").filter(has_text="Press Enter in the terminal").wait_for()
    for notice in ("", "The link was used before"):
        await opened.page.goto("about:blank")
        await opened.page.goto(link)
        shown = opened.page.locator("main") if not notice else opened.page.get_by_role("alert").filter(has_text=notice)
        await shown.wait_for()


async def test_a_server_that_is_gone_is_reported(open_page: OpenPage) -> None:
    opened = await open_page()
    await opened.ask("house-chat", prompt="Hello")
    await opened.page.route("**/mcp", lambda route: route.abort())
    answers = await opened.ask("house-chat", prompt="Hello")

    assert "The server does not answer." in await answers.inner_text()


async def test_a_server_that_ends_during_a_call_is_reported(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page()
    HeldAnswers(emulator)
    await opened.choose("house-chat")
    await opened.fill(prompt="Hello")
    await opened.send()
    await until(lambda: opened.playground.app.requests.count == 1)
    opened.playground.app.requests.cancel_all()
    answers = await opened.ended()

    assert "The server" in await answers.inner_text()
    assert await answers.get_attribute("data-state") == "failed"


RICH = (
    """Some **bold** text, `code`, a [link](https://example.com), and a very long word: """
    + "x" * 300
    + """

1. one
2. two
   - three

| name | value |
|---|---|
| a | """
    + "y" * 100
    + """ |

```python
print("a line that is much longer than any phone is wide, so that it has to scroll in its own box")
```
"""
)


async def test_the_page_fits_a_small_phone(open_page: OpenPage, emulator: Emulator) -> None:
    opened = await open_page(viewport={"width": 360, "height": 740})
    Says(emulator, RICH)
    for model in ("house-chat", "house-embed", "house-painter", "Any other model"):
        fields = {
            "house-chat": {"prompt": "Hello"},
            "house-embed": {"input": "a\nb\nc"},
            "house-painter": {"prompt": "x"},
        }
        if model in fields:
            await opened.ask(model, **fields[model])
        else:
            await opened.choose(model)
        width = await opened.page.locator("html").evaluate("html => html.scrollWidth")
        assert width <= 360, model


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(open_page: OpenPage, emulator: Emulator, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core is not installed").Axe()
    # Its script is let in only here.
    opened = await open_page(
        {"budget": {"ledger": ":memory:", "calls_per_day": 3}}, color_scheme=scheme, bypass_csp=True
    )
    found: list[tuple[str, str, list[str]]] = []

    async def look(at: str) -> None:
        results = (await axe.run(opened.page)).response
        found.extend(
            (at, violation["id"], [node["target"] for node in violation["nodes"]])
            for violation in results["violations"]
            if violation["impact"] in ("serious", "critical")
        )

    await look("the empty page")
    await opened.fill(prompt="Hello")
    await opened.page.get_by_role("button", name="Dry run").click()
    await opened.page.get_by_role("article", name="Dry run of").wait_for()
    await look("a dry run")
    Says(emulator, RICH, reasoning_content="Well.")
    await opened.ask("house-chat", "edge-chat", prompt="Hello")
    await opened.page.locator("summary").first.click()
    await look("two answers")
    await opened.ask("house-embed", input="a\nb")
    await look("vectors")
    await opened.ask("house-painter", prompt="x")
    await look("a failure")
    assert found == []


async def test_the_picture_of_the_page_is_small_and_made_here(open_page: OpenPage) -> None:
    """With UPDATE_DOCS, take the picture again."""
    picture = README.parent / "docs" / "playground.png"
    if os.environ.get("UPDATE_DOCS"):
        opened = await open_page(viewport={"width": 1180, "height": 780})
        answers = await opened.ask("house-chat", "house-claude", prompt="What is 17 * 23?")
        await answers.locator("details").last.wait_for()
        await (
            opened.page.locator("[role=tabpanel]", has_text="curl https://")
            .or_(opened.page.locator("[role=tabpanel]", has_text="17 * 23"))
            .first.wait_for()
        )
        await opened.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
        await opened.page.screenshot(path=picture, animations="disabled")

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
