"""Secrets in what is kept of calls: files of answers, the ledger and receipts.

`leaks` searches every file below the home directory after each test, and before a server removes its own.
"""

from pathlib import Path

import httpx
import pytest

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.catalog.cache import catalog_cache
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.store.spool import default_spools
from tests.support.canaries import CLIENT_CREDENTIALS, HTTP_TOKEN, KEY
from tests.support.connecting import answer_of, connect, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n"


class Painter(httpx.AsyncBaseTransport):
    """Answer with a picture that contains the request's header, as a debug build of a renderer might."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "/v0/" in request.url.path:
            return httpx.Response(404, json={"code": 404, "error": "not found"})
        said = request.headers["x-blaxel-authorization"].encode()
        return httpx.Response(200, content=PNG + said, headers={"content-type": "image/png"})


@pytest.mark.parametrize("kept", [False, True], ids=["for a while", "in the user's folder"])
async def test_a_file_of_an_answer_holds_no_secret(emulator: Emulator, home: Path, *, kept: bool) -> None:
    folder = home / "pictures"
    config = leading_to(emulator, limits={"max_media_bytes": 0}, files={"output_dir": str(folder) if kept else None})
    async with connect(config, transport=Painter()) as client:
        result = await client.call_tool("run_model", {"model": "house-painter", "data": {}})
        (file,) = (folder if kept else default_spools()).rglob("*.png")
        assert file.read_bytes() == PNG + b"Bearer [redacted]"

    assert file.name in text_of(result)


@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "sig"])
async def test_the_url_of_a_receipt_has_no_key_of_its_query(emulator: Emulator, name: str) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-echo-headers", "data": {}, "query": {name: KEY}})

    assert receipt_of(result)["url"].endswith(f"?{name}=[redacted]")


async def test_the_ledger_and_the_list_of_models_hold_no_secret(emulator: Emulator) -> None:
    config = leading_to(emulator, api_key=None, client_credentials=CLIENT_CREDENTIALS, budget={"calls_per_day": 9})
    async with connect(config) as client:
        answer_of(await client.call_tool("run_model", {"model": "fault-echo-headers", "data": {}}))
        await client.call_tool("run_model", {"model": "fault-401", "data": {}})
        ledger = default_ledger()
        written = {file.name for file in ledger.parent.iterdir()}
    cache = catalog_cache(Settings(workspace="acme"))
    assert cache
    cache.save([ModelRecord(name="m", url=f"https://user:{HTTP_TOKEN}@models.example")], listed_at=1.0)

    assert written == {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}
    assert cache.path.is_file()
