"""Errors of the connection to upstream and of the responses that it carries.

`client.transport` translates the HTTP library's exceptions. This module knows only their causes,
which are the operating system's and OpenSSL's.
"""

import re
import socket
import ssl
from collections.abc import Iterator

from blaxel_mcp.client.errors.retry_advice import in_seconds, retry_advice
from blaxel_mcp.core.exceptions import BlaxelError, ErrorCode, UpstreamError

_CAUSES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (ssl.SSLCertVerificationError,),
        "its certificate is not trusted on this machine",
        "If a company proxy signs connections, set SSL_CERT_FILE to a file with the proxy's certificate.",
    ),
    ((ssl.SSLError,), "the TLS handshake failed", "Check that the URL's port speaks https."),
    (
        # A name that IDNA cannot encode fails as a UnicodeError, before any name server is asked.
        (socket.gaierror, UnicodeError),
        "its name could not be resolved",
        "Check the URL in the settings and that this machine is online.",
    ),
    (
        (ConnectionRefusedError,),
        "it refused the connection",
        "Check the URL in the settings and that the server is running.",
    ),
)
"""Causes of a failed connection, each with the reason and the hint to show; the first match applies."""

_ASKS_FOR_USER = "The proxy asks for a user and a password, as in http://USER:PASSWORD@HOST:PORT. "

_UNKNOWN_CAUSE = ("no connection could be made", "Check that this machine is online and whether it needs a proxy.")


def not_connected(host: str, error: BaseException, *, variable: str = "") -> BlaxelError:
    """Return the error for a connection that could not be opened.

    Args:
        host: The host, with its port if the URL has one.
        error: The exception whose causes say why.
        variable: The variable that names the host, if it is a proxy.
    """
    chain = list(causes_of(error))
    known = ((reason, hint) for cause in chain for kinds, reason, hint in _CAUSES if isinstance(cause, kinds))
    reason, hint = next(known, _UNKNOWN_CAUSE)
    # Waiting makes no certificate trusted and no name valid.
    lasting = any(isinstance(cause, ssl.SSLCertVerificationError | UnicodeError) for cause in chain)
    if variable:
        return _unsent(
            f"The proxy {host} could not be reached: {reason}, and nothing was sent.",
            f"Correct or unset {variable} in the server's environment; NO_PROXY lists hosts that need no proxy.",
            retryable=not lasting,
        )
    return _unsent(f"{host} could not be reached: {reason}, and nothing was sent.", hint, retryable=not lasting)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes; a connection tried at several addresses raises a group."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            for inner in cause.exceptions:
                yield from causes_of(inner)
        cause = cause.__cause__ or cause.__context__


def connecting_timed_out(host: str, seconds: float) -> BlaxelError:
    """Return the error for a connection that took longer than `limits.connect_seconds`."""
    return _unsent(
        f"{host} could not be reached within {in_seconds(seconds)}, and nothing was sent.",
        "Check that this machine is online and whether it needs a proxy, or raise limits.connect_seconds.",
    )


def proxy_failed(host: str, answer: str) -> BlaxelError:
    """Return the error for a connection that a proxy refused, with an answer such as "403 Forbidden"."""
    status = re.match(r"\d{3}\b", answer, re.ASCII)
    said = f" with status {status[0]}" if status else ""
    return _unsent(
        f"The proxy refused the connection to {host}{said}, and nothing was sent.",
        f"{_ASKS_FOR_USER if status and status[0] == '407' else ''}"
        "Check HTTPS_PROXY and HTTP_PROXY in the server's environment; NO_PROXY lists hosts that need no proxy.",
    )


def _unsent(message: str, hint: str, *, retryable: bool = True) -> BlaxelError:
    return UpstreamError(
        message, code="network_error", origin="network", hint=hint, retryable=retryable, unprocessed=True
    )


def broken_off(host: str, *, sent: bool) -> BlaxelError:
    """Return the error for a connection that closed before the answer was complete."""
    if not sent:
        return _unsent(
            f"The connection to {host} broke off, and nothing was sent.", retry_advice(retryable=True, billed="no")
        )
    return _maybe_billed(f"The connection to {host} broke off before the answer was complete.", "network_error")


def timed_out(seconds: float, *, sent: bool) -> BlaxelError:
    """Return the error for a call that reached its deadline.

    Args:
        seconds: The time that the call was allowed.
        sent: Whether upstream may be working on the request.
    """
    limit = "To allow more time, raise limits.timeout_seconds, the model's timeout_seconds or --timeout."
    if sent:
        message = f"The call timed out after {in_seconds(seconds)}, before the answer was complete."
        return _maybe_billed(message, "timeout", limit)
    return UpstreamError(
        f"The call timed out after {in_seconds(seconds)}, and nothing was sent.",
        code="timeout",
        origin="network",
        hint=f"{retry_advice(retryable=True, billed='no')} {limit}",
        retryable=True,
    )


def undecodable(problem: str) -> BlaxelError:
    """Return the error for a response that cannot be decoded; `problem` completes "The response ..."."""
    return _maybe_billed(
        f"The response {problem}.", "bad_response", "A proxy between this server and Blaxel may have changed it."
    )


def _maybe_billed(message: str, code: ErrorCode, more: str = "") -> BlaxelError:
    advice = retry_advice(retryable=False, billed="maybe")
    return UpstreamError(
        message, code=code, origin="network", hint=f"{advice} {more}".strip(), retryable=False, billed="maybe"
    )


def too_large(limit: int) -> BlaxelError:
    """Return the error for a response of more than `limit` bytes, which is the rest of a call that was paid for."""
    return UpstreamError(
        f"The response is larger than {limit} bytes (limits.max_response_bytes), and the rest was not read.",
        code="response_too_large",
        origin="local",
        hint="Ask the model for less or raise limits.max_response_bytes. The call was billed, and a retry costs again.",
        billed="yes",
    )
