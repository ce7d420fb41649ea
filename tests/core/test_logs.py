"""Lines on stderr, written by a process of their own."""

import json
import subprocess
import sys

import pytest

UNFIT = """
import logging
from blaxel_mcp.core.logs import configure_logging
class Broken:
    def __str__(self):
        raise ValueError("canary-of-an-argument")
configure_logging("info", "{0}")
logging.getLogger("library").warning("%d items", "canary-in-place-of-a-number")
logging.getLogger("library").warning("%s", Broken())
logging.getLogger("library").warning("the next line")
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_message_that_has_no_text_is_reported_without_its_arguments(log_format: str) -> None:
    command = [sys.executable, "-c", UNFIT.replace("{0}", log_format)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    lines = finished.stderr.splitlines()
    messages = [json.loads(line)["message"] if log_format == "json" else line for line in lines]
    assert [message.rpartition(": ")[2] for message in messages] == ["TypeError", "ValueError", "the next line"]
    assert "canary" not in finished.stderr
