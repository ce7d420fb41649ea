"""Edits of the settings file while a server runs: a valid one is applied, an invalid one is reported and ignored."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import load_settings
from tests.support.canaries import KEY
from tests.support.connecting import TOOLS_OF_ONE, Era, answer_of, error_of, finished, inference_requests
from tests.support.held import HeldAnswers
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

LOOK_SECONDS = 0.02

ONE = '[[models]]\nname = "house-chat"\napi = "chat-completions"\n'
TWO = ONE + '[[models]]\nname = "house-embed"\napi = "embeddings"\n'
BROKEN = ONE + "[[models]\n"
MISSPELLED = ONE + "[limits]\ntimeout_second = 3\n"


def edit(file: Path, text: str) -> None:
    """Write the file as an editor does: all at once, in place of the old one."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


@contextmanager
def heard(words: str) -> Iterator[anyio.Event]:
    """An event that is set when the server logs something with these words in it."""
    event = anyio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                event.set()

    listener = Listener(logging.INFO)
    logger = logging.getLogger("blaxel_mcp")
    before = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield event
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before)


@asynccontextmanager
async def serving(
    emulator: Emulator,
    file: Path,
    text: str | None,
    era: Era = "2026-07-28",
    *,
    named: bool = True,
    look_seconds: float = LOOK_SECONDS,
) -> AsyncIterator[Client]:
    """A client of a server whose settings are in a file, which is watched."""
    if text is not None:
        edit(file, text)
    environ = {
        "BL_RUN_URL": emulator.run_url,
        "BL_API_URL": emulator.api_url,
        "BL_WORKSPACE": "demo",
        "BL_API_KEY": KEY,
        "BLAXEL_MCP_BUDGET__LEDGER": ":memory:",
    }
    config = load_settings(config_file=file if named and text is not None else None, environ=environ)
    with anyio.fail_after(20):
        async with Client(build_server(config, look_seconds=look_seconds), mode=era) as client:
            yield client


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


async def notes(client: Client) -> list[str]:
    found: list[str] = answer_of(await client.call_tool("list_models", {}))["notes"]
    return found


async def test_a_model_that_is_added_to_the_file_becomes_a_tool_and_the_client_is_told(
    emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    async with serving(emulator, file, ONE) as client:
        assert await names(client) == ["house-chat", *TOOLS_OF_ONE]
        async with client.listen(tools_list_changed=True) as subscription:
            edit(file, TWO)
            await anext(aiter(subscription))
        assert await names(client) == ["house-chat", "house-embed", *TOOLS_OF_ONE]
        answer_of(await client.call_tool("house-embed", {"input": "One."}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(BROKEN, "is not valid TOML at line 4", id="no TOML"),
        pytest.param(MISSPELLED, "did you mean timeout_seconds?", id="a misspelled key"),
        pytest.param(ONE + ONE, "a model can have only one entry", id="a model twice"),
        pytest.param(TWO + 'tool = "house-chat"\n', "would share the tool name", id="a tool's name twice"),
        pytest.param(
            ONE + 'defaults = { seed = "x" }\ninput_schema = { type = "nothing" }\n', "schema", id="no schema"
        ),
    ],
)
async def test_an_edit_that_cannot_be_used_changes_nothing_and_is_told_until_it_is_mended(
    emulator: Emulator, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "config.toml"
    async with serving(emulator, file, ONE) as client:
        with heard("the previous settings still apply") as refused:
            edit(file, text)
            await refused.wait()
        assert await names(client) == ["house-chat", *TOOLS_OF_ONE]
        answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))
        (note,) = await notes(client)
        assert "cannot be used" in note
        assert told in note

        with heard("reloaded the settings file") as taken:
            edit(file, TWO)
            await taken.wait()
        assert await notes(client) == []
        assert await names(client) == ["house-chat", "house-embed", *TOOLS_OF_ONE]


def removed(file: Path) -> None:
    file.unlink()


def moved_away(file: Path) -> None:
    file.rename(file.with_name("elsewhere.toml"))


def emptied(file: Path) -> None:
    edit(file, "")


def blanked(file: Path) -> None:
    edit(file, "\ufeff \n\t\n\n")


def replaced_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def replaced_by_a_dangling_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def replaced_by_a_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def folder_moved_away(file: Path) -> None:
    file.parent.rename(file.parent.with_name("elsewhere"))


def made_unreadable(file: Path) -> None:
    file.chmod(0)


IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

LOSSES = (
    removed,
    moved_away,
    emptied,
    blanked,
    replaced_by_a_folder,
    replaced_by_a_dangling_link,
    replaced_by_a_loop,
    folder_moved_away,
    pytest.param(made_unreadable, marks=pytest.mark.skipif(IS_ROOT, reason="root reads every file")),
)


@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions are POSIX's here")
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: getattr(lose, "__name__", None))
@pytest.mark.parametrize("named", [True, False], ids=["--config", "the default path"])
async def test_a_settings_file_that_is_lost_leaves_its_rules_in_force_and_the_owner_is_told_once(
    emulator: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lose: Callable[[Path], None],
    *,
    named: bool,
) -> None:
    default = load_settings(environ={}).watched
    assert default is not None
    file = tmp_path / "folder" / "config.toml" if named else default
    file.parent.mkdir(parents=True)
    rules = ONE + '[access]\nmodels = ["house-*"]\n'
    edit(file, rules)
    async with serving(emulator, file, rules, named=named) as client:
        with heard("the previous settings still apply") as refused:
            lose(file)
            await refused.wait()
        await anyio.sleep(5 * LOOK_SECONDS)
        denied = await client.call_tool("run_model", {"model": "edge-chat", "data": {}})
        shown = await notes(client)

    assert error_of(denied)["code"] == "permission_denied"
    assert [note for note in shown if "cannot be used" in note] == shown != []
    assert caplog.text.count("the previous settings still apply") == 1


async def test_an_editor_that_has_the_file_away_for_a_moment_goes_unnoticed(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.toml"
    async with serving(emulator, file, ONE, look_seconds=0.3) as client:
        with heard("reloaded the settings file") as taken:
            file.rename(file.with_suffix(".bak"))
            await anyio.sleep(0.1)
            edit(file, TWO)
            await taken.wait()
        assert await names(client) == ["house-chat", "house-embed", *TOOLS_OF_ONE]
        assert await notes(client) == []

    assert "still apply" not in caplog.text


async def test_a_call_in_flight_ends_under_the_settings_that_it_began_with_and_its_handle_outlives_them(
    emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    async with serving(emulator, file, ONE + "[limits]\ndetach_after_seconds = 0.1\n") as client:
        held = HeldAnswers(emulator)
        handle = await client.call_tool("house-chat", {"prompt": "Hi"})
        assert answer_of(handle)["state"] == "running"
        with heard("reloaded the settings file") as taken:
            edit(file, TWO + '[access]\nmodels = ["other-*"]\n')
            await taken.wait()

        refused = await client.call_tool("run_model", {"model": "house-chat", "data": {}})
        held.release()
        answer = await finished(client, handle)

    assert error_of(refused)["code"] == "permission_denied"
    assert answer_of(answer)["choices"]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_file_that_comes_to_be_while_the_server_runs_is_taken(emulator: Emulator, home: Path) -> None:
    file = load_settings(environ={}).watched
    assert file is not None
    assert not file.exists()
    async with serving(emulator, file, None) as client:
        assert "house-claude" in await names(client)
        file.parent.mkdir(parents=True)
        with heard("reloaded the settings file") as taken:
            edit(file, ONE)
            await taken.wait()
        assert await names(client) == ["house-chat", *TOOLS_OF_ONE]
    assert file.is_relative_to(home)


async def test_a_login_that_selects_a_workspace_is_taken(emulator: Emulator, home: Path) -> None:
    environ = {"BL_RUN_URL": emulator.run_url, "BL_API_URL": emulator.api_url, "BLAXEL_MCP_BUDGET__LEDGER": ":memory:"}
    with anyio.fail_after(20):
        async with Client(build_server(load_settings(environ=environ), look_seconds=LOOK_SECONDS)) as client:
            assert "No Blaxel workspace is set" in " ".join(await notes(client))
            login = home / ".blaxel" / "config.yaml"
            login.parent.mkdir()
            with heard("reloaded the settings file") as taken:
                login.write_text(
                    f"context:\n  workspace: demo\nworkspaces:\n- name: demo\n  credentials:\n    apiKey: {KEY}\n"
                )
                await taken.wait()
            assert "house-claude" in await names(client)


async def test_models_that_were_found_do_not_go_and_come_back_with_an_edit(emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    async with serving(emulator, file, "[limits]\nmax_result_chars = 2000\n") as client:
        before = await names(client)
        assert "house-claude" in before
        async with client.listen(tools_list_changed=True) as subscription:
            with heard("reloaded the settings file") as taken:
                edit(file, "[limits]\nmax_result_chars = 3000\n")
                await taken.wait()
            assert await names(client) == before
            # The first news is of this edit: there was none of the one before.
            edit(file, '[discovery]\nexclude = ["house-claude"]\n')
            await anext(aiter(subscription))
        assert "house-claude" not in await names(client)


async def test_what_a_running_server_cannot_change_is_told(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.toml"
    async with serving(emulator, file, ONE):
        with heard("reloaded the settings file") as taken:
            edit(file, ONE + "[http]\nport = 9000\n[limits]\nmax_argument_bytes = 2048\n")
            await taken.wait()

    told = [record.getMessage() for record in caplog.records if "restart the server" in record.getMessage()]
    assert [line.split()[0] for line in told] == ["[http]", "limits.max_argument_bytes"]
