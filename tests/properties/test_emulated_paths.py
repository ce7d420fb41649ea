"""Raw paths that allow two readings are refused."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.emulator.platform.admission import path_segments
from tests.properties.examples import tried

plain_segments = st.text(st.characters(exclude_categories=["C"], exclude_characters="\\%/;.\ufffd"), min_size=1)
hostile_segments = st.sampled_from(
    ["..", ".", "..;a=b", "v1/../x", "v1\\x", "v1\x00", "v1\r\nX:y", "\x7f", "\N{REPLACEMENT CHARACTER}"]
)


def escaped(segment: str, times: int) -> str:
    """Return a segment with every byte percent-encoded, this many times."""
    for _ in range(times):
        segment = "".join(f"%{byte:02x}" for byte in segment.encode())
    return segment


@tried(50)
@given(segments=st.lists(plain_segments, min_size=1, max_size=5))
def test_harmless_segments_are_decoded(segments: list[str]) -> None:
    raw_path = "/" + "/".join(quote(segment, safe="") for segment in segments)

    assert path_segments(raw_path.encode()) == tuple(segments)


@tried(50)
@given(before=st.lists(plain_segments, max_size=3), hostile=hostile_segments, times=st.integers(1, 4))
def test_a_hostile_segment_is_refused_however_it_is_encoded(before: list[str], hostile: str, times: int) -> None:
    segments = [*(quote(segment, safe="") for segment in before), escaped(hostile, times), "x"]

    assert path_segments("/".join(["", *segments]).encode()) is None


@pytest.mark.parametrize(
    "raw_path",
    [b"/demo/./x", b"/demo/.%2E/x", b"//demo", b"/demo/v1//", b"/demo\\x", b"/demo/%", b"/demo/%zz", b"/%c0%ae/x"],
)
def test_a_path_that_could_be_read_two_ways_is_refused(raw_path: bytes) -> None:
    assert path_segments(raw_path) is None
