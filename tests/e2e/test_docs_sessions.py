"""Commands print the output that the pages of docs/ show; UPDATE_DOCS=1 writes it into the pages."""

import sys
from pathlib import Path

import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.docs_pages import settle
from tests.support.docs_sessions import SESSIONS, typed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="the folders that the pages show are those of Linux"),
]


@pytest.mark.parametrize(("page", "name"), SESSIONS, ids=lambda value: getattr(value, "stem", value))
async def test_a_command_of_a_page_prints_what_it_says(emulator: Emulator, home: Path, page: Path, name: str) -> None:
    settle(page, name, await typed(emulator, SESSIONS[page, name], home))
