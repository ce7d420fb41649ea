"""The demo as a new user runs it: a subprocess, a real client and what went over, told in order."""

import os
import re
import subprocess
import sys

import pytest

DEMO = [sys.executable, "-m", "blaxel_mcp", "demo"]


def test_the_demo_is_a_tour_in_plain_text_when_it_is_piped() -> None:
    finished = subprocess.run(DEMO, capture_output=True, text=True, timeout=60, check=False)

    assert (finished.returncode, finished.stderr) == (0, "")
    assert "\x1b" not in finished.stdout
    told = (
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
    for words in told:
        assert words in finished.stdout[place:], words
        place = finished.stdout.index(words, place)
    assert "demo-key" not in finished.stdout


def test_the_demo_finds_that_sentences_that_share_words_are_alike() -> None:
    finished = subprocess.run(DEMO, capture_output=True, text=True, timeout=60, check=True)

    alike, strangers = (float(figure) for figure in re.findall(r"similarity +(-?\d\.\d\d)", finished.stdout))
    assert alike > strangers + 0.3


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")
def test_the_demo_has_colour_on_a_terminal() -> None:
    import pty  # noqa: PLC0415 - there is none on Windows

    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TERM": "xterm-256color"}
    with subprocess.Popen(DEMO, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(60) == 0
    os.close(ours)

    assert b"\x1b[1m4. A chat model\x1b[0m" in shown
    assert b"\x1b[1;32m17 * 23 = 391" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # Linux's way of saying that the other end of a pseudo-terminal is closed.
        return b""
