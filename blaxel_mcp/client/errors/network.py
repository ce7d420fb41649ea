"""Failures between here and upstream, told as sentences that say whose side to look on.

The HTTP library's exceptions are known to `client` alone; here are only the causes below them,
which are the operating system's and OpenSSL's.
"""

import socket
import ssl
from collections.abc import Iterator

from blaxel_mcp.core.exceptions import BlaxelError, UpstreamError

_NOTHING_SENT = "nothing was sent"
_UNCERTAIN = "The model may have run and been paid for, so do not send the call again without need."


def not_connected(host: str, error: BaseException) -> BlaxelError:
    """Return the error of a connection that was not made; `error` is where to look for the cause."""
    reason, hint = _cause(error)
    # No waiting makes a certificate one that is trusted here.
    lasting = any(isinstance(cause, ssl.SSLCertVerificationError | UnicodeError) for cause in _chain(error))
    return _unsent(f"{host} could not be reached: {reason}, and {_NOTHING_SENT}.", hint, passing=not lasting)


def _cause(error: BaseException) -> tuple[str, str]:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                "its certificate is not trusted here",
                "Where a company's proxy signs connections, set SSL_CERT_FILE to a file with its certificate.",
            )
        if isinstance(cause, ssl.SSLError):
            return "no TLS connection could be agreed on", "Check that the URL's port speaks https."
        # A name that IDNA cannot write fails as a UnicodeError, before any name server is asked.
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "its name is not known", "Check the URL in the settings, and that this machine is online."
        if isinstance(cause, ConnectionRefusedError):
            return "it refused the connection", "Check the URL in the settings, and that the server runs."
    return "no connection could be made", "Check that this machine is online, and whether it needs a proxy."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of; a connection that was tried at several addresses is a group."""
    found: BaseException | None = error
    while found is not None:
        yield found
        if isinstance(found, BaseExceptionGroup):
            for inner in found.exceptions:
                yield from _chain(inner)
        found = found.__cause__ or found.__context__


def connecting_timed_out(host: str, seconds: float) -> BlaxelError:
    """Return the error of a connection that took longer than `limits.connect_seconds`."""
    return _unsent(
        f"{host} could not be reached within {seconds:g} seconds, and {_NOTHING_SENT}.",
        "Check that this machine is online, and whether it needs a proxy. limits.connect_seconds is the setting.",
    )


def proxy_failed(host: str) -> BlaxelError:
    """Return the error of a proxy that did not let a connection through."""
    return _unsent(
        f"The proxy in front of {host} did not let the connection through, and {_NOTHING_SENT}.",
        "Check HTTPS_PROXY and HTTP_PROXY in the server's environment; NO_PROXY names hosts that need none.",
    )


def _unsent(message: str, hint: str, *, passing: bool = True) -> BlaxelError:
    return UpstreamError(
        message, code="network_error", origin="network", hint=hint, retryable=passing, unprocessed=True
    )


def broken_off(host: str, *, sent: bool) -> BlaxelError:
    """Return the error of a connection that ended before the answer was complete."""
    if not sent:
        return _unsent(f"The connection to {host} broke off, and {_NOTHING_SENT}.", "The call can be sent again.")
    return UpstreamError(
        f"The connection to {host} broke off before the answer was complete.",
        code="network_error",
        origin="network",
        hint=_UNCERTAIN,
        billed="maybe",
    )


def undecodable(host: str) -> BlaxelError:
    """Return the error of an answer that is not in the encoding it declares."""
    return UpstreamError(
        f"The answer of {host} is not in the encoding that it declares.",
        code="bad_response",
        origin="network",
        hint=_UNCERTAIN,
        billed="maybe",
    )


def timed_out(seconds: float, *, sent: bool) -> BlaxelError:
    """Return the error of a call that took longer than it may as a whole."""
    state = "no complete answer had come" if sent else _NOTHING_SENT
    return UpstreamError(
        f"The call was given up after {seconds:g} seconds: {state}.",
        code="timeout",
        origin="network",
        hint=(_UNCERTAIN if sent else "The call can be sent again.")
        + " A call may take longer when limits.timeout_seconds, or the model's own timeout_seconds, is raised.",
        retryable=not sent,
        billed="maybe" if sent else "no",
    )
