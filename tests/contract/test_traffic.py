"""Provider traffic of the shapes that were recorded in the field, through the server: streams, usage, media, errors.

`traffic/cases.json` lists the cases. Each has the bytes of a response, or a request body, and a file that says what an
agent or a program must see of it.
"""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import connect, error_of, leading_to, receipt_of

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "traffic"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))
PRICE = {"input": 1.0, "output": 10.0}
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{80,}")


class InPieces(httpx.AsyncByteStream):
    """A body in pieces that end anywhere."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._size = 7 if len(body) < 20_000 else 4000

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


def expected_of(case: dict[str, Any]) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((FOLDER / f"{case['name']}.expected.json").read_text(encoding="utf-8"))
    return expected


def answering(case: dict[str, Any], sent: list[bytes]) -> httpx.MockTransport:
    """A provider that answers with the bytes of a case, and keeps what it was sent."""
    body = b'{"candidates": []}' if case["check"] == "request" else (FOLDER / case["file"]).read_bytes()

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append(await request.aread())
        headers = {"content-type": case.get("content_type") or "application/json"}
        return httpx.Response(case.get("status") or 200, headers=headers, stream=InPieces(body))

    return httpx.MockTransport(answer)


async def call(
    case: dict[str, Any], tool: str, arguments: dict[str, Any], sent: list[bytes] | None = None, **model: Any
) -> types.CallToolResult:
    """Call a tool of a server whose only model is answered by the case; `sent` gets the bodies of the requests."""
    entry = {"name": "m", "price": PRICE, **model}
    config = leading_to(Emulator(), models=[entry], discovery={"enabled": False})
    async with connect(config, transport=answering(case, [] if sent is None else sent)) as client:
        return await client.call_tool(tool, arguments)


async def run_model(case: dict[str, Any]) -> types.CallToolResult:
    arguments = {"model": "m", "path": case["path"], "data": case.get("data", {"stream": True})}
    return await call(case, "run_model", arguments)


def of_kind(check: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case["name"]) for case in CASES if case["check"] == check]
    )


def texts_of(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


@of_kind("value")
async def test_a_stream_becomes_the_answer_that_the_provider_gives_without_one(case: dict[str, Any]) -> None:
    result = await run_model(case)

    assert not result.is_error, texts_of(result)
    value = json.loads(texts_of(result))
    assert value == expected_of(case)
    if (value.get("usage") or {}).get("total_tokens"):
        assert receipt_of(result)["usage"]


@of_kind("usage")
async def test_what_a_provider_reports_is_counted_and_priced(case: dict[str, Any]) -> None:
    receipt = receipt_of(await run_model(case))

    expected = expected_of(case)
    told = {name: receipt["usage"][name] for name in expected.get("usage", {})}
    assert told == expected.get("usage", {})
    if "cost_usd" in expected:
        assert receipt["cost_usd"] == pytest.approx(expected["cost_usd"])


@of_kind("media")
async def test_media_become_blocks_and_no_base64_stays_in_the_text(case: dict[str, Any]) -> None:
    result = await run_model(case)

    expected, text = expected_of(case), texts_of(result)
    kinds = [mime_type for block in result.content if (mime_type := getattr(block, "mime_type", None))]
    if expected.get("any"):
        assert len(kinds) == 1
        assert kinds[0] in expected["media"]
    else:
        assert kinds == expected["media"]
    longest = max(map(len, _BASE64.findall(text)), default=0)
    assert longest <= expected.get("no_base64_over", len(text))
    counted = {name: receipt_of(result)["usage"][name] for name in expected.get("usage", {})}
    assert counted == expected.get("usage", {})


@of_kind("error")
async def test_an_error_is_the_providers_with_its_words_its_wait_and_advice_that_fits(case: dict[str, Any]) -> None:
    result = await run_model(case)

    assert result.is_error
    error, expected = error_of(result), expected_of(case)
    fields = {name: value for name, value in expected.items() if name in error}
    assert {name: error[name] for name in fields} == fields
    assert expected.get("message_has", "") in error["message"]
    assert expected.get("hint_has", "") in error["hint"]
    assert expected.get("text_has", "") in texts_of(result)


@of_kind("text_result")
async def test_a_text_result_without_text_shows_the_tool_calls(case: dict[str, Any]) -> None:
    result = await call(case, "m", {"prompt": "x"}, api="chat-completions", result="text")

    assert expected_of(case)["text_has"] in texts_of(result)


@of_kind("request")
async def test_a_request_that_the_provider_takes_is_sent_as_it_is(case: dict[str, Any]) -> None:
    request = json.loads((FOLDER / case["file"]).read_bytes())
    sent: list[bytes] = []
    result = await call(case, "m", request, sent, api=case["api"], path="/v1beta/models/g:generateContent")

    assert not result.is_error, texts_of(result)
    assert json.loads(sent[-1]) == request
