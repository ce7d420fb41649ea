"""The result app on the wire: who is offered it, what it contains, and that it costs other clients nothing."""

import base64
import html
import json
import re
from typing import Any

import mcp_types as types
import pytest
from mcp.client import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.schema import BUILTIN_TOOLS
from tests.support.connecting import ERAS, Era, connect, error_of, leading_to, receipt_of
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

URI = "ui://blaxel/result.html"
APPS = [advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})]
OTHER = [advertise(EXTENSION_ID, {"mimeTypes": ["text/html"]}), advertise("com.example/other")]


async def listed(client: Client) -> dict[str, Any]:
    tools = (await client.list_tools()).tools
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}


async def page(client: Client) -> types.TextResourceContents:
    (contents,) = (await client.read_resource(URI)).contents
    assert isinstance(contents, types.TextResourceContents)
    return contents


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_without_apps_is_sent_the_same_bytes_as_if_there_were_none(emulator: Emulator, era: Era) -> None:
    config = leading_to(emulator, models=None)
    async with connect(config, era) as plain, connect(config, era, extensions=OTHER) as other:
        sent = [json.dumps(list((await listed(client)).values())) for client in (plain, other)]
        resources = (await plain.list_resources()).model_dump_json()
        prompts = (await plain.list_prompts()).model_dump_json()
    async with connect(config, era, extensions=APPS) as client:
        shown = list((await listed(client)).values())

    assert sent[0] == sent[1]
    without_app = [{name: value for name, value in tool.items() if name != "_meta"} for tool in shown]
    assert json.dumps(without_app[:-1]) == sent[0]
    assert "ui" not in json.loads(sent[0])[0]
    for text in (*sent, resources, prompts):
        assert not re.search(r"ui://|app_resource|_meta", text)


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_with_apps_finds_the_app_of_each_tool_that_answers_for_a_model(
    emulator: Emulator, era: Era
) -> None:
    async with connect(leading_to(emulator, models=None), era, extensions=APPS) as client:
        tools = await listed(client)

    shown = {"ui": {"resourceUri": URI}}
    assert {name for name, tool in tools.items() if tool.get("_meta") == shown} == {
        *emulator.models,
        "run_model",
        "read_result",
    }
    assert tools["app_resource"]["_meta"] == {"ui": {"resourceUri": URI, "visibility": ["app"]}}
    assert [name for name in tools if name in BUILTIN_TOOLS] == list(BUILTIN_TOOLS)


async def test_the_app_declares_that_it_connects_to_nothing_and_allows_only_its_own_code(emulator: Emulator) -> None:
    async with connect(leading_to(emulator), extensions=APPS) as client:
        contents = await page(client)

    assert (contents.uri, contents.mime_type) == (URI, "text/html;profile=mcp-app")
    assert contents.meta is not None
    assert set(contents.meta["ui"]["csp"]) == {"connectDomains", "resourceDomains", "frameDomains", "baseUriDomains"}
    assert not any(contents.meta["ui"]["csp"].values())
    tag = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', contents.text)
    assert tag is not None
    policy = dict(rule.split(" ", 1) for rule in html.unescape(tag[1]).split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["script-src"])
    assert policy["img-src"] == policy["media-src"] == "data:"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(r"(?:src|href)=[\"']|url\(|@import|\sstyle=", contents.text)


async def test_the_app_is_told_the_names_of_the_tools_that_it_needs(emulator: Emulator) -> None:
    tools = {"prefix": "bl_", "builtin": ["run_model"]}
    async with connect(leading_to(emulator, tools=tools), extensions=APPS) as client:
        names = set(await listed(client))
        text = (await page(client)).text

    config = re.search(r'id="config">({.*?})<', text)
    assert config is not None
    assert json.loads(config[1]) == {"reader": None, "resources": "bl_app_resource"}
    assert "bl_app_resource" in names


async def test_the_apps_own_tool_reads_resources_and_names_what_is_missing(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=None), extensions=APPS) as client:
        picture = await client.call_tool("house-painter", {"prompt": "A house"})
        uri = f"blaxel://calls/{receipt_of(picture)['call_id']}/data/0/b64_json"
        read = (await client.call_tool("app_resource", {"uri": uri})).content[0]
        missing = error_of(await client.call_tool("app_resource", {"uri": "blaxel://calls/other"}))
        usage = (await client.call_tool("app_resource", {"uri": "blaxel://usage"})).content[0]

    assert isinstance(read, types.EmbeddedResource)
    assert isinstance(read.resource, types.BlobResourceContents)
    assert base64.b64decode(read.resource.blob).startswith(b"\x89PNG")
    assert missing["code"] == "not_found"
    assert isinstance(usage, types.EmbeddedResource)


async def test_a_wrong_name_is_never_corrected_to_the_tool_of_the_app(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        with pytest.raises(Exception, match="Unknown tool") as caught:
            await client.call_tool("app_resourc", {})

    assert "app_resource'" not in str(caught.value)


async def test_a_model_that_has_the_name_of_the_apps_tool_keeps_it(emulator: Emulator) -> None:
    models = [{"name": "house-chat", "tool": "app_resource"}]
    async with connect(leading_to(emulator, models=models), extensions=APPS) as client:
        tools = await listed(client)
        result = await client.call_tool("app_resource", {"prompt": "What is 6 * 7?"})

    assert "visibility" not in tools["app_resource"]["_meta"]["ui"]
    assert receipt_of(result)["model"] == "house-chat"
