"""Whole answers: kept within bounds of space, number and age, private, and cleaned away."""

import stat
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answers import StoredAnswer, StoreLimits

pytestmark = pytest.mark.anyio

KIB = 1024


class Clock:
    """A clock that stands still until a test sets it, and the sleep that goes by it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps: list[float] = []
        self._changed = anyio.Event()

    def __call__(self) -> float:
        return self.seconds

    def set(self, seconds: float) -> None:
        self.seconds = seconds
        self._notify()

    async def sleep(self, seconds: float) -> None:
        end = self.seconds + seconds
        self.sleeps.append(seconds)
        self._notify()
        while self.seconds < end:
            await self._changed.wait()

    async def until_sleeps(self, times: int) -> None:
        """Wait until `sleep` has been called so many times."""
        with anyio.fail_after(30):
            while len(self.sleeps) < times:
                await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _text(size: int, letter: str = "x") -> TextAnswer:
    return TextAnswer(letter * size)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def _put_and_fail(store: CallStore) -> None:
    await store.put("call_1", _text(KIB))
    raise KeyError


async def _why_missing(store: CallStore, call_id: str) -> BlaxelError:
    with pytest.raises(BlaxelError) as caught:
        await store.get(call_id)
    assert caught.value.code == "not_found"
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        pytest.param(
            JSONAnswer('{"a":1.10}', {"a": 1.1}), StoredAnswer("json", "application/json", b'{"a":1.10}'), id="JSON"
        ),
        pytest.param(TextAnswer("é\ud800"), StoredAnswer("text", "text/plain", b"\xc3\xa9\xed\xa0\x80"), id="text"),
        pytest.param(BinaryAnswer(b"\0\1", "image/png"), StoredAnswer("binary", "image/png", b"\0\1"), id="bytes"),
    ],
)
@pytest.mark.parametrize("memory", [pytest.param(KIB, id="in memory"), pytest.param(0, id="on disk")])
async def test_an_answer_comes_back_as_it_was(tmp_path: Path, answer: Answer, kept: StoredAnswer, memory: int) -> None:
    async with CallStore(spools=tmp_path, limits=StoreLimits(memory_bytes=memory)) as store:
        await store.put("call_1", answer)

        assert await store.get("call_1") == kept
        assert bool(_files(tmp_path)) is (memory == 0)


async def test_the_oldest_go_to_disk_first_and_nothing_is_written_before_memory_is_full(tmp_path: Path) -> None:
    async with CallStore(spools=tmp_path / "calls", limits=StoreLimits(memory_bytes=3 * KIB)) as store:
        for number in range(3):
            await store.put(f"call_{number}", _text(KIB, str(number)))
        assert not (tmp_path / "calls").exists()
        await store.put("call_3", _text(KIB, "3"))

        (file,) = _files(tmp_path)
        assert file.read_bytes() == b"0" * KIB
        assert [(await store.get(f"call_{number}")).text[0] for number in range(4)] == ["0", "1", "2", "3"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there are inherited from the user's own folder")
async def test_what_is_on_disk_is_the_users_alone(tmp_path: Path) -> None:
    async with CallStore(spools=tmp_path / "calls", limits=StoreLimits(memory_bytes=0)) as store:
        await store.put("call_1", _text(KIB))

        (file,) = _files(tmp_path)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent, file.parent.parent)]
        assert modes == [0o600, 0o700, 0o700]


async def test_closing_leaves_nothing_on_disk(tmp_path: Path) -> None:
    async with CallStore(spools=tmp_path / "calls", limits=StoreLimits(memory_bytes=0)) as store:
        await store.put("call_1", _text(KIB))
        assert _names(tmp_path / "calls")

    assert _names(tmp_path / "calls") == []


async def test_what_a_dead_process_left_is_cleared_away_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    dead = tmp_path / "spool-0123456789abcdef"
    dead.mkdir()
    (dead / "1-answer").write_text("left behind")
    (tmp_path / f"{dead.name}.lock").touch()
    async with CallStore(spools=tmp_path, limits=StoreLimits(memory_bytes=0)) as living:
        await living.put("call_1", _text(KIB))
        dead.mkdir(exist_ok=True)
        async with CallStore(spools=tmp_path):
            assert not dead.exists()
            assert (await living.get("call_1")).text == "x" * KIB


async def test_an_old_answer_has_expired_which_is_another_thing_than_unknown(tmp_path: Path) -> None:
    clock = Clock()
    async with CallStore(
        spools=tmp_path, limits=StoreLimits(memory_bytes=0, lifetime_seconds=3600), now=clock
    ) as store:
        await store.put("call_1", _text(KIB))
        clock.seconds = 3599.0
        assert (await store.get("call_1")).text
        clock.seconds = 3600.0

        expired, unknown = await _why_missing(store, "call_1"), await _why_missing(store, "call_2")
        assert _files(tmp_path) == []
        assert str(expired) == (
            "The answer of call 'call_1' is gone: answers are kept for 60 minutes. "
            "Call the model again if you still need the answer; that call is billed again."
        )
        assert unknown.message == "No call 'call_2' is known here."


async def test_answers_of_an_idle_server_are_removed_when_their_time_is_over(tmp_path: Path) -> None:
    clock, limits = Clock(), StoreLimits(memory_bytes=0, lifetime_seconds=3600)
    async with CallStore(spools=tmp_path, limits=limits, now=clock, sleep=clock.sleep) as store:
        await store.put("call_1", _text(KIB))
        picture = await store.put_file("call_1", "a.png", b"picture")
        await clock.until_sleeps(1)
        clock.set(100.0)
        await store.put("call_2", _text(KIB))
        clock.set(3600.0)
        await clock.until_sleeps(2)
        assert not picture.exists()
        assert len(_files(tmp_path)) == 1

        clock.set(3700.0)
        with anyio.fail_after(30):
            while _files(tmp_path):
                await anyio.lowlevel.checkpoint()
        await store.put("call_3", _text(KIB))
        await clock.until_sleeps(3)
        assert len(_files(tmp_path)) == 1
    assert clock.sleeps == [3600.0, 100.0, 3600.0]


async def test_an_error_in_the_body_comes_out_of_a_store_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with CallStore(spools=tmp_path / "calls", limits=StoreLimits(memory_bytes=0)) as store:
            await _put_and_fail(store)

    assert _names(tmp_path / "calls") == []


async def test_a_cancelled_store_leaves_nothing_on_disk(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with CallStore(spools=tmp_path / "calls", limits=StoreLimits(memory_bytes=0)) as store:
            await store.put("call_1", _text(KIB))
            scope.cancel()
            await anyio.sleep_forever()

    assert _names(tmp_path / "calls") == []


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(StoreLimits(answers=2), id="number"),
        pytest.param(StoreLimits(memory_bytes=0, disk_bytes=2 * KIB), id="disk"),
    ],
)
async def test_a_full_store_gives_up_its_oldest_answer_and_says_so(tmp_path: Path, limits: StoreLimits) -> None:
    async with CallStore(spools=tmp_path, limits=limits) as store:
        for number in range(3):
            await store.put(f"call_{number}", _text(KIB))

        assert "it made room for newer answers" in str(await _why_missing(store, "call_0"))
        assert (await store.get("call_1")).text
        assert (await store.get("call_2")).text
        assert len(_files(tmp_path)) in (0, 2)


async def test_a_file_is_kept_as_long_as_the_answer_of_its_call(tmp_path: Path) -> None:
    clock = Clock()
    async with CallStore(spools=tmp_path, now=clock) as store:
        await store.put("call_1", _text(1))
        path = await store.put_file("call_1", "a.png", b"picture")
        assert path.read_bytes() == b"picture"
        assert path.name.endswith("a.png")

        clock.seconds = 4000.0
        await _why_missing(store, "call_1")
        assert not path.exists()
        with pytest.raises(OSError, match="no room"):
            await store.put_file("call_1", "a.png", b"picture")


async def test_a_disk_that_refuses_an_answer_fails_nothing_and_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    async with CallStore(spools=tmp_path / "taken", limits=StoreLimits(memory_bytes=0)) as store:
        await store.put("call_1", _text(KIB))

        assert "it could not be written to disk" in str(await _why_missing(store, "call_1"))


async def test_a_file_that_someone_took_away_is_told_of(tmp_path: Path) -> None:
    async with CallStore(spools=tmp_path, limits=StoreLimits(memory_bytes=0)) as store:
        await store.put("call_1", _text(KIB))
        _files(tmp_path)[0].unlink()

        assert "its file was deleted" in str(await _why_missing(store, "call_1"))


async def test_calls_that_end_together_are_all_kept(tmp_path: Path) -> None:
    async with CallStore(spools=tmp_path, limits=StoreLimits(memory_bytes=5 * KIB)) as store:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(store.put, f"call_{number}", _text(KIB, chr(65 + number)))

        assert [(await store.get(f"call_{number}")).text[0] for number in range(50)] == [chr(65 + n) for n in range(50)]
        assert len(_files(tmp_path)) == 45
