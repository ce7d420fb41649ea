"""Folders for the cache, the spool and the ledger that belong to another user, or that another user can write."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blaxel_mcp.budget.ledger import Ledger, LedgerError, default_ledger
from blaxel_mcp.catalog.cache import CatalogCache
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.core.private_files import make_own_folder, read_private, write_private
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.answers import TextAnswer
from blaxel_mcp.tools.store.spool import default_spools
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answers import StoreLimits
from tests.support.connecting import connect, leading_to, text_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can give a folder away"),
]

MALLORY = 12345


def theirs(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chown(folder, MALLORY, MALLORY)


def their_link_to_ours(folder: Path) -> None:
    target = folder.parent / "ours"
    target.mkdir(parents=True)
    folder.symlink_to(target)
    os.chown(folder, MALLORY, MALLORY, follow_symlinks=False)


def our_link_to_theirs(folder: Path) -> None:
    target = folder.parent / "theirs"
    theirs(target)
    folder.symlink_to(target)


def ours_below_theirs(folder: Path) -> None:
    theirs(folder.parent)
    folder.mkdir()


def our_link_below_theirs(folder: Path) -> None:
    target = folder.parent / "theirs" / "below"
    ours_below_theirs(target)
    folder.symlink_to(target)


def theirs_and_open(folder: Path) -> None:
    theirs(folder)
    folder.chmod(0o777)


foreign = pytest.mark.parametrize(
    "make",
    [theirs, their_link_to_ours, our_link_to_theirs, ours_below_theirs, our_link_below_theirs, theirs_and_open],
)


@foreign
def test_a_folder_of_another_user_is_refused_and_stays_as_it_is(make: Callable[[Path], None], home: Path) -> None:
    folder = home / "a" / "b"
    make(folder)
    mode = folder.stat().st_mode

    with pytest.raises(PermissionError, match="belongs to another user"):
        make_own_folder(folder)
    assert folder.stat().st_mode == mode


@foreign
async def test_answers_stay_in_memory_when_the_spool_is_another_users(
    make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    make(default_spools())
    async with CallStore(limits=StoreLimits(memory_bytes=10)) as store:
        for number in range(3):
            await store.put(f"call_{number}", TextAnswer("12345678"))

        assert (await store.get("call_2")).data == b"12345678"
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "answers that do not fit in memory are not kept"
    ]
    assert "another user" in caplog.text


async def test_a_spool_that_another_user_replaces_gives_none_of_their_answers(tmp_path: Path) -> None:
    spools = tmp_path / "calls"
    async with CallStore(spools=spools, limits=StoreLimits(memory_bytes=10)) as store:
        for number in range(2):
            await store.put(f"call_{number}", TextAnswer("12345678"))
        (folder,) = (path for path in spools.iterdir() if path.is_dir())
        (file,) = folder.iterdir()
        spools.rename(tmp_path / "moved")
        theirs(folder)
        file.write_bytes(b"forged by mallory")
        os.chown(file, MALLORY, MALLORY)

        with pytest.raises(Exception, match="deleted or replaced"):
            await store.get("call_0")


@foreign
def test_the_list_of_models_is_not_saved_in_another_users_folder(make: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "blaxel-mcp" / "catalogs"
    make(folder)
    with pytest.raises(PermissionError, match="another user"):
        CatalogCache(folder, api_url="https://x", workspace="acme").save([ModelRecord(name="m")], listed_at=1.0)


@foreign
async def test_a_ledger_in_another_users_folder_refuses_calls_under_a_cap(
    make: Callable[[Path], None], emulator: Emulator
) -> None:
    make(default_ledger().parent)
    async with connect(leading_to(emulator, budget={"calls_per_day": 5})) as client:
        text = text_of(await client.call_tool("house-chat", {"prompt": "Hi"}))

    assert "was not sent: a budget applies" in text
    assert "belongs to another user" in text


@pytest.mark.parametrize(("mode", "group"), [(0o777, 0), (0o1777, 0), (0o770, MALLORY), (0o775, MALLORY)])
def test_a_named_ledger_where_others_can_write_is_refused(mode: int, group: int, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    os.chown(folder, 0, group)
    folder.chmod(mode)

    with pytest.raises(LedgerError, match="can be written by other users"):
        Ledger(folder / "ledger.sqlite3").used("2026-01-01", "")
    Ledger(folder / "own" / "ledger.sqlite3").used("2026-01-01", "")


def test_a_named_ledger_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    file.touch()
    os.chown(file, MALLORY, MALLORY)

    with pytest.raises(LedgerError, match="belongs to another user"):
        Ledger(file).used("2026-01-01", "")


def test_a_private_file_is_not_read_through_a_link(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    write_private(tmp_path / "file", b"1234")
    (tmp_path / "link").symlink_to("file")

    assert read_private(tmp_path / "file", limit=4) == b"1234"
    for name, limit in (("link", None), ("file", 3)):
        with pytest.raises(OSError, match=name):
            read_private(tmp_path / name, limit=limit)
