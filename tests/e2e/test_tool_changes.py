"""`notifications/tools/list_changed` from a server process, to clients of both protocol eras."""

import json
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import StdioServerParameters
from mcp.server.subscriptions import ToolsListChanged

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from tests.support.leaks import Client
from tests.support.processes import SERVE, variables

pytestmark = pytest.mark.anyio


def serving(emulator: Emulator, *options: str) -> StdioServerParameters:
    """Return the command of a server that refreshes its models five times a second."""
    command, *arguments = [*SERVE, *options]
    environment = variables(emulator) | {"BLAXEL_MCP_DISCOVERY__REFRESH_SECONDS": "0.2"}
    del environment["BLAXEL_MCP_MODELS"]
    return StdioServerParameters(command=command, args=arguments, env=environment)


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


async def is_notified_of(change: Any, server: StdioServerParameters, tool: str) -> None:
    """Connect a client of the handshake era, make the change, and wait for the tool in the list."""
    sending, changes = anyio.create_memory_object_stream[None](100)

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            sending.send_nowait(None)

    with sending, changes, anyio.fail_after(40):
        async with Client(server, mode="legacy", message_handler=on_message) as client:
            assert client.server_capabilities is not None
            assert client.server_capabilities.tools == types.ToolsCapability(list_changed=True)
            assert tool not in await names(client)
            change()
            # The first notification may be of the list that it has just been given.
            while tool not in await names(client):
                await changes.receive()


async def test_a_client_of_the_handshake_era_is_notified_of_a_new_model(emulator: Emulator) -> None:
    def change() -> None:
        emulator.models["newcomer"] = EmulatedModel(name="newcomer")

    await is_notified_of(change, serving(emulator), "newcomer")


async def test_a_client_of_the_handshake_era_is_notified_of_an_edit_of_the_settings_file(
    emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    model = "[[models]]\nname = {}\n"
    file.write_text(model.format(json.dumps("house-chat")), encoding="utf-8")

    def change() -> None:
        beside = file.with_suffix(".new")
        beside.write_text(model.format(json.dumps("house-embed")), encoding="utf-8")
        beside.replace(file)

    await is_notified_of(change, serving(emulator, "--config", str(file)), "house-embed")


async def test_a_client_that_says_again_and_again_that_it_is_initialized_is_notified_once(
    emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[models]]\nname = "house-chat"\n', encoding="utf-8")
    changed, received = anyio.Event(), []

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            received.append(message)
            changed.set()

    with anyio.fail_after(40):
        server = serving(emulator, "--config", str(file))
        async with Client(server, mode="legacy", message_handler=on_message) as client:
            for _ in range(500):
                await client.session.send_notification(types.InitializedNotification())
            beside = file.with_suffix(".new")
            beside.write_text('[[models]]\nname = "house-embed"\n', encoding="utf-8")
            beside.replace(file)
            await changed.wait()
            # What is sent before the answers to two more requests has been received.
            for _ in range(2):
                assert "house-embed" in await names(client)

    assert len(received) == 1


async def test_a_client_of_2026_is_notified_of_a_new_model_on_the_stream_it_listens_on(emulator: Emulator) -> None:
    with anyio.fail_after(40):
        async with Client(serving(emulator), mode="2026-07-28") as client:
            assert "newcomer" not in await names(client)
            async with client.listen(tools_list_changed=True) as subscription:
                emulator.models["newcomer"] = EmulatedModel(name="newcomer")
                assert isinstance(await anext(aiter(subscription)), ToolsListChanged)
            assert "newcomer" in await names(client)
