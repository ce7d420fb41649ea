"""An OpenAI-compatible server that answers in place of the emulator's own models."""

from typing import Protocol

from starlette.responses import Response

from blaxel_mcp.emulator.platform.errors import openai_error


class Upstream(Protocol):
    """A connection to an OpenAI-compatible server, such as Ollama, llama.cpp or vLLM."""

    async def post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Post a JSON body to a path such as "/v1/embeddings".

        Returns:
            Status, content type and body of the answer, with any status.

        Raises:
            Exception: The server did not answer; its text says why.
        """
        ...


async def forward(upstream: Upstream, path: str, body: bytes) -> Response:
    """Return the upstream server's answer.

    Raises:
        RefusalError: The server did not answer; the refusal is a provider's 502.
    """
    try:
        status, content_type, content = await upstream.post(path, body)
    except Exception as error:
        # An upstream may use any HTTP client, so its exceptions have no common base class.
        reason = str(error) or type(error).__name__
        message = f"The upstream server did not answer: {reason}. Start it, or correct the URL in --upstream."
        raise openai_error(502, message, kind="server_error", code="upstream_unreachable") from error
    return Response(content, status, headers={"content-type": content_type})
