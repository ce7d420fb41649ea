"""A request to Blaxel as a value, what it carries on the wire, and how long it may take."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import InvalidArgumentsError

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_RESERVED_HEADERS = re.compile(
    r"(?:proxy-)?authorization|x-blaxel-.*|x-api-key|host|cookie|connection|content-length|transfer-encoding|"
    r"accept-encoding",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class APIRequest:
    """A request, before it is signed. `headers` may add to those that every request carries."""

    method: str
    url: str
    workspace: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class APIResponse:
    """A success, decoded. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request_headers(request: APIRequest, *, api_version: str) -> dict[str, str]:
    """Return what a request carries besides its credentials.

    Raises:
        InvalidArgumentsError: A header of the request's own is reserved or cannot be written.
    """
    for name, value in (*request.headers.items(), ("X-Blaxel-Workspace", request.workspace)):
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise InvalidArgumentsError(f"The header {name!a} cannot be sent: it is not plain text on one line.")
    for name in request.headers:
        if _RESERVED_HEADERS.fullmatch(name):
            raise InvalidArgumentsError(f"The header {name!r} is for this server to set.")
    return {
        **base_headers(),
        "X-Blaxel-Workspace": request.workspace,
        "Blaxel-Version": api_version,
        **({} if request.content is None else {"Content-Type": "application/json"}),
        **{name.title(): value for name, value in request.headers.items()},
    }


def base_headers() -> dict[str, str]:
    """Return what every request carries, those to the token endpoint too."""
    return {
        "User-Agent": f"blaxel-mcp-py/{__version__} ({_word(platform.system())}/{_word(platform.machine())})",
        "Accept": "application/json",
        # Only what `response_body` decodes; Blaxel's gateway has been seen to break Brotli, and
        # its TypeScript SDK sends no-transform against that.
        "Accept-Encoding": "gzip, identity",
        "Cache-Control": "no-transform",
    }


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9_.-]", "", text.lower()) or "unknown"
