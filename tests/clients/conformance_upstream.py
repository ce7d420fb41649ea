"""Endpoints for what the emulator does not have: a document, several media at once, a change of the workspace.

The conformance suite calls tools with fixed names. Most of them are models of the emulator with such a tool name; these
are separate endpoints.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from blaxel_mcp.emulator.apis.images import paint
from tests.clients.loopback import served

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"

SECONDS_AT_LAST = 5.5
"""Delay of the endpoint that refuses at first: a client receives progress at least every five seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of an endpoint, and its delay in seconds."""

    media_type: str
    data: bytes
    status: int = 200
    after: float = 0


def document() -> Answer:
    """Return a document."""
    return Answer("application/pdf", PDF)


def several() -> Answer:
    """Return text, a picture and a document in one JSON value."""
    picture = {"b64_json": base64.b64encode(paint("conformance", "1024x1024")).decode()}
    pages = {"mime_type": "application/pdf", "data": base64.b64encode(PDF).decode()}
    value = {"words": "Both at once.", "picture": picture, "pages": pages}
    return Answer("application/json", json.dumps(value).encode())


class Reluctant:
    """Answer `busy` twice and then slowly: the caller receives progress of each wait and of the slow answer."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self) -> Answer:
        """Answer once more."""
        self._asked += 1
        if self._asked % 3:
            return Answer("application/json", b'{"error": "Too many requests."}', status=429)
        return Answer("text/plain", b"At last.", after=SECONDS_AT_LAST)


@contextmanager
def upstream(change: Callable[[], None]) -> Iterator[str]:
    """Serve the endpoints while the context lasts.

    Args:
        change: What `/change` does before it answers.

    Yields:
        The URL below which they are: `/document`, `/several`, `/reluctant` and `/change`.
    """

    def changed() -> Answer:
        change()
        return Answer("text/plain", b"Changed.")

    answers: dict[str, Callable[[], Answer]] = {
        "/document": document,
        "/several": several,
        "/reluctant": Reluctant(),
        "/change": changed,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = answers[self.path]()
            time.sleep(answer.after)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.data)))
            if answer.status != HTTPStatus.OK:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as url:
        yield url
