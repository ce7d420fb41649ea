"""docs/demo.svg shows what the demo prints; with UPDATE_DOCS=1 it is made anew."""

import os
import re
import sys

import pytest

from tests.support.demo_picture import PICTURE, demo_on_a_terminal, picture_of, text_of_picture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")


def test_the_picture_shows_what_the_demo_prints() -> None:
    made = picture_of(demo_on_a_terminal())
    if os.environ.get("UPDATE_DOCS"):
        PICTURE.write_text(made, encoding="utf-8")

    assert text_of_picture(PICTURE.read_text(encoding="utf-8")) == text_of_picture(made)


def test_the_picture_is_small_and_fetches_nothing() -> None:
    svg = PICTURE.read_text(encoding="utf-8")

    assert len(svg) < 60_000
    assert re.findall(r"url\((?!#)|href|@import|<script", svg) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s<&]+", svg) == []
    assert len(text_of_picture(svg)) > 30
