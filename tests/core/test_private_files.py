"""Files that only their user can read, replacements that are all or nothing, and that all we write is private."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.catalog.cache import catalog_cache
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.core.private_files import back_up, make_own_file, replace_file, write_private
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
    """Return the mode of everything below a folder."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = stat.S_IMODE(path.stat().st_mode)
    return found


def lax(found: dict[str, int]) -> dict[str, int]:
    return {name: mode for name, mode in found.items() if mode & (stat.S_IRWXG | stat.S_IRWXO)}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow past one byte: the kernel then refuses what a full disk refuses."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_replaced_file_has_the_new_content_and_nothing_lies_beside_it(home: Path) -> None:
    path = home / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    replace_file(path, b"new")

    assert (path.read_bytes(), mode_of(path), list(home.iterdir())) == (b"new", 0o600, [path])


@UMASKS
@pytest.mark.usefixtures("umask")
def test_a_replacement_and_a_backup_get_the_mode_that_they_are_told(home: Path) -> None:
    path = home / "file"
    path.write_bytes(b"old")
    path.chmod(0o664)
    status = path.stat()
    copy = back_up(path, b"old", like=status)
    replace_file(path, b"new", like=status)

    assert (mode_of(path), mode_of(copy)) == (0o664, 0o664)
    assert mode_of(back_up(path, b"new")) == 0o600


def test_an_existing_file_is_refused_where_it_must_not_be_overwritten(home: Path) -> None:
    path = home / "file"
    replace_file(path, b"first", overwrite=False)
    with pytest.raises(FileExistsError):
        replace_file(path, b"second", overwrite=False)

    assert (path.read_bytes(), list(home.iterdir())) == (b"first", [path])


def test_a_link_is_replaced_itself(home: Path) -> None:
    (home / "target").write_bytes(b"target")
    (home / "link").symlink_to("target")
    replace_file(home / "link", b"new")

    assert ((home / "link").is_symlink(), (home / "target").read_bytes()) == (False, b"target")


def test_on_a_full_disk_a_file_stays_as_it_was_and_no_part_of_another_is_left(home: Path) -> None:
    path = home / "file"
    path.write_bytes(b"old")
    writes = (
        lambda: replace_file(path, b"new"),
        lambda: replace_file(home / "another", b"new", overwrite=False),
        lambda: back_up(path, b"old"),
        lambda: write_private(home / "another", b"new"),
    )
    for write in writes:
        with full_disk(), pytest.raises(OSError, match="File too large"):
            write()

    assert (path.read_bytes(), list(home.iterdir())) == (b"old", [path])


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root can read every folder")
def test_a_folder_that_cannot_be_flushed_is_no_failure_of_a_replacement_that_was_made(home: Path) -> None:
    path = home / "file"
    home.chmod(0o300)
    try:
        replace_file(path, b"new")
    finally:
        home.chmod(0o700)

    assert path.read_bytes() == b"new"


def test_backups_of_the_same_second_have_names_of_their_own(home: Path) -> None:
    path = home / "file"
    begun = datetime.now(UTC)
    copies = [back_up(path, bytes([number])) for number in range(3)]
    moments = [f"{moment:%Y%m%d-%H%M%S}" for moment in (begun, datetime.now(UTC))]

    assert [copy.read_bytes() for copy in copies] == [b"\0", b"\1", b"\2"]
    assert all(copy.parent == home and copy.name.startswith("file.") and copy.suffix == ".bak" for copy in copies)
    assert moments[0] <= copies[0].name.removeprefix("file.").removesuffix(".bak") <= moments[1]


def test_a_private_file_is_never_written_over_another_nor_through_a_link(home: Path) -> None:
    (home / "link").symlink_to("target")
    write_private(home / "file", b"first")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            write_private(home / name, b"second")

    assert ((home / "file").read_bytes(), (home / "target").exists()) == (b"first", False)


def test_a_file_of_its_own_keeps_its_content_and_is_closed_to_others(home: Path) -> None:
    path = home / "file"
    path.write_bytes(b"kept")
    path.chmod(0o644)
    make_own_file(path)

    assert (path.read_bytes(), mode_of(path)) == (b"kept", 0o600)


def test_what_is_not_a_regular_file_keeps_its_mode(home: Path) -> None:
    # A pipe in the place of /dev/null, which root would close to all users.
    path = home / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)

    with pytest.raises(OSError, match="is not a regular file"):
        make_own_file(path)

    assert mode_of(path) == 0o666


async def use(emulator: Emulator, output_dir: Path | None = None) -> dict[str, int]:
    """Call models so that the server writes all kinds of files, and return their modes before it ends."""
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
