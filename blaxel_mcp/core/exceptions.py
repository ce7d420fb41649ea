"""Every failure that this package reports, as one family.

BlaxelError                  something went wrong; `code` says which of the closed set it is
├── ConfigurationError       the settings or the credentials have to change first
├── InvalidArgumentsError    the caller can mend the request and try again
└── UpstreamError            Blaxel, the provider or the network between us failed the call

The classes are few because hardly anyone catches one rather than another: what a reader
of an error needs is in its fields, and those reach the client unchanged as
`_meta["blaxel-mcp/error"]`.
"""

from typing import Literal, get_args

ErrorCode = Literal[
    "invalid_arguments",
    "unknown_model",
    "authentication_failed",
    "permission_denied",
    "not_found",
    "model_unavailable",
    "rate_limited",
    "quota_exceeded",
    "request_too_large",
    "response_too_large",
    "provider_error",
    "upstream_error",
    "bad_response",
    "timeout",
    "network_error",
    "cancelled",
    "budget_exceeded",
    "busy",
    "configuration_error",
]
"""The closed set of codes: scripts switch on these names."""

ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)

Billed = Literal["no", "maybe", "yes"]
"""Whether the provider has charged for the failed call, as far as can be known from here."""

Origin = Literal["caller", "local", "blaxel", "provider", "network"]
"""Whose side the failure is on."""


class BlaxelError(Exception):
    """A failure told twice: as sentences for a reader and as fields for a program.

    Args:
        message: One sentence on what happened.
        code: Which of the closed set it is.
        origin: Whose side it is on.
        hint: One sentence on what to do next; empty when there is nothing to add.
        retryable: Whether the very same call may succeed later.
        retry_after_seconds: How long to wait before that, where upstream said so.
        billed: Whether the provider has charged for the call.
        unprocessed: Whether it is proven that no provider has worked on the request, so that the very same one
            may be sent again without being paid for twice.
        status: The HTTP status that upstream answered with.
        request_id: The id under which upstream's support finds the call.

    Attributes:
        partial: What of the answer had come before the failure, as text; empty for nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode,
        origin: Origin,
        hint: str = "",
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        billed: Billed = "no",
        unprocessed: bool = False,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: ErrorCode = code
        self.origin: Origin = origin
        self.hint = hint
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.billed: Billed = billed
        self.unprocessed = unprocessed
        self.status = status
        self.request_id = request_id
        self.partial = ""

    def __str__(self) -> str:
        """What happened, then what to do next."""
        return f"{self.message} {self.hint}".rstrip()


class ConfigurationError(BlaxelError):
    """The settings or the credentials have to change before the call can work."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="configuration_error", origin="local", hint=hint)


class InvalidArgumentsError(BlaxelError):
    """The request cannot be sent as it stands; nothing was sent."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="invalid_arguments", origin="caller", hint=hint)


class UpstreamError(BlaxelError):
    """Blaxel, the provider or the network between us failed the call."""
