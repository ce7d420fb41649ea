"""Bodies decoded while they arrive, within their limit."""

import gzip
import random
import tracemalloc
import zlib

import pytest

from blaxel_mcp.client.body_reader import BodyReader
from blaxel_mcp.core.exceptions import BlaxelError

MIB = 1024 * 1024
TEXT = b"".join(b"line %d of the body\n" % number for number in range(1_000))
RAW = random.Random(7).randbytes(20_000)  # noqa: S311 - what does not compress, the same each time

ENCODED = {
    "identity": ("identity", TEXT, TEXT),
    "none": ("", TEXT, TEXT),
    "gzip": ("gzip", gzip.compress(TEXT), TEXT),
    "x-gzip": ("x-gzip", gzip.compress(TEXT), TEXT),
    "spelt otherwise": (" GZIP ", gzip.compress(TEXT), TEXT),
    "incompressible": ("gzip", gzip.compress(RAW), RAW),
    "two members": ("gzip", gzip.compress(TEXT) + gzip.compress(RAW), TEXT + RAW),
    "empty member first": ("gzip", gzip.compress(b"") + gzip.compress(TEXT), TEXT),
    "stored": ("gzip", gzip.compress(TEXT, compresslevel=0), TEXT),
    "deflate": ("deflate", zlib.compress(TEXT), TEXT),
    "empty gzip": ("gzip", gzip.compress(b""), b""),
    "nothing, called gzip": ("gzip", b"", b""),
    "nothing": ("", b"", b""),
}


def _read(encoding: str, wire: bytes, *, limit: int, chunk: int) -> bytes:
    reader = BodyReader(encoding, limit=limit)
    for start in range(0, len(wire), chunk):
        reader.feed(wire[start : start + chunk])
    return reader.finish()


@pytest.mark.parametrize("chunk", [1, 2, 7, 4096, 1 << 20])
@pytest.mark.parametrize(("encoding", "wire", "body"), ENCODED.values(), ids=ENCODED)
def test_body_is_the_same_however_it_is_cut(encoding: str, wire: bytes, body: bytes, chunk: int) -> None:
    assert _read(encoding, wire, limit=MIB, chunk=chunk) == body


@pytest.mark.parametrize(("encoding", "wire", "body"), ENCODED.values(), ids=ENCODED)
def test_body_of_exactly_the_limit_is_read_whole(encoding: str, wire: bytes, body: bytes) -> None:
    assert _read(encoding, wire, limit=len(body), chunk=1000) == body


@pytest.mark.parametrize(
    ("encoding", "wire", "body"),
    [row for row in ENCODED.values() if row[2]],
    ids=[name for name, row in ENCODED.items() if row[2]],
)
def test_body_one_byte_over_the_limit_is_refused_and_paid_for(encoding: str, wire: bytes, body: bytes) -> None:
    with pytest.raises(BlaxelError) as refused:
        _read(encoding, wire, limit=len(body) - 1, chunk=1000)
    error = refused.value
    assert (error.code, error.origin, error.billed, error.retryable) == ("response_too_large", "local", "yes", False)
    assert f"{len(body) - 1} bytes" in error.message
    assert "limits.max_response_bytes" in error.message


def test_what_fits_is_still_there_after_the_refusal() -> None:
    reader = BodyReader("gzip", limit=10)
    with pytest.raises(BlaxelError):
        reader.feed(gzip.compress(TEXT))
    assert reader.body == TEXT[:10]


CORRUPT = {
    "cut gzip": ("gzip", gzip.compress(TEXT)[:-9]),
    "gzip without its last byte": ("gzip", gzip.compress(TEXT)[:-1]),
    "cut second member": ("gzip", gzip.compress(TEXT) + gzip.compress(RAW)[:100]),
    "plain called gzip": ("gzip", TEXT),
    "wrong checksum": ("gzip", gzip.compress(TEXT)[:-8] + b"\0" * 8),
    "rubbish after gzip": ("gzip", gzip.compress(TEXT) + b"rubbish"),
    "plain called deflate": ("deflate", b"plain"),
    "cut deflate": ("deflate", zlib.compress(TEXT)[:-1]),
    "one byte": ("gzip", b"\x1f"),
}


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize(("encoding", "wire"), CORRUPT.values(), ids=CORRUPT)
def test_cut_or_corrupt_body_is_never_given_back_as_whole(encoding: str, wire: bytes, chunk: int) -> None:
    with pytest.raises(BlaxelError) as refused:
        _read(encoding, wire, limit=MIB, chunk=chunk)
    assert (refused.value.code, refused.value.billed) == ("bad_response", "maybe")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip, gzip", "compress", "utf-8, br"])
def test_encoding_that_was_not_asked_for_is_refused_at_once(encoding: str) -> None:
    reader = BodyReader(encoding, limit=MIB)
    with pytest.raises(BlaxelError, match="compression that was not requested") as refused:
        reader.feed(b"\x1b\x03\x00")
    assert refused.value.code == "bad_response"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
@pytest.mark.parametrize("chunk", [1, MIB])
def test_json_that_a_proxy_has_decompressed_is_read_whatever_its_header_still_says(encoding: str, chunk: int) -> None:
    assert _read(encoding, b'{"ok": true}', limit=1000, chunk=chunk) == b'{"ok": true}'


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("body", [b"data: {}\n\n", b": soon\n\n", b"event: x\ndata: {}\n\n", b"\n\n[1]"])
def test_events_that_a_proxy_has_decompressed_are_read(encoding: str, body: bytes) -> None:
    assert _read(encoding, body, limit=1000, chunk=1) == body


@pytest.mark.parametrize("members", [1, 40])
def test_compression_bomb_costs_no_more_memory_than_the_limit(members: int) -> None:
    bomb = gzip.compress(b"\0" * (256 // members * MIB)) * members
    limit = 4 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(BlaxelError) as refused:
            _read("gzip", bomb, limit=limit, chunk=64 * 1024)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == "response_too_large"
    assert peak < limit * 1.5


def test_large_body_is_held_once() -> None:
    chunk = b"x" * 65_536
    tracemalloc.start()
    try:
        reader = BodyReader("", limit=16 * MIB)
        for _ in range(256):
            reader.feed(chunk)
        body = reader.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) == 16 * MIB
    assert peak < 16 * MIB * 1.5


@pytest.mark.parametrize("encoding", ["UTF-8", "none", "binary", "text", "identity, utf-8"])
@pytest.mark.parametrize("body", [b'{"ok": true}', "\u00e9".encode(), b"\x89PNG\r\n\x1a\n\xff\xfe"])
def test_an_encoding_that_is_none_is_no_encoding(encoding: str, body: bytes) -> None:
    reader = BodyReader(encoding, limit=1000)
    reader.feed(body)

    assert reader.finish() == body


def test_an_unknown_encoding_beside_a_known_one_is_passed_over() -> None:
    reader = BodyReader("utf-8, gzip", limit=1000)
    reader.feed(gzip.compress(b"hello"))

    assert reader.finish() == b"hello"


def test_a_body_in_an_unknown_compression_is_refused() -> None:
    reader = BodyReader("made-up", limit=1000)
    reader.feed(b"\xff\xfe\x00\x80")

    with pytest.raises(BlaxelError, match="compression that was not requested"):
        reader.finish()
