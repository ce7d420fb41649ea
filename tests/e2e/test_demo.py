"""The demo as a new user runs it, piped and on a terminal, and its picture in docs/, which UPDATE_DOCS=1 redraws."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.demo_picture import PICTURE, picture_of, text_of_picture
from tests.support.leaks import look_at
from tests.support.terminal import on_a_terminal

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")


@pytest.fixture(scope="module")
def piped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of the demo in a pipe."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path_factory.mktemp("piped"))}
    command = [sys.executable, "-m", "blaxel_mcp", "demo"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    look_at("the demo", finished.stdout)
    return finished.stdout


@pytest.fixture(scope="module")
def on_terminal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of the demo on a terminal."""
    return on_a_terminal("demo", home=tmp_path_factory.mktemp("terminal"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_demo_that_a_signal_ends_leaves_nothing_behind(number: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "blaxel_mcp", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout
        assert demo.stderr
        assert any("tool call" in line for line in demo.stdout)
        demo.send_signal(getattr(signal, number))
        assert (demo.wait(20), demo.stderr.read()) == (130, "")

    assert list(tmp_path.glob("blaxel-mcp-*")) == []


def test_the_demo_is_a_tour_in_plain_text_when_it_is_piped(piped: str) -> None:
    assert "\x1b" not in piped
    said = (
        "1. The platform",
        "2. The settings",
        'workspace = "demo"',
        "3. The tools",
        "they speak MCP 2026-07-28",
        "house-classifier",
        "4. A chat model",
        'tool call    house-chat {"prompt": "What is 17 * 23?"',
        "request      POST /demo/models/house-chat/v1/chat/completions",
        "x-blaxel-authorization: Bearer ********",
        '"messages":[{"role":"user","content":"What is 17 * 23?"}]',
        "result       {",
        "text         17 * 23 = 391",
        "receipt      status 200",
        "5. An embedding model",
        "6. An answer too long for a context, read in parts",
        '"vector":{"dimensions":1536',
        "[items 100 to 108 of 1,536;",
        "7. Any other model, any path",
        "data was a JSON string and was parsed as an object",
        "8. A slow answer, with progress",
        "progress     fault-stream-slow: 1 s, ",
        "text         Slowly but surely, one word after the other.",
        "9. A picture comes back as a picture",
        "image        an image block: image/png",
        "10. A failure, as the agent sees it",
        "Retry after 3600 seconds.",
        'code: "rate_limited", origin: "blaxel", retryable: true, retry_after_seconds: 3600.0, billed: "no"',
        "11. Your own workspace",
        '"mcpServers"',
    )
    place = 0
    for words in said:
        assert words in piped[place:], words
        place = piped.index(words, place)
    assert "demo-key" not in piped


def test_the_demo_finds_sentences_that_share_words_more_alike_than_others(piped: str) -> None:
    alike, strangers = (float(figure) for figure in re.findall(r"similarity +(-?\d\.\d\d)", piped))
    assert alike > strangers + 0.3


@on_posix
def test_the_demo_has_color_on_a_terminal(on_terminal: str) -> None:
    assert "\x1b[1m4. A chat model\x1b[0m" in on_terminal
    assert "\x1b[1;32m17 * 23 = 391" in on_terminal


@on_posix
def test_the_demo_fits_a_terminal_of_80_columns(on_terminal: str) -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_terminal)

    # The entry to paste has a path of this machine.
    assert [line for line in shown.splitlines() if len(line) > 80 and '"command"' not in line] == []
    assert "on the mat a cat was sitting" in " ".join(shown.lower().split())


def test_the_picture_says_what_it_leaves_out() -> None:
    lines = text_of_picture(PICTURE.read_text(encoding="utf-8"))

    assert max(map(len, lines)) <= 80
    marked = [int(line.split()[1]) for line in lines if line.startswith("   ... ")]
    assert sum(marked) + sum(bool(re.match(r"\d+\. ", line)) for line in lines) == 11


@on_posix
def test_the_picture_shows_what_the_demo_prints(on_terminal: str) -> None:
    made = picture_of(on_terminal)
    if os.environ.get("UPDATE_DOCS"):
        PICTURE.write_text(made, encoding="utf-8")

    assert text_of_picture(PICTURE.read_text(encoding="utf-8")) == text_of_picture(made)


def test_the_picture_is_small_and_fetches_nothing() -> None:
    svg = PICTURE.read_text(encoding="utf-8")

    assert len(svg) < 60_000
    assert re.findall(r"url\((?!#)|href|@import|<script", svg) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s<&]+", svg) == []
    assert len(text_of_picture(svg)) > 30
