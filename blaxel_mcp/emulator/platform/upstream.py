"""An OpenAI-compatible server that answers in place of the emulator's own models."""

from typing import Protocol

from starlette.responses import Response

from blaxel_mcp.emulator.platform.errors import openai_error


class Upstream(Protocol):
    """A way to reach an OpenAI-compatible server, such as Ollama, llama.cpp or vLLM."""

    async def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Post a JSON body to a path such as "/v1/embeddings".

        Returns:
            Status, content type and body of the answer, whatever the status is.

        Raises:
            Exception: Any, when there was no answer.
        """
        ...


async def forward(upstream: Upstream, path: str, body: bytes) -> Response:
    """Answer with what the upstream server answers, or with a provider's 502 when it does not."""
    try:
        status, content_type, content = await upstream.post(path, body)
    except Exception as error:
        # An upstream is written elsewhere on any HTTP client: its exceptions have no common base to name.
        message = f"The upstream server did not answer: {type(error).__name__}."
        raise openai_error(502, message, kind="server_error", code="upstream_unreachable") from error
    return Response(content, status, headers={"content-type": content_type})
