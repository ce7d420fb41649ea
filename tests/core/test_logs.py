"""The log on stderr."""

import logging
from collections.abc import Iterator

import pytest

from blaxel_mcp.core.logs import QUIET_BELOW_WARNING, configure_logging


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
