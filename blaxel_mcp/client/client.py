"""The HTTP client of Blaxel: signs a request, sends it and reads the response within its limits.

A request is sent once. The exception is a 401 from Blaxel itself: it was rejected before any
model ran, so it is sent a second time if the credentials can be renewed.
"""

import time
from collections.abc import Callable, Mapping
from typing import Self

import anyio
import anyio.to_thread
import httpx

from blaxel_mcp.client.auth import Authenticator, TokenReply, WorkspaceAuth
from blaxel_mcp.client.body_reader import OnBytes, read_some, read_whole
from blaxel_mcp.client.errors.classify import classify, is_platform_401, request_id
from blaxel_mcp.client.proxies import network_transport
from blaxel_mcp.client.request import (
    LIBRARY_ERRORS,
    APIRequest,
    APIResponse,
    base_headers,
    close_response,
    encoded_body,
    parsed_url,
    request_headers,
    translate_error,
)
from blaxel_mcp.client.trace import CallTrace, SendTracker, deadline
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, UpstreamError
from blaxel_mcp.core.redaction import visible
from blaxel_mcp.settings.loading import Configuration

MAX_ERROR_BYTES = 256 * 1024
"""Limit for the body of an error; its message is in the first kilobyte."""

MAX_TOKEN_REPLY_BYTES = 64 * 1024

MAX_ERROR_SECONDS = 10.0
"""Limit for reading the body of an error; by then its status, the most important part, has arrived."""

_REDACTED_INLINE_BYTES = 256 * 1024
"""A larger body is redacted in a thread."""

_WITH_LENGTH = ("POST", "PUT", "PATCH")
"""Methods whose requests have a length even without a body (RFC 9110, section 8.6)."""

Listen = Callable[[Mapping[str, str]], OnBytes | None]
"""Takes the headers of a success; returns a callback for its decoded body, or None to ignore it."""


class APIClient:
    """HTTP client for one configuration, with one set of connections.

    Attributes:
        auth: Signs the requests, only those to trusted hosts.
        has_been_answered: Whether any request has succeeded.
    """

    def __init__(
        self,
        config: Configuration,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        error_seconds: float = MAX_ERROR_SECONDS,
    ) -> None:
        self.auth = Authenticator(config, self._post_json)
        self._settings = config.settings
        self._transport = transport or network_transport()
        self._error_seconds = error_seconds
        self._connect_seconds = config.settings.limits.connect_seconds
        self._timeout = httpx.Timeout(None, connect=self._connect_seconds).as_dict()
        self.has_been_answered = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; a later request would open new ones."""
        await self.auth.aclose()
        await self._transport.aclose()

    async def send(
        self,
        request: APIRequest,
        *,
        timeout_seconds: float | None = None,
        trace: CallTrace | None = None,
        listen: Listen | None = None,
    ) -> APIResponse:
        """Send a request and return the complete response.

        Args:
            request: What to send, and where.
            timeout_seconds: Limit for the whole call, including a token exchange; None if the
                caller sets a `deadline` around the call.
            trace: Updated while the call runs.
            listen: Called with the headers of a 2xx response. The callback that it returns gets
                the decoded body as it arrives, before secrets are redacted.

        Raises:
            BlaxelError: There was no response, or not a 2xx; the fields say what is known.
        """
        trace = trace if trace is not None else CallTrace()
        auth = self.auth.for_workspace(request.workspace)
        trace.runs_model = request.runs_model
        with deadline(timeout_seconds, trace):
            try:
                signed = await self._signed(request, auth, trace)
                try:
                    return await self._exchange(signed, auth, trace, listen)
                except UpstreamError as error:
                    if not is_platform_401(error):
                        raise
                    trace.sent = False
                    if not await auth.renew(signed):
                        raise
                return await self._exchange(await self._signed(request, auth, trace), auth, trace, listen)
            except LIBRARY_ERRORS as error:
                raise translate_error(error, request.url, trace, connect_seconds=self._connect_seconds) from error
            except ConfigurationError:
                # A proxy or the certificates cannot be used.
                trace.sent = False
                raise

    async def _signed(self, request: APIRequest, auth: WorkspaceAuth, trace: CallTrace) -> httpx.Request:
        url, content = parsed_url(request.url), request.content or b""
        host = url.netloc.decode("ascii")
        signed = httpx.Request(
            request.method,
            url,
            headers=request_headers(request, api_version=self._settings.api_version, host=host),
            # With `content`, the library would make a second set of headers for each request.
            stream=httpx.ByteStream(content),
            extensions={"timeout": self._timeout, "trace": SendTracker(trace)},
        )
        # Otherwise the library tries to decode each header to find out.
        signed.headers.encoding = "ascii"
        if content or request.method in _WITH_LENGTH:
            signed.headers["Content-Length"] = str(len(content))
        await auth.sign(signed)
        return signed

    async def _exchange(
        self, request: httpx.Request, auth: WorkspaceAuth, trace: CallTrace, listen: Listen | None
    ) -> APIResponse:
        # The response of an earlier attempt is forgotten.
        trace.attempts, trace.sent, trace.status, trace.request_id = trace.attempts + 1, True, None, None
        response = await self._transport.handle_async_request(request)
        try:
            headers = self._headers(response)
            trace.first_byte_seconds = time.perf_counter() - trace.started
            trace.status, trace.request_id, trace.headers = response.status_code, request_id(headers), headers
            if not response.is_success:
                raise await self._response_error(response, headers, trace, auth.source)
            self.has_been_answered = True
            body = await self._read(response, trace, listen(headers) if listen else None)
            return APIResponse(status=response.status_code, headers=headers, body=body)
        finally:
            await close_response(response)

    def _headers(self, response: httpx.Response) -> dict[str, str]:
        """Return the headers without secrets, and without the invisible characters that would hide one."""
        headers = {name: visible(value) for name, value in response.headers.items()}
        together = "\n".join(headers.values()).encode()
        if self.auth.redact(together) == together:
            return headers
        return {name: self.auth.redact(value.encode()).decode() for name, value in headers.items()}

    async def _read(self, response: httpx.Response, trace: CallTrace, on_bytes: OnBytes | None) -> bytes:
        limit = self._settings.limits.max_response_bytes
        try:
            body = await read_whole(*encoded_body(response), limit=limit, on_bytes=on_bytes)
        except BlaxelError as error:
            trace.annotate(error)
            raise
        if len(body) <= _REDACTED_INLINE_BYTES:
            return self.auth.redact(body)
        # It is complete, so a deadline that passes now must not lose it.
        with anyio.CancelScope(shield=True):
            redacted = await anyio.to_thread.run_sync(self.auth.redact, body)
        return redacted  # noqa: RET504 - a scope that is not shielded could end before

    async def _response_error(
        self, response: httpx.Response, headers: Mapping[str, str], trace: CallTrace, credentials_source: str | None
    ) -> UpstreamError:
        body = await read_some(
            *encoded_body(response),
            limit=MAX_ERROR_BYTES,
            seconds=self._error_seconds,
            tolerated=(httpx.TransportError,),
        )
        return classify(
            response.status_code,
            headers,
            body,
            redact=self.auth.redact,
            now=time.time(),
            runs_model=trace.runs_model,
            credentials_source=credentials_source,
        )

    async def _post_json(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> TokenReply:
        """Post to the token endpoint, unsigned. No model runs for it, so nothing counts as sent."""
        try:
            request = httpx.Request(
                "POST",
                parsed_url(url),
                json=dict(form),
                headers={**base_headers(), **headers},
                extensions={"timeout": self._timeout},
            )
            response = await self._transport.handle_async_request(request)
            try:
                body = await read_some(*encoded_body(response), limit=MAX_TOKEN_REPLY_BYTES)
                return TokenReply(response.status_code, body)
            finally:
                await close_response(response)
        except LIBRARY_ERRORS as error:
            raise translate_error(error, url, CallTrace(), connect_seconds=self._connect_seconds) from error
