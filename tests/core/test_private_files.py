"""What the server writes is its user's alone: files of mode 0600 in folders of mode 0700, whatever the umask."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.catalog.cache import catalog_cache
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.store.spool import default_spools
from tests.support.canaries import KEY
from tests.support.connecting import answer_of, connect, leading_to, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")]

UMASKS = pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct, indirect=True)


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The mode of everything below a folder."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = stat.S_IMODE(path.stat().st_mode)
    return found


def lax(found: dict[str, int]) -> dict[str, int]:
    return {name: mode for name, mode in found.items() if mode & (stat.S_IRWXG | stat.S_IRWXO)}


async def use(emulator: Emulator, output_dir: Path | None = None) -> dict[str, int]:
    """Call models so that everything is written that is, and say which modes it had before the server ended."""
    config = leading_to(
        emulator,
        budget={"calls_per_day": 99},
        limits={"max_media_bytes": 0},
        files={"output_dir": output_dir and str(output_dir)},
    )
    async with connect(config) as client:
        assert "It is in the file" in text_of(await client.call_tool("run_model", {"model": "fault-png"}))
        answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))
        cache = catalog_cache(Settings(workspace="acme"))
        assert cache
        cache.save([ModelRecord(name="m")], listed_at=1.0)
        return modes(Path.home())


@UMASKS
@pytest.mark.usefixtures("umask")
async def test_all_that_a_server_writes_is_its_users_alone(emulator: Emulator, home: Path) -> None:
    while_it_runs = await use(emulator)
    in_a_folder = await use(emulator, home / "pictures" / "of" / "mine")

    assert lax({**while_it_runs, **in_a_folder, **modes(home)}) == {}
    names = " ".join((*while_it_runs, *in_a_folder))
    for written in ("spool-", ".lock", ".png", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "catalogs/", "mine/fault"):
        assert written in names


@UMASKS
@pytest.mark.usefixtures("umask")
async def test_folders_of_its_own_that_others_can_reach_are_closed_to_them(emulator: Emulator, home: Path) -> None:
    ledger = default_ledger()
    for folder in (default_spools(), ledger.parent, default_spools().parent / "catalogs"):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    ledger.touch()
    ledger.chmod(0o666)

    found = await use(emulator)

    own = {name: mode for name, mode in found.items() if "blaxel-mcp/" in name}
    assert len(own) > 6
    assert lax(own) == {}
    assert home in ledger.parents


async def test_folders_that_the_user_has_named_keep_their_modes(emulator: Emulator, home: Path) -> None:
    folder = home / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    ledger = folder / "ledger.sqlite3"
    config = leading_to(
        emulator,
        budget={"ledger": str(ledger)},
        limits={"max_media_bytes": 0},
        files={"output_dir": str(folder)},
    )
    async with connect(config) as client:
        await client.call_tool("run_model", {"model": "fault-png"})

    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {mode for name, mode in modes(folder).items()} == {0o600}


async def test_a_folder_that_cannot_be_made_is_told_and_the_call_goes_on(emulator: Emulator, home: Path) -> None:
    (home / "file").write_text(KEY)
    config = leading_to(
        emulator, limits={"max_media_bytes": 0}, files={"output_dir": str(home / "file" / "below" / "it")}
    )
    async with connect(config) as client:
        result = await client.call_tool("run_model", {"model": "fault-png"})

    assert "It could not be written to a file: Not a directory." in text_of(result)
