"""The audit file: which calls have a line, what the line says, and what happens when it cannot be written."""

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.audit import AuditLog
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.schema import AuditSettings
from tests.support.canaries import HTTP_TOKEN
from tests.support.connecting import (
    ERAS,
    Era,
    answer_of,
    connect,
    error_of,
    inference_requests,
    is_slow_call,
    leading_to,
    receipt_of,
)
from tests.support.http_serving import answer_to_42, serving

pytestmark = pytest.mark.anyio

PROMPT = "the prompt of an audited call"
NAMES = {
    *("time", "caller", "workspace", "model", "api", "call_id", "request_id", "status", "error", "billed", "attempts"),
    *("input_tokens", "output_tokens", "total_tokens", "estimated", "cost_usd", "elapsed_ms", "pid"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "calls.jsonl"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def holds(file: Path, text: str) -> bool:
    return text in file.read_text()


def open_to_others(file: Path) -> None:
    file.parent.mkdir(mode=0o755)
    file.touch(mode=0o644)


def block(file: Path) -> None:
    """Put a folder in the place of the file."""
    file.unlink()
    file.mkdir()


def unblock(file: Path) -> None:
    file.rmdir()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("era", ERAS)
async def test_a_billed_call_is_a_line_of_names_and_numbers(emulator: Emulator, file: Path, era: Era) -> None:
    async with connect(leading_to(emulator, audit={"file": str(file)}), era) as client:
        result = await client.call_tool("house-chat", {"prompt": PROMPT})

    receipt, answer = receipt_of(result), answer_of(result)["choices"][0]["message"]["content"]
    (line,) = lines(file)
    assert set(line) == NAMES
    assert line["caller"] == "owner"
    assert line["billed"] == "yes"
    assert line["error"] is None
    assert line["input_tokens"] == receipt["usage"]["input_tokens"] > 0
    for name in ("workspace", "model", "call_id", "request_id", "status", "attempts", "cost_usd"):
        assert line[name] == receipt[name], name
    assert not holds(file, PROMPT)
    assert not holds(file, answer)


async def test_only_calls_that_may_have_been_billed_have_a_line(emulator: Emulator, file: Path) -> None:
    async with connect(leading_to(emulator, audit={"file": str(file)})) as client:
        refused = await client.call_tool("run_model", {"model": "no-such-model", "data": {}})
        dropped = await client.call_tool("run_model", {"model": "fault-drop", "data": {"inputs": "x"}})

    assert error_of(refused)["billed"] == "no"
    (line,) = lines(file)
    assert (line["call_id"], line["billed"]) == (receipt_of(dropped)["call_id"], "maybe")
    assert line["error"] == error_of(dropped)["code"]


async def test_a_cancelled_call_that_was_sent_has_a_line(emulator: Emulator, file: Path) -> None:
    async with connect(leading_to(emulator, audit={"file": str(file)})) as client, anyio.create_task_group() as group:
        slow = {"model": "fault-slow-30s", "data": {"inputs": "x"}}
        group.start_soon(client.call_tool, "run_model", slow)
        with anyio.fail_after(20):
            while not any(map(is_slow_call, emulator.requests)):
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    (line,) = lines(file)
    assert (line["model"], line["billed"], line["error"]) == ("fault-slow-30s", "maybe", "cancelled")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
async def test_the_file_and_its_folder_are_private_even_if_the_file_was_open_to_others(
    emulator: Emulator, file: Path
) -> None:
    open_to_others(file)
    async with connect(leading_to(emulator, audit={"file": str(file)})) as client:
        await client.call_tool("house-chat", {"prompt": PROMPT})

    assert mode(file) == 0o600
    (line,) = lines(file)
    assert line["billed"] == "yes"


async def test_a_full_file_is_renamed_and_none_is_lost(emulator: Emulator, file: Path) -> None:
    async with connect(leading_to(emulator, audit={"file": str(file), "max_bytes": 1024})) as client:
        results = [await client.call_tool("house-chat", {"prompt": PROMPT}) for _ in range(7)]

    files = sorted(file.parent.iterdir())
    assert len(files) > 1
    assert all(each.name.startswith(file.name) for each in files)
    written = [line["call_id"] for each in files for line in lines(each)]
    assert sorted(written) == sorted(receipt_of(result)["call_id"] for result in results)


def test_two_processes_may_write_to_one_file_while_it_is_renamed(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two logs in two threads open, write and rename the file as two processes do."""
    logs = [AuditLog(file, max_bytes=1024) for _ in range(2)]

    def write(writer: int) -> None:
        for number in range(200):
            logs[writer].append({"call_id": f"{writer}-{number}", "filling": "x" * 50})

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, writer) for writer in range(2)]:
            done.result(timeout=60)

    written = [line["call_id"] for each in file.parent.iterdir() for line in lines(each)]
    assert sorted(written) == sorted(f"{writer}-{number}" for writer in range(2) for number in range(200))
    assert caplog.records == []


async def test_callers_over_http_have_lines_under_their_identities(emulator: Emulator, file: Path) -> None:
    http = {"auth": "token", "bearer_tokens": (HTTP_TOKEN,)}
    config = leading_to(emulator, audit={"file": str(file)}, http=http)
    async with serving(config) as served, served.client(headers={"Authorization": f"Bearer {HTTP_TOKEN}"}) as client:
        await answer_to_42(client)

    (line,) = lines(file)
    assert line["caller"].startswith("token-")
    assert not holds(file, HTTP_TOKEN)


@pytest.fixture(params=["a folder", "below a file", "a link", "a shared folder"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "taken" / "calls.jsonl"
    path.parent.mkdir()
    match request.param:
        case "a folder":
            path.mkdir()
        case "below a file":
            path.touch()
            path = path / "calls.jsonl"
        case "a link":
            path.symlink_to(tmp_path / "elsewhere")
        case "a shared folder":
            path.parent.chmod(0o777)
    yield path
    path.parent.chmod(0o700)


async def test_a_file_that_cannot_be_written_is_an_error_at_the_start(emulator: Emulator, unusable: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"audit\.file cannot be written"):
        build_server(leading_to(emulator, audit={"file": str(unusable)}))


async def test_a_file_that_cannot_be_written_later_refuses_calls_until_the_missing_line_is_written(
    emulator: Emulator, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(leading_to(emulator, audit={"file": str(file)})) as client:
        block(file)
        paid = await client.call_tool("house-chat", {"prompt": PROMPT})
        refused = [await client.call_tool("house-chat", {"prompt": PROMPT}) for _ in range(2)]
        unblock(file)
        accepted = await client.call_tool("house-chat", {"prompt": PROMPT})

    assert answer_of(paid)
    for result in refused:
        assert error_of(result)["code"] == "configuration_error"
        assert error_of(result)["billed"] == "no"
    assert len(inference_requests(emulator.requests)) == 2
    assert [line["call_id"] for line in lines(file)] == [receipt_of(each)["call_id"] for each in (paid, accepted)]
    assert sum("audit.file cannot be written" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("path", ["calls.jsonl", "", "${AUDIT}", "./calls.jsonl"])
def test_the_file_has_to_be_an_absolute_path(path: str) -> None:
    with pytest.raises(ValueError, match="absolute"):
        AuditSettings(file=path)
