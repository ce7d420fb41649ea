"""Several processes of one server find each other's answers, each caller its own alone."""

import os
import stat
from pathlib import Path

import anyio.to_thread
import pytest

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.answers import BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.tools.store.shared import SharedAnswers
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answer import StoredAnswer, StoreLimits, stored

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "answer",
    [JSONAnswer('{"a":1.10}', {"a": 1.1}), TextAnswer("two\nlines é\ud800"), BinaryAnswer(b"\n\0\1", "image/png")],
)
async def test_what_one_process_answered_another_reads_on(
    tmp_path: Path, answer: JSONAnswer | TextAnswer | BinaryAnswer
) -> None:
    shared = tmp_path / "shared"
    async with (
        CallStore(spools=tmp_path / "a", shared=shared) as one,
        CallStore(spools=tmp_path / "b", shared=shared) as other,
    ):
        await one.put("call_x", answer)
        found = await other.get("call_x")

    assert found == stored(answer)


async def test_another_callers_folder_is_another_place(tmp_path: Path) -> None:
    async with (
        CallStore(spools=tmp_path / "a", shared=tmp_path / "anna") as anna,
        CallStore(spools=tmp_path / "b", shared=tmp_path / "bert") as bert,
    ):
        await anna.put("call_x", TextAnswer("for Anna"))
        for call_id in ("call_x", "../anna/call_x", str(tmp_path / "anna" / "call_x")):
            with pytest.raises(BlaxelError, match="is known here"):
                await bert.get(call_id)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write(folder: Path, names: str, limits: StoreLimits) -> None:
    answers = SharedAnswers(folder, limits)
    for number, name in enumerate(names):
        answers.write(name, StoredAnswer("text", "text/plain", b"x" * 100))
        os.utime(folder / name, (1000.0 + number, 1000.0 + number))


async def test_the_oldest_make_room_by_number_and_by_size(tmp_path: Path) -> None:
    for limits in (
        StoreLimits(answers=2, lifetime_seconds=1e12),
        StoreLimits(disk_bytes=320, answers=200, lifetime_seconds=1e12),
    ):
        folder = tmp_path / str(limits.answers)
        await anyio.to_thread.run_sync(_write, folder, "abcd", limits)
        assert _names(folder) == ["c", "d"]


def test_an_answer_that_is_too_old_is_not_found_and_goes_with_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    answers = SharedAnswers(folder, StoreLimits(lifetime_seconds=10), now=lambda: 1020.0)
    _write(folder, "a", StoreLimits(lifetime_seconds=1e12))

    assert answers.read("a") is None
    answers.write("b", StoredAnswer("text", "text/plain", b""))
    assert _names(folder) == ["b"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_the_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    before = os.umask(0)
    try:
        SharedAnswers(folder, StoreLimits()).write("a", StoredAnswer("text", "text/plain", b""))
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o600
