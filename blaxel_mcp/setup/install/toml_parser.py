"""Parses TOML, with the position of the first mistake."""

import re
import tomllib
from typing import Any

from blaxel_mcp.setup.install.errors import MalformedError

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse(text: str) -> dict[str, Any]:
    """Parse a document into Python's types; it may begin with a byte order mark.

    Raises:
        MalformedError: The text is not TOML.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        offset = len(text)
        if place and place[1]:
            offset = sum(len(line) + 1 for line in text.split("\n")[: int(place[1]) - 1]) + int(place[2]) - 1
        raise MalformedError("invalid TOML", text, offset) from None
    except (ValueError, RecursionError):
        raise MalformedError("a value is too large or nested too deeply", text, 0) from None
