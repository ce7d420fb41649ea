"""Files that an agent names: what is read, what is refused, and that neither tells what else there is."""

import base64
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import anyio
import pytest

from blaxel_mcp.apis.base import FileData, FileURL
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.files import FileReader
from blaxel_mcp.settings.schema import FileSettings
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, text_of

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 10
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """A folder that is open to agents, with a picture in it, beside one that is not."""
    folder = tmp_path / "allowed"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "cat.png").write_bytes(PNG)
    (folder / "notes.txt").write_text("some text")
    (tmp_path / "allowed-evil").mkdir()
    (tmp_path / "allowed-evil" / "cat.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    return folder


async def load(value: Any, folder: Path | None, **settings: Any) -> Any:
    reader = FileReader(FileSettings(allowed_dirs=(str(folder),) if folder else (), **settings))
    with anyio.fail_after(30):
        return (await reader.load({"images": value, "other": 1}, ["images"]))["images"]


async def test_a_file_below_an_open_folder_is_read(allowed: Path) -> None:
    path = str(allowed / "deep" / "cat.png")

    assert await load([path, f"file://{path}"], allowed) == [FileData("cat.png", "image/png", PNG)] * 2


async def test_a_folder_may_be_a_link_and_so_may_what_leads_to_a_file(allowed: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(allowed)

    assert await load(str(link / "deep" / "cat.png"), allowed) == FileData("cat.png", "image/png", PNG)
    assert await load(str(allowed / "deep" / "cat.png"), link) == FileData("cat.png", "image/png", PNG)


async def test_the_home_directory_may_be_abbreviated(home: Path) -> None:
    (home / "cat.png").write_bytes(PNG)
    reader = FileReader(FileSettings(allowed_dirs=("~",)))

    assert (await reader.load({"file": "~/cat.png"}, ["file"]))["file"] == FileData("cat.png", "image/png", PNG)


async def test_a_file_outside_is_refused_in_the_same_words_as_one_that_is_missing(
    allowed: Path, tmp_path: Path
) -> None:
    (allowed / "out.png").symlink_to(tmp_path / "secret.png")
    outside = [
        tmp_path / "secret.png",
        tmp_path / "none.png",
        tmp_path / "allowed-evil" / "cat.png",
        allowed / ".." / "secret.png",
        allowed / "out.png",
        allowed / "none.png",
        allowed / "deep",
        allowed,
        allowed / ("long" * 100),
        allowed / ("deep/" * 2000),
        allowed / "\ud800.png",
    ]
    told = set()
    for path in outside:
        with pytest.raises(InvalidArgumentsError) as caught:
            await load(str(path), allowed)
        told.add(caught.value.message.removeprefix(literal(str(path), 200)))
        assert "files.allowed_dirs" in caught.value.hint

    assert told == {" is not a readable file inside a folder in files.allowed_dirs."}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files there")
async def test_a_pipe_or_a_device_is_no_file_and_holds_nobody_up(allowed: Path) -> None:
    os.mkfifo(allowed / "pipe.png")
    (allowed / "device.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "device.png"):
        with pytest.raises(InvalidArgumentsError, match="is not a readable file"):
            await load(str(allowed / name), allowed)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("cat.png", "is not an absolute path", id="relative"),
        pytest.param("../cat.png", "is not an absolute path", id="relative and up"),
        pytest.param("~other/cat.png", "is not an absolute path", id="another user's home"),
        pytest.param("/somewhere/a\0b.png", "is not an absolute path", id="NUL"),
        pytest.param("file://elsewhere/cat.png", "is on another machine", id="another machine"),
        pytest.param("http://example.com/cat.png", "is not an https URL", id="http"),
        pytest.param("https://user:pass@example.com/cat.png", "is not a plain https URL", id="a password"),
        pytest.param("https:///cat.png", "is not a plain https URL", id="no host"),
        pytest.param("https://example.com/a\nb", "is not a plain https URL", id="a line break"),
        pytest.param("data:image/png;base64,!!!", "is not valid base64", id="bad base64"),
        pytest.param("data:image/png;base64,é", "is not valid base64", id="not even ASCII"),
        pytest.param("data:image/png;base64", "has no data", id="no data"),
        pytest.param("data:text/plain,hello", "is not an image", id="text"),
        pytest.param(DATA_URL.replace("image/png", "audio/wav"), "contains image/png", id="declared wrongly"),
        pytest.param(5, "A file is given as", id="not a string"),
    ],
)
async def test_what_names_no_file_that_can_be_used_is_refused_with_the_reason(value: Any, problem: str) -> None:
    with pytest.raises(InvalidArgumentsError, match=problem):
        await load(value, Path("/"))


@pytest.mark.skipif(os.name == "nt", reason="there, a home directory is found in another way")
async def test_without_a_home_directory_its_paths_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(InvalidArgumentsError, match="is not an absolute path"):
        await load("~/cat.png", Path("/"))
    with pytest.raises(InvalidArgumentsError, match=r"files\.allowed_dirs"):
        await load("/somewhere/cat.png", Path("~/pictures"))


async def test_data_and_https_urls_need_no_setting_and_nothing_is_fetched() -> None:
    assert await load(DATA_URL, None) == FileData("data.png", "image/png", PNG)
    assert await load("https://example.com/cat.png?a=1", None) == FileURL("https://example.com/cat.png?a=1")


async def test_a_path_needs_the_setting_and_says_so(allowed: Path) -> None:
    with pytest.raises(InvalidArgumentsError, match=r"files\.allowed_dirs is empty") as caught:
        await load(str(allowed / "deep" / "cat.png"), None)

    assert "files.allowed_dirs" in caught.value.hint


async def test_a_file_over_the_limit_is_refused_and_says_which(allowed: Path) -> None:
    for value in (str(allowed / "deep" / "cat.png"), DATA_URL):
        with pytest.raises(InvalidArgumentsError, match="is larger than 20 bytes") as caught:
            await load(value, allowed, max_bytes=20)
        assert "files.max_bytes" in caught.value.hint


async def test_a_limit_beyond_the_memory_is_no_crash(allowed: Path) -> None:
    picture = await load(str(allowed / "deep" / "cat.png"), allowed, max_bytes=2**53)

    assert picture == FileData("cat.png", "image/png", PNG)


async def test_text_is_no_picture_whatever_it_is_called(allowed: Path) -> None:
    with pytest.raises(InvalidArgumentsError, match="is not an image"):
        await load(str(allowed / "notes.txt"), allowed)


async def test_a_picture_goes_along_with_a_prompt(emulator: Emulator, allowed: Path) -> None:
    path = str(allowed / "deep" / "cat.png")
    async with connect(leading_to(emulator, files={"allowed_dirs": [str(allowed)]})) as client:
        result = await client.call_tool("house-chat", {"prompt": "What is this?", "images": [path]})
        refused = await client.call_tool("house-chat", {"prompt": "And this?", "images": ["/etc/passwd"]})

    assert "1 image" in answer_of(result)["choices"][0]["message"]["content"]
    assert DATA_URL.encode() in inference_requests(emulator.requests)[0].body
    assert error_of(refused)["code"] == "invalid_arguments"
    assert "files.allowed_dirs" in text_of(refused)
    assert len(inference_requests(emulator.requests)) == 1


def swapped(folder: Path, target: Path) -> None:
    """Put a link to another folder in the place of a folder."""
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(target)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
@pytest.mark.parametrize("back", [False, True], ids=["for good", "and back before the check"])
@pytest.mark.parametrize("part", [True, False], ids=["part by part", "at once"])
async def test_a_folder_that_is_swapped_for_a_link_when_its_file_is_opened_leads_nowhere(
    allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, back: bool, part: bool
) -> None:
    outside = tmp_path / "allowed-evil"
    (outside / "cat.png").write_bytes(PNG + b"secret")
    deep, open_file = allowed / "deep", os.open

    def open_after_swap(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if Path(path).name == "cat.png":
            if deep.is_dir() and not deep.is_symlink():
                swapped(deep, outside)
            try:
                return open_file(path, flags, *arguments, **options)
            finally:
                if back:
                    deep.unlink()
                    deep.with_name("moved").rename(deep)
        return open_file(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", open_after_swap)
    monkeypatch.setattr(os, "supports_dir_fd", {open_after_swap} if part else set())
    try:
        data = (await load(str(deep / "cat.png"), allowed)).data
    except InvalidArgumentsError:
        data = PNG
    assert data == PNG


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
async def test_a_folder_that_is_swapped_before_it_is_opened_leads_nowhere(
    allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, open_file = tmp_path / "allowed-evil", os.open

    def open_after_swap(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if not (allowed / "deep").is_symlink():
            swapped(allowed / "deep", outside)
        return open_file(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", open_after_swap)
    monkeypatch.setattr(os, "supports_dir_fd", {open_after_swap})
    with pytest.raises(InvalidArgumentsError, match="is not a readable file"):
        await load(str(allowed / "deep" / "cat.png"), allowed)


@pytest.mark.parametrize(
    "path",
    [
        r"\\host\share\cat.png",
        "//host/share/cat.png",
        r"\/host\share\cat.png",
        r"\\?\UNC\host\share\cat.png",
        r"\\.\pipe\x",
        "file:////host/share/cat.png",
        "file:%5C%5Chost%5Cshare%5Ccat.png",
        "file://localhost//host/share/cat.png",
    ],
)
async def test_a_path_on_another_machine_is_refused_before_the_file_system_is_asked(
    allowed: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: Any, **__: Any) -> Any:
        raise AssertionError("the file system was asked")

    for name in ("realpath", "expanduser", "exists"):
        monkeypatch.setattr(os.path, name, ask)
    with pytest.raises(InvalidArgumentsError, match="is on another machine"):
        await load(path, allowed)


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        pytest.param("Screenshot at 9.41\u202fAM.png", "Screenshot at 9.41 AM.png", id="a narrow no-break space"),
        pytest.param("Screenshot at 9.41 AM.png", "Screenshot at 9.41\u00a0AM.png", id="a no-break space"),
        pytest.param("Cafe\u0301.png", "Caf\u00e9.png", id="decomposed"),
        pytest.param("Caf\u00e9.png", "Cafe\u0301.png", id="composed"),
    ],
)
@pytest.mark.parametrize("inside", ["", "Ru\u0308ben"])
async def test_a_name_that_differs_only_in_its_characters_is_found(
    allowed: Path, stored: str, given: str, inside: str
) -> None:
    (allowed / inside).mkdir(exist_ok=True)
    (allowed / inside / stored).write_bytes(PNG)
    path = allowed / unicodedata.normalize("NFC", inside) / given

    assert await load([str(path)], allowed) == [FileData(given, "image/png", PNG)]


async def test_a_name_that_two_files_may_have_is_not_guessed(allowed: Path) -> None:
    for stored in ("a\u202fb.png", "a\u00a0b.png"):
        (allowed / stored).write_bytes(PNG)

    with pytest.raises(InvalidArgumentsError, match="is not a readable file"):
        await load([str(allowed / "a b.png")], allowed)


async def test_a_link_out_of_the_folder_is_not_followed_under_another_spelling(allowed: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    (allowed / "a\u202fb.png").symlink_to(secret)

    with pytest.raises(InvalidArgumentsError, match="is not a readable file"):
        await load([str(allowed / "a b.png")], allowed)
