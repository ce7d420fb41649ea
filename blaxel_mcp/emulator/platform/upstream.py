"""A local OpenAI-compatible server (Ollama, llama.cpp, vLLM) that answers in place of the emulator's own models.

It is called with the standard library only: the emulator shares nothing with the client that it tests, its HTTP library
included.
"""

import urllib.error
import urllib.request
from http.client import HTTPException

import anyio.to_thread
from starlette.responses import Response

from blaxel_mcp.emulator.platform.errors import openai_error

TIMEOUT_SECONDS = 600.0
"""A model on a laptop may take minutes to answer."""


class Upstream:
    """Forwards requests to an OpenAI-compatible server.

    Args:
        base_url: The server's URL, such as `http://127.0.0.1:11434`, with or without a final `/v1`.
    """

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/").removesuffix("/v1")
        # The server is on this machine or its network, so proxies for the outside do not apply.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Post a JSON body to a path such as `/v1/embeddings`; return status, content type and body of any answer."""
        return await anyio.to_thread.run_sync(self._post, path, body, abandon_on_cancel=True)

    async def forward(self, path: str, body: bytes) -> Response:
        """Return the server's answer to a JSON body.

        Raises:
            RefusalError: The server did not answer; the refusal is a provider's 502.
        """
        try:
            status, content_type, content = await self.post(path, body)
        except (OSError, HTTPException) as error:
            # An error of urllib has the cause as its reason.
            cause = getattr(error, "reason", error)
            reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            message = f"The upstream server did not answer: {reason}. Start it, or correct the URL in --upstream."
            raise openai_error(502, message, kind="server_error", code="upstream_unreachable") from error
        return Response(content, status, headers={"content-type": content_type})

    def _post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the command line was read
            self._base + path, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        try:
            answer = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()
