"""Errors of the connection to upstream, and of responses that cannot be read.

`client.request` translates the HTTP library's exceptions. This module knows only their causes,
which are the operating system's and OpenSSL's.
"""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from blaxel_mcp.client.errors.wording import in_seconds, retry_advice
from blaxel_mcp.core.exceptions import Billed, BlaxelError, ErrorCode, UpstreamError
from blaxel_mcp.core.hosts import InternalAddressError

_CAUSES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((ssl.SSLError,), "the TLS handshake failed", "Check that the URL's port speaks https."),
    (
        (InternalAddressError,),
        "its name leads to this machine or a private network, where a model's record may not send your key",
        "Set `url` in the model's [[models]] entry, or url_source = 'run', if that host is meant.",
    ),
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

_UNKNOWN_CAUSE = ("no connection could be made", "Check that this machine is online and whether it needs a proxy.")

_COMPANY_PROXY = "If a company proxy signs connections, set SSL_CERT_FILE to a file with the proxy's certificate."
_CLOCK = "Check the clock of this machine; if it is right, the owner of the host has to renew the certificate."
_OTHER_HOST = ("its certificate is for another host name", "Check the host name of the URL in the settings.")
_UNKNOWN_ISSUER = ("its certificate is from an issuer that this machine does not trust", _COMPANY_PROXY)
_CERTIFICATE_FAULTS: Mapping[int, tuple[str, str]] = {
    2: _UNKNOWN_ISSUER,
    9: ("its certificate is not valid yet", _CLOCK),
    10: ("its certificate has expired", _CLOCK),
    18: ("its certificate is self-signed", "If you trust the host, set SSL_CERT_FILE to a file with that certificate."),
    19: ("a self-signed certificate that this machine does not trust signed its certificate", _COMPANY_PROXY),
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    23: ("its certificate was revoked", "Check the host name of the URL in the settings."),
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
"""OpenSSL's reasons to reject a certificate (`X509_V_ERR_*` in x509_vfy.h)."""

_UNTRUSTED = ("its certificate is not trusted on this machine", _COMPANY_PROXY)

_CHECK_PROXY = (
    "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY in the server's environment; NO_PROXY lists hosts without one."
)
_CHECK_VARIABLE = "Correct or unset {} in the server's environment; NO_PROXY lists hosts without a proxy."
_PROXY_LOGIN = "Put the user name and the password into the proxy's URL in HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT."


def not_connected(host: str, error: BaseException, *, variable: str = "") -> BlaxelError:
    """Return the error for a connection that could not be opened, for the reason among the error's causes.

    `variable` names the variable that the host comes from, if it is a proxy.
    """
    chain = list(causes_of(error))
    refused = next((cause for cause in chain if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if refused is not None:
        reason, hint = _CERTIFICATE_FAULTS.get(getattr(refused, "verify_code", 0), _UNTRUSTED)
    else:
        known = ((reason, hint) for cause in chain for kinds, reason, hint in _CAUSES if isinstance(cause, kinds))
        reason, hint = next(known, _UNKNOWN_CAUSE)
    # Waiting makes no certificate trusted and no name valid.
    lasting = refused is not None or any(isinstance(cause, UnicodeError | InternalAddressError) for cause in chain)
    if variable:
        host = f"The proxy {host}"
        hint = hint if refused else _CHECK_VARIABLE.format(variable)
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


def connecting_timed_out(host: str, seconds: float, *, variable: str = "") -> BlaxelError:
    """Return the error for a connection that took longer than `limits.connect_seconds`; a proxy has a variable."""
    peer = f"The proxy {host}" if variable else host
    offline = "Check that this machine is online and whether it needs a proxy"
    check = _CHECK_VARIABLE.format(variable) if variable else offline
    return _unsent(
        f"{peer} could not be reached within {in_seconds(seconds)}, and nothing was sent.",
        f"{check.removesuffix('.')}, or raise limits.connect_seconds.",
    )


def proxy_failed(host: str, proxy: str, answer: str) -> BlaxelError:
    """Return the error for a connection that a proxy refused; `answer` begins with its status if it answered."""
    status = int(answer[:3]) if re.match(r"\d{3}\b", answer) else 0
    refused = f"answered {status} to" if status else "refused"
    return _unsent(
        f"The proxy {proxy} {refused} the connection to {host}, and nothing was sent.",
        _PROXY_LOGIN if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else _CHECK_PROXY,
        retryable=not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def proxy_answered(status: int, name: str, *, is_page: bool) -> UpstreamError:
    """Return the error for a response that a proxy made instead of passing the request on."""
    unsent = status < HTTPStatus.INTERNAL_SERVER_ERROR
    billed: Billed = "no" if unsent else "maybe"
    advice = retry_advice(retryable=not unsent, billed=billed)
    check = _PROXY_LOGIN if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else _CHECK_PROXY
    proxy = f' "{name.replace(chr(34), chr(39))}"' if name else ""
    return UpstreamError(
        f"The proxy{proxy} between this server and Blaxel answered {status}{' with an HTML page' if is_page else ''}.",
        code="network_error",
        origin="network",
        hint=f"{check} {advice}".rstrip(),
        retryable=not unsent,
        billed=billed,
        unprocessed=unsent,
        status=status,
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
    """Return the error for a call that reached its deadline."""
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


def control_plane_timed_out(seconds: float) -> BlaxelError:
    """Return the error for a request to the control plane that reached its timeout: no setting makes that longer."""
    return UpstreamError(
        f"Blaxel's control plane did not answer within {in_seconds(seconds)}.",
        code="timeout",
        origin="network",
        hint=retry_advice(retryable=True, billed="no"),
        retryable=True,
    )


def without_bill(error: BlaxelError) -> BlaxelError:
    """Return the error of a request to the control plane, corrected: it runs no model, so nothing was billed."""
    if error.billed != "no":
        error.billed, error.retryable = "no", error.code != "response_too_large"
        later = retry_advice(retryable=True, billed="no")
        error.hint = later if error.retryable else "Raise limits.max_response_bytes."
    return error


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
    """Return the error for a response of more than `limit` bytes, whose call has been paid for."""
    return UpstreamError(
        f"The response is larger than {limit} bytes (limits.max_response_bytes), and the rest was not read.",
        code="response_too_large",
        hint="Ask the model for less or raise limits.max_response_bytes. The call was billed, and a retry costs again.",
        billed="yes",
    )
