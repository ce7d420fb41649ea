"""The one HTTP client: signs a request, sends it, and reads the answer within its limits.

A request is sent once. A 401 of Blaxel's own is the exception: it was refused before any model
ran, so it goes out a second time where there are other credentials to send it with.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
import httpx

from blaxel_mcp.client.auth import Authenticator, TokenReply
from blaxel_mcp.client.body_reader import OnBytes, read_some, read_whole
from blaxel_mcp.client.errors.classify import classify, is_platform_401, request_id
from blaxel_mcp.client.request import (
    APIRequest,
    APIResponse,
    CallTrace,
    Departure,
    base_headers,
    deadline,
    request_headers,
)
from blaxel_mcp.client.transport import LIBRARY_ERRORS, close, encoding, mapped, may_have_left, new_pool, wire
from blaxel_mcp.core.exceptions import BlaxelError, UpstreamError
from blaxel_mcp.settings.loading import Configuration

# An error's message is in its first kilobyte, and a token in its reply's.
MAX_ERROR_BYTES = 256 * 1024
MAX_TOKEN_REPLY_BYTES = 64 * 1024

# The status has come by then and says most of it.
MAX_ERROR_SECONDS = 10.0

# Looking for secrets in more than this is left to a thread.
_REDACTED_INLINE_BYTES = 256 * 1024

Listen = Callable[[Mapping[str, str]], OnBytes | None]


class APIClient:
    """Sends requests to Blaxel over one pool of connections, which is opened at the first of them.

    Args:
        config: The settings and the credentials.
        transport: What carries the requests, in place of the network.
        now: The clock, in seconds since the epoch.
        error_seconds: How long the body of an error is waited for.

    Attributes:
        auth: Signs the requests; knows which hosts may be sent credentials.
        has_been_answered: Whether a request has ever brought a success.
    """

    def __init__(
        self,
        config: Configuration,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
        error_seconds: float = MAX_ERROR_SECONDS,
    ) -> None:
        self.auth = Authenticator(config, self._post_json, now=now)
        self._settings = config.settings
        self._transport = transport
        self._now = now
        self._error_seconds = error_seconds
        self._opening = anyio.Lock()
        self._http: httpx.AsyncClient | None = None
        self.has_been_answered = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; a request after that would open new ones."""
        await self.auth.aclose()
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def send(
        self,
        request: APIRequest,
        *,
        timeout_seconds: float | None = None,
        trace: CallTrace | None = None,
        listen: Listen | None = None,
    ) -> APIResponse:
        """Send a request and return the whole of the answer.

        Args:
            request: What to send, and where.
            timeout_seconds: How long everything may take together, the exchange of a token
                included; None where a `deadline` is set around the call.
            trace: Is kept up to date while the call goes on.
            listen: Is given the headers of a 2xx, and gives back what is handed its body as it comes,
                decoded; our secrets are still in it.

        Raises:
            BlaxelError: There was no answer, or not a 2xx; the fields say what is known of it.
        """
        trace = trace if trace is not None else CallTrace()
        try:
            with deadline(timeout_seconds, trace):
                return await self._send_signed(request, trace, listen)
        except UpstreamError as error:
            source = self.auth.for_workspace(request.workspace).source
            if is_platform_401(error) and source:
                error.hint = f"{error.hint} The credentials came from {source}."
            raise

    async def _send_signed(self, request: APIRequest, trace: CallTrace, listen: Listen | None) -> APIResponse:
        with self._errors(request.url, trace):
            first = await self._build(request, trace)
            try:
                return await self._exchange(first, request.workspace, trace, listen)
            except UpstreamError as error:
                if not is_platform_401(error):
                    raise
                trace.sent = False
                if not await self.auth.for_workspace(request.workspace).renew(first):
                    raise
            return await self._exchange(await self._build(request, trace), request.workspace, trace, listen)

    async def _build(self, request: APIRequest, trace: CallTrace) -> httpx.Request:
        headers = request_headers(request, api_version=self._settings.api_version)
        http = await self._open()
        return http.build_request(
            request.method,
            request.url,
            content=request.content,
            headers=headers,
            extensions={"trace": Departure(trace)},
        )

    async def _exchange(
        self, request: httpx.Request, workspace: str, trace: CallTrace, listen: Listen | None
    ) -> APIResponse:
        http = await self._open()
        response = await http.send(request, auth=self.auth.for_workspace(workspace), stream=True)
        trace.first_byte_seconds = time.perf_counter() - trace.started
        try:
            return await self._read(response, trace, listen)
        finally:
            await close(response)

    async def _read(self, response: httpx.Response, trace: CallTrace, listen: Listen | None) -> APIResponse:
        headers = {name: self.auth.redact(value.encode()).decode() for name, value in response.headers.items()}
        trace.status, trace.request_id = response.status_code, request_id(headers)
        if not response.is_success:
            raise await self._error(response, headers)
        self.has_been_answered = True
        try:
            body = await read_whole(
                wire(response),
                encoding(response),
                limit=self._settings.limits.max_response_bytes,
                on_bytes=listen(headers) if listen else None,
            )
        except BlaxelError as error:
            error.status, error.request_id = trace.status, trace.request_id
            raise
        return APIResponse(status=response.status_code, headers=headers, body=await self._redacted(body))

    async def _redacted(self, body: bytes) -> bytes:
        if len(body) <= _REDACTED_INLINE_BYTES:
            return self.auth.redact(body)
        return await anyio.to_thread.run_sync(self.auth.redact, body)

    async def _error(self, response: httpx.Response, headers: Mapping[str, str]) -> UpstreamError:
        body = await read_some(
            wire(response),
            encoding(response),
            limit=MAX_ERROR_BYTES,
            seconds=self._error_seconds,
            breaks=(httpx.TransportError,),
        )
        return classify(
            response.status_code,
            headers,
            body,
            redact=self.auth.redact,
            now=self._now(),
            control_plane=str(response.url).startswith(f"{self._settings.api_url}/"),
        )

    async def _post_json(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> TokenReply:
        """Post to the token endpoint, unsigned; no model runs for it, so nothing counts as sent."""
        with self._errors(url, CallTrace()):
            http = await self._open()
            request = http.build_request("POST", url, json=dict(form), headers={**base_headers(), **headers})
            response = await http.send(request, stream=True)
            try:
                body = await read_some(wire(response), encoding(response), limit=MAX_TOKEN_REPLY_BYTES)
                return TokenReply(response.status_code, body)
            finally:
                await close(response)

    @contextmanager
    def _errors(self, url: str, trace: CallTrace) -> Iterator[None]:
        """Turn the library's exceptions into ours; this is the border that none of them crosses."""
        try:
            yield
        except LIBRARY_ERRORS as error:
            trace.sent = trace.sent and may_have_left(error)
            told = mapped(error, url, sent=trace.sent, connect_seconds=self._settings.limits.connect_seconds)
            told.status, told.request_id = trace.status, trace.request_id
            raise told from error

    async def _open(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._http is None:
                self._http = await new_pool(self._transport, connect_seconds=self._settings.limits.connect_seconds)
            return self._http
