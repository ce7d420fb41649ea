"""A request to Blaxel as a value, what it carries on the wire, and how long it may take."""

import platform
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from blaxel_mcp import __version__
from blaxel_mcp.client.errors.network import timed_out
from blaxel_mcp.core.exceptions import InvalidArgumentsError

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_RESERVED_HEADERS = re.compile(
    r"(?:proxy-)?authorization|x-blaxel-.*|x-api-key|host|cookie|connection|content-length|transfer-encoding|"
    r"accept-encoding",
    re.IGNORECASE,
)


@dataclass(slots=True)
class CallTrace:
    """What is known of a call while it goes on.

    Attributes:
        attempts: How many times the request was handed over to be sent.
        status: The last HTTP status, None until the attempt under way has one.
        request_id: The id under which Blaxel finds the last response.
        first_byte_seconds: From the trace's making to the last response's headers.
        sent: Whether upstream may be working on the request, and may charge for it.
        started: When the trace was made, by `time.perf_counter`.
    """

    attempts: int = 0
    status: int | None = None
    request_id: str | None = None
    first_byte_seconds: float | None = None
    sent: bool = False
    started: float = field(default_factory=time.perf_counter, repr=False, compare=False)


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


class Departure:
    """Notes whether a request has left; a transport that reports nothing is taken to send what it is given."""

    def __init__(self, trace: CallTrace) -> None:
        self._trace = trace
        self._reports = False

    def hand_over(self) -> None:
        """Note that the request, signed, goes to the transport; what is known of an earlier attempt is over."""
        self._trace.attempts += 1
        self._trace.sent = True
        self._trace.status = self._trace.request_id = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take an event of httpcore's `trace` extension."""
        if not self._reports:
            self._reports, self._trace.sent = True, False
        # A proxy is sent a CONNECT of its own first.
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self._trace.sent = True


@contextmanager
def deadline(seconds: float | None, trace: CallTrace) -> Iterator[None]:
    """Give up what is inside after so many seconds; None sets no limit.

    Raises:
        BlaxelError: `timeout`; `billed` goes by what `trace` says of the request.
    """
    with anyio.move_on_after(seconds) as scope:
        yield
    if seconds is not None and scope.cancelled_caught:
        error = timed_out(seconds, sent=trace.sent)
        error.status, error.request_id = trace.status, trace.request_id
        raise error


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
