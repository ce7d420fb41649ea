"""The log on stderr."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from blaxel_mcp.core.logs import QUIET_BELOW_WARNING, configure_logging

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


@pytest.fixture
def _log_as_before() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, QUIET_BELOW_WARNING)]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "WARNING"), ("warning", "WARNING"), ("error", "ERROR"), ("critical", "CRITICAL")]
)
@pytest.mark.usefixtures("_log_as_before")
def test_a_library_is_logged_from_the_level_of_the_log_on_but_not_below_warnings(level: str, shown: str) -> None:
    configure_logging(level, "text")

    for name in QUIET_BELOW_WARNING:
        assert logging.getLevelName(logging.getLogger(f"{name}.part").getEffectiveLevel()) == shown


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_message_that_has_no_text_is_reported_without_its_arguments(log_format: str) -> None:
    command = [sys.executable, "-c", UNFIT.replace("{0}", log_format)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    lines = finished.stderr.splitlines()
    messages = [json.loads(line)["message"] if log_format == "json" else line for line in lines]
    assert [message.rpartition(": ")[2] for message in messages] == ["TypeError", "ValueError", "the next line"]
    assert "canary" not in finished.stderr
