"""The resources: each model with examples that work as they are, and the whole answer of each call."""

import ast
import base64
import json
import shlex
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server.lowlevel import Server

from blaxel_mcp.apis import APIS
from blaxel_mcp.catalog.catalog import build_catalog
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.inference.answers import BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.resources import MODEL_TEMPLATE, Resources
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answers import StoredAnswer
from blaxel_mcp.tools.visibility import Visibility
from tests.support.canaries import KEY, MARKER
from tests.support.connecting import ERAS, Era
from tests.support.leaks import Client
from tests.tools.results.test_media import PNG, PNG64

pytestmark = pytest.mark.anyio

SETTINGS = Settings.model_validate(
    {
        "workspace": "acme",
        "api_key": KEY,
        "models": [
            {"name": "house-chat", "api": "chat-completions", "tool": "ask", "locked": {"temperature": 0}},
            {"name": "house-embed", "api": "embeddings", "workspace": "other"},
            {
                "name": "raw-one",
                "api": "raw",
                "url": "https://example.com/base",
                "defaults": {"parameters": {"top_k": 2}},
            },
        ],
    }
)
RECORD = ModelRecord(name="house-chat", runtime_type="openai", provider_model="gpt-4o-mini", status="DEPLOYED")


async def _look_up(entry: CatalogEntry) -> Lookup:
    return Lookup(RECORD) if entry.name == RECORD.name else Lookup(None, "the control plane did not answer")


@asynccontextmanager
async def _connect(
    spools: Path, settings: Settings = SETTINGS, era: Era = "2026-07-28", stores: type[CallStore] = CallStore
) -> AsyncIterator[Client]:
    """A client of a server with a few kept answers."""
    catalog = build_catalog(settings)
    async with stores(spools=spools) as store:
        for items in (1, 50_000):
            await store.put(f"call_{items}", JSONAnswer(json.dumps([1.5] * items, separators=(",", ":")), None))
        await store.put("call_json", JSONAnswer(f'{{"n":1.10,"a/b":["{PNG64}","é"]}}', None))
        await store.put("call_text", TextAnswer("plain"))
        await store.put("call_picture", BinaryAnswer(PNG, "image/png"))
        resources = Resources(
            catalog=lambda: catalog,
            store=store,
            settings=settings,
            look_up=_look_up,
            spending=Spending(settings),
            visibility=Visibility(),
        )
        server: Server[Any] = Server(
            "blaxel",
            on_list_resources=resources.list_resources,
            on_list_resource_templates=resources.list_templates,
            on_read_resource=resources.read,
            on_completion=resources.complete,
        )
        async with Client(server, mode=era) as client:
            yield client


async def _guide(client: Client, name: str) -> dict[str, Any]:
    (contents,) = (await client.read_resource(f"blaxel://models/{name}")).contents
    assert isinstance(contents, types.TextResourceContents)
    guide: dict[str, Any] = json.loads(contents.text)
    return guide


@pytest.mark.parametrize("era", ERAS)
async def test_the_models_are_listed_and_calls_are_not(tmp_path: Path, era: Era) -> None:
    async with _connect(tmp_path, era=era) as client:
        listed = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates

    assert [resource.uri for resource in listed] == [
        "blaxel://models",
        "blaxel://usage",
        "blaxel://models/house-chat",
        "blaxel://models/house-embed",
        "blaxel://models/raw-one",
    ]
    assert [template.uri_template for template in templates] == [
        "blaxel://models/{name}",
        "blaxel://models/{name}/request{?arguments}",
        "blaxel://calls/{call_id}",
    ]


async def test_the_list_of_models_leads_to_each(tmp_path: Path) -> None:
    async with _connect(tmp_path) as client:
        (contents,) = (await client.read_resource("blaxel://models")).contents

    assert isinstance(contents, types.TextResourceContents)
    models = json.loads(contents.text)["models"]
    assert [(model["name"], model["tool"], model["path"], model["uri"]) for model in models] == [
        ("house-chat", "ask", "/v1/chat/completions", "blaxel://models/house-chat"),
        ("house-embed", "house-embed", "/v1/embeddings", "blaxel://models/house-embed"),
        ("raw-one", "raw-one", "/", "blaxel://models/raw-one"),
    ]


async def test_a_model_is_told_with_its_record_and_the_same_call_in_each_way(tmp_path: Path) -> None:
    async with _connect(tmp_path) as client:
        guide = await _guide(client, "house-chat")
        assert await _guide(client, "ask") == guide

    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
    assert (guide["type"], guide["provider_model"], guide["status"]) == ("openai", "gpt-4o-mini", "DEPLOYED")
    assert guide["example_arguments"] == {"prompt": "Hello"}
    assert guide["example_body"] == body
    assert shlex.split(guide["curl"]) == [
        "curl",
        "https://run.blaxel.ai/acme/models/house-chat/v1/chat/completions",
        "-H",
        "X-Blaxel-Authorization: Bearer $BL_API_KEY",
        "-H",
        "X-Blaxel-Workspace: acme",
        "-H",
        "Content-Type: application/json",
        "-d",
        json.dumps(body, separators=(",", ":")),
    ]
    assert shlex.split(guide["bl"])[:8] == (
        ["bl", "run", "model", "house-chat", "--workspace", "acme", "--path", "/v1/chat/completions"]
    )
    assert MARKER not in json.dumps(guide)


async def _request(client: Client, name: str, arguments: Any) -> dict[str, Any]:
    return await _guide(client, f"{name}/request?arguments={quote(json.dumps(arguments))}")


async def test_the_request_for_any_arguments_is_shown_in_each_way_and_not_sent(tmp_path: Path) -> None:
    prompt = 'What\'s 50% & $HOME?\n"é"'
    async with _connect(tmp_path) as client:
        request = await _request(client, "house-chat", {"prompt": prompt, "temperature": 1, "stop": None})

    body = request["example_body"]
    assert body["messages"] == [{"role": "user", "content": prompt}]
    assert body["temperature"] == 0, "locked"
    assert json.loads(shlex.split(request["curl"])[-1]) == json.loads(shlex.split(request["bl"])[-1]) == body
    call = ast.parse(request["python"]).body[2]
    assert isinstance(call, ast.Assign)
    assert isinstance(call.value, ast.Call)
    keywords = {keyword.arg: keyword.value for keyword in call.value.keywords}
    assert ast.literal_eval(keywords["json"]) == body
    assert MARKER not in json.dumps(request)


async def test_a_file_in_a_request_that_is_only_shown_is_not_read(tmp_path: Path) -> None:
    picture = "https://example.com/a.png"
    async with _connect(tmp_path) as client:
        request = await _request(client, "house-chat", {"prompt": "?", "images": [picture, "/etc/hostname"]})

    content = request["example_body"]["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in content if part["type"] == "image_url"] == [picture, "/etc/hostname"]


async def test_arguments_that_make_no_request_are_answered_with_the_reason(tmp_path: Path) -> None:
    async with _connect(tmp_path) as client:
        request = await _request(client, "house-chat", {})
        with pytest.raises(MCPError, match="must be a JSON object"):
            await _request(client, "house-chat", ["text"])
        with pytest.raises(MCPError, match="must be a JSON object"):
            await _guide(client, "house-chat/request?arguments=%7B")

    assert request["curl"] is None
    assert request["curl_problem"].startswith("There is no message for the model to answer.")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param('{"images":5,"prompt":"?"}', id="a number for a list"),
        pytest.param('{"messages":5,"prompt":"?"}', id="another"),
        pytest.param(f'{{"messages":{"[" * 399}{"]" * 399}}}', id="deep nesting"),
    ],
)
async def test_arguments_that_the_tool_rejects_make_no_request_either(tmp_path: Path, arguments: str) -> None:
    async with _connect(tmp_path) as client:
        request = await _guide(client, f"house-chat/request?arguments={quote(arguments)}")

    assert request["curl"] is None
    assert "nvalid arguments" in request["curl_problem"] or "levels deep" in request["curl_problem"]


async def test_a_number_that_json_cannot_hold_makes_no_arguments(tmp_path: Path) -> None:
    async with _connect(tmp_path) as client:
        with pytest.raises(MCPError, match="must be a JSON object"):
            await _guide(client, "house-chat/request?arguments=%7B%22prompt%22%3A1e999%7D")


async def test_a_model_without_a_record_is_told_by_the_settings_and_says_so(tmp_path: Path) -> None:
    async with _connect(tmp_path) as client:
        embed, raw = await _guide(client, "house-embed"), await _guide(client, "raw-one")

    assert embed["notes"] == ["the control plane did not answer"]
    assert "https://run.blaxel.ai/other/models/house-embed/v1/embeddings" in embed["curl"]
    assert embed["example_body"] == {"input": ["Hello"]}
    assert raw["example_body"] == {"inputs": "Hello", "parameters": {"top_k": 2}}
    assert shlex.split(raw["curl"])[1] == "https://example.com/base"
    assert "--path" not in raw["bl"]


async def test_without_a_workspace_a_model_is_told_without_an_address(tmp_path: Path) -> None:
    settings = Settings.model_validate({"models": [{"name": "m", "api": "raw"}]})
    async with _connect(tmp_path, settings) as client:
        guide = await _guide(client, "m")

    assert "curl" not in guide
    assert guide["input_schema"]["properties"]["inputs"]


@pytest.mark.parametrize("api", [api.name for api in APIS])
async def test_the_example_of_every_api_fits_its_own_schema(tmp_path: Path, api: str) -> None:
    settings = Settings.model_validate({"workspace": "acme", "models": [{"name": "m", "api": api}]})
    (entry,) = build_catalog(settings).entries
    async with _connect(tmp_path, settings) as client:
        guide = await _guide(client, "m")

    ready, repairs = entry.schema.validator.validate(guide["example_arguments"])
    assert (ready, repairs) == (guide["example_arguments"], [])
    if guide.get("example_body"):
        entry.api.check(guide["example_body"])


@pytest.mark.parametrize(
    ("uri", "media_type", "content"),
    [
        pytest.param("blaxel://calls/call_json", "application/json", f'{{"n":1.10,"a/b":["{PNG64}","é"]}}', id="JSON"),
        pytest.param("blaxel://calls/call_json/n", "application/json", "1.10", id="a part of it"),
        pytest.param("blaxel://calls/call_json/a~1b/1", "application/json", '"é"', id="a string in it"),
        pytest.param("blaxel://calls/call_json/a~1b/0", "image/png", PNG, id="a picture in it"),
        pytest.param("blaxel://calls/call_text", "text/plain", "plain", id="text"),
        pytest.param("blaxel://calls/call_picture", "image/png", PNG, id="a picture"),
    ],
)
@pytest.mark.parametrize("era", ERAS)
async def test_the_answer_of_a_call_is_read_whole(
    tmp_path: Path, era: Era, uri: str, media_type: str, content: str | bytes
) -> None:
    async with _connect(tmp_path, era=era) as client:
        (contents,) = (await client.read_resource(uri)).contents

    read = contents.text if isinstance(contents, types.TextResourceContents) else base64.b64decode(contents.blob)
    assert (contents.uri, contents.mime_type, read) == (uri, media_type, content)


class _Watched(StoredAnswer):
    """An answer that notes in which threads its text is read."""

    threads: ClassVar[list[int]] = []

    @property
    def text(self) -> str:
        self.threads.append(threading.get_ident())
        return super().text


class _WatchedStore(CallStore):
    async def get(self, call_id: str) -> StoredAnswer:
        answer = await super().get(call_id)
        return _Watched(answer.kind, answer.media_type, answer.data)


@pytest.mark.parametrize("items", [1, 50_000])
async def test_a_part_of_a_long_answer_is_looked_for_in_a_thread(tmp_path: Path, items: int) -> None:
    _Watched.threads.clear()
    async with _connect(tmp_path, stores=_WatchedStore) as client:
        await client.read_resource(f"blaxel://calls/call_{items}/{items - 1}")

    assert {thread == threading.get_ident() for thread in _Watched.threads} == {items == 1}


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        pytest.param("blaxel://models/nope", "There is no such model", id="a model"),
        pytest.param("blaxel://calls/call_none", "No call 'call_none' is known here", id="a call"),
        pytest.param("blaxel://calls/call_json/nope", "selects nothing at step 'nope'", id="a part"),
        pytest.param("blaxel://secrets", "The resources are blaxel://models", id="anything else"),
    ],
)
async def test_a_missing_resource_is_a_protocol_error_that_names_it(tmp_path: Path, uri: str, why: str) -> None:
    async with _connect(tmp_path) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)

    assert (caught.value.code, caught.value.data) == (types.INVALID_PARAMS, {"uri": uri})
    assert why in caught.value.message


@pytest.mark.parametrize("uri", ["blaxel://calls/call_json/", "blaxel://models/chat/request?arguments="])
async def test_a_uri_is_not_read_beyond_its_limit(tmp_path: Path, uri: str) -> None:
    async with _connect(tmp_path) as client:
        with pytest.raises(MCPError, match="A URI has at most 100,000 characters"):
            await client.read_resource(uri + "%22" * 50_000)


@pytest.mark.parametrize(
    ("template", "typed", "values"),
    [
        pytest.param(MODEL_TEMPLATE, "HOUSE", ["house-chat", "house-embed"], id="what begins so, in any case"),
        pytest.param(MODEL_TEMPLATE, "", ["house-chat", "house-embed", "raw-one"], id="everything"),
        pytest.param(MODEL_TEMPLATE, "x", [], id="nothing"),
        pytest.param("blaxel://calls/{call_id}", "call_", [], id="calls are never given away"),
    ],
)
async def test_names_of_models_are_completed(tmp_path: Path, template: str, typed: str, values: list[str]) -> None:
    variable = "name" if template == MODEL_TEMPLATE else "call_id"
    async with _connect(tmp_path) as client:
        reference = types.ResourceTemplateReference(type="ref/resource", uri=template)
        completed = await client.complete(reference, {"name": variable, "value": typed})

    assert completed.completion == types.Completion(values=values, total=len(values), has_more=False)


async def test_a_text_that_begins_no_name_is_not_sent_back_a_hundred_times(tmp_path: Path) -> None:
    async with _connect(tmp_path) as client:
        reference = types.PromptReference(type="ref/prompt", name="compare")
        completed = await client.complete(reference, {"name": "models", "value": "x" * 100_000 + ",house"})

    assert completed.completion.values == []
