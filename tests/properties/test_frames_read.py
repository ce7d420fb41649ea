"""Frames on stdin: any bytes are a message or get an answer."""

import json
from typing import Any

import mcp_types as types
from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.server.stdio.frames import FrameBuffer, is_refusal, read_frame
from tests.properties.examples import json_values, nested, scalars, tried

LIMIT = 2048
PIECES = st.sampled_from(
    [
        b'{"jsonrpc":"2.0"',
        b'"id":',
        b"1",
        b'"a"',
        b'"method":',
        b'"tools/call"',
        b'"params":',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\xff",
        b"\x00",
        b"\xef\xbb\xbf",
        b"null",
        b"NaN",
        b"1e999",
        b'"\\ud800"',
        b" ",
        b"-",
        b"\r",
    ]
)
hostile_bytes = st.lists(PIECES | st.binary(max_size=12), max_size=14).map(b"".join)
nearly_messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2.0, None]),
        "id": scalars | st.lists(scalars, max_size=2),
        "method": scalars | st.sampled_from(["tools/call", "ping", "initialize"]),
        "params": nested(scalars, leaves_at_most=6),
        "result": nested(scalars, leaves_at_most=6),
        "error": nested(scalars, leaves_at_most=6) | st.just({"code": 1, "message": "x"}),
    },
)


def fed(pieces: list[bytes]) -> FrameBuffer:
    """Return a buffer with all of an input."""
    buffer = FrameBuffer(limit=LIMIT)
    for piece in [*filter(None, pieces), b""]:
        buffer.feed(piece)
    return buffer


@tried(120)
@given(line=hostile_bytes | (nearly_messages | json_values).map(lambda value: json.dumps(value).encode()))
@example(b'{"id":' + b"9" * 5000 + b"}")
@example(b"[" * 100_000)
@example(b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 100_000)
@example(b'{"id":1e999}')
@example(b'{"id":1.0,"id":-0}')
@example(b"\xff\xfe{\x00}\x00")
@example(b"{\x00}\x00")
def test_any_bytes_are_a_message_or_get_an_answer(line: bytes) -> None:
    frame = read_frame(line)

    written = frame.model_dump_json(by_alias=True, exclude_unset=True)
    assert "\n" not in written
    if is_refusal(frame):
        assert isinstance(frame, types.JSONRPCError)
        assert frame.error.code in (types.PARSE_ERROR, types.INVALID_REQUEST)
        assert len(written) < 1000 + len(line)


@tried(60)
@given(
    request_id=st.integers(-(10**17), 10**17) | st.from_regex(r"[\w -]{1,60}", fullmatch=True),
    params=st.dictionaries(st.text(max_size=6), json_values, max_size=4),
    at_the_end=st.booleans(),
    broken=st.sampled_from(["deep", "nan", "cut surrogate", "too large"]),
)
@example(request_id="𐀀" * 60, params={}, at_the_end=False, broken="deep")
def test_an_invalid_frame_is_answered_with_its_id(
    request_id: Any, params: dict[str, Any], at_the_end: bool, broken: str
) -> None:
    message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {**params, "id": "another"}}
    if at_the_end:
        message["id"] = message.pop("id")
    bad = {
        "deep": "[" * 10_000 + "]" * 10_000,
        "nan": "[NaN",
        "cut surrogate": '"\\ud800"',
        "too large": f'"{"x" * LIMIT}"',
    }
    inner = json.dumps(message["params"])[:-1] + f', "bad": {bad[broken]}}}'
    rest = [f'"{name}": {json.dumps(value)}' for name, value in message.items() if name != "params"]
    position = 2 if at_the_end else 3
    parts = [*rest[:position], f'"params": {inner}', *rest[position:]]
    reader = fed([f"{{{', '.join(parts)}}}\n".encode() + b'{"jsonrpc":"2.0","id":5,"method":"ping"}\n'])

    refusal, following = reader.take(), reader.take()

    assert isinstance(refusal, types.JSONRPCError)
    assert refusal.id == request_id
    assert isinstance(following, types.JSONRPCRequest)
    assert following.id == 5
    assert reader.take() is None


@tried(200)
@given(
    lines=st.lists(
        hostile_bytes.map(lambda line: line.replace(b"\n", b""))
        | st.binary(min_size=LIMIT, max_size=LIMIT * 3).map(lambda line: line.replace(b"\n", b"")),
        max_size=5,
    ),
    ends_with_a_line=st.booleans(),
    size=st.integers(1, 3 * LIMIT),
)
def test_each_line_is_one_frame_until_the_end_of_the_input_in_pieces_of_any_size(
    lines: list[bytes], ends_with_a_line: bool, size: int
) -> None:
    text = b"\n".join(lines) + b"\n" * ends_with_a_line

    frames = list(iter(fed([text[start : start + size] for start in range(0, len(text), size)]).take, None))
    in_one_piece = list(iter(fed([text]).take, None))

    def written(line: bytes) -> bytes:
        return line.removeprefix(b"\xef\xbb\xbf").strip()

    ends = [b"\n"] * (len(lines) - 1) + [b"\n" * ends_with_a_line]
    expected = [line for line, end in zip(lines, ends, strict=False) if written(line) or len(line + end) > LIMIT]
    assert len(frames) == len(expected)
    assert frames == in_one_piece
