"""A client of a local OpenAI-compatible server (Ollama, llama.cpp, vLLM) that answers in the emulator's place.

It uses only the standard library: the emulator shares nothing with the client that it tests, its
HTTP library included.
"""

import urllib.error
import urllib.request
from functools import partial

import anyio.to_thread

TIMEOUT_SECONDS = 600.0
"""A model on a laptop may take minutes to answer."""


class OpenAIServer:
    """Posts requests to an OpenAI-compatible server.

    Args:
        base_url: The server's URL, such as `http://127.0.0.1:11434`, with or without a final `/v1`.
    """

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/").removesuffix("/v1")
        # The server is on this machine or its network, so proxies for the outside do not apply.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Post a JSON body to a path such as `/v1/embeddings`.

        Returns:
            Status, content type and body of the answer, with any status.

        Raises:
            OSError: The server did not answer.
        """
        return await anyio.to_thread.run_sync(partial(self._post, path, body), abandon_on_cancel=True)

    def _post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the command line was read
            self._base + path, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.headers.get("content-type", ""), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("content-type", ""), error.read()
        except urllib.error.URLError as error:
            raise OSError(getattr(error.reason, "strerror", None) or str(error.reason)) from error
