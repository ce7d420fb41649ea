"""The bundle's icon, drawn: one agent on the left, and a line from it to each of three models."""

# ruff: noqa: INP001 - a script beside another, not a package
import math
import struct
import zlib

SIZE = 512
"""Pixels a side, as Claude Desktop wants them."""

_GROUND, _LINES = (23, 26, 38), (251, 176, 64)
_CORNER = 96
_AGENT, _MODELS = (140, 256), ((372, 128), (372, 256), (372, 384))
_AGENT_RADIUS, _MODEL_RADIUS, _LINE_RADIUS = 52, 40, 12


def icon() -> bytes:
    """The icon as a PNG with transparent corners."""
    rows = b"".join(b"\0" + bytes(channel for x in range(SIZE) for channel in _pixel(x, y)) for y in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixel(x: int, y: int) -> tuple[int, int, int, int]:
    line = _covered(_to_drawing(x, y))
    colour = (round(ground + (ink - ground) * line) for ground, ink in zip(_GROUND, _LINES, strict=True))
    red, green, blue = colour
    return red, green, blue, round(255 * _covered(_to_square(x, y)))


def _covered(distance: float) -> float:
    """How much of a pixel is inside of a shape whose edge is that far away; inside, the distance is negative."""
    return min(1.0, max(0.0, 0.5 - distance))


def _to_drawing(x: int, y: int) -> float:
    circles = [(_AGENT, _AGENT_RADIUS), *((model, _MODEL_RADIUS) for model in _MODELS)]
    to_circles = [math.dist((x, y), middle) - radius for middle, radius in circles]
    to_lines = [_to_line(x, y, model) - _LINE_RADIUS for model in _MODELS]
    return min(*to_circles, *to_lines)


def _to_line(x: int, y: int, model: tuple[int, int]) -> float:
    """The distance to the line from the agent to a model."""
    along, down = model[0] - _AGENT[0], model[1] - _AGENT[1]
    share = ((x - _AGENT[0]) * along + (y - _AGENT[1]) * down) / (along**2 + down**2)
    share = min(1.0, max(0.0, share))
    return math.dist((x, y), (_AGENT[0] + share * along, _AGENT[1] + share * down))


def _to_square(x: int, y: int) -> float:
    """The distance to the edge of a square with round corners, as large as the picture."""
    middle, straight = (SIZE - 1) / 2, SIZE / 2 - _CORNER
    across, down = abs(x - middle) - straight, abs(y - middle) - straight
    return math.hypot(max(across, 0.0), max(down, 0.0)) + min(max(across, down), 0.0) - _CORNER
