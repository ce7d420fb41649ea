"""The picture of an agent in docs/: drawn from the recorded session, again with UPDATE_DOCS=1."""

import os
import re

from tests.support.agent_picture import PICTURE, TRANSCRIPT, picture_of
from tests.support.demo_picture import COLUMNS, text_of_picture


def test_the_picture_shows_calls_of_the_recorded_session() -> None:
    made = picture_of(TRANSCRIPT.read_text(encoding="utf-8"))
    if os.environ.get("UPDATE_DOCS"):
        PICTURE.write_text(made, encoding="utf-8")

    lines = text_of_picture(PICTURE.read_text(encoding="utf-8"))
    assert lines == text_of_picture(made)
    assert max(map(len, lines)) <= COLUMNS
    assert lines[0] == "> mcp__blaxel__house-chat"
    assert any("Retry after 3600 seconds." in line for line in lines)


def test_the_picture_fetches_nothing_and_says_that_the_model_is_scripted() -> None:
    svg = PICTURE.read_text(encoding="utf-8")

    assert len(svg) < 40_000
    assert "follows a script" in svg.replace("&#160;", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert re.findall(r"url\((?!#)|href|@import|<script", svg) == []
