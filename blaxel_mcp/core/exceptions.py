"""The exceptions of this package.

BlaxelError                  any failure; `code` is one of a closed set
├── ConfigurationError       fix the settings or the credentials first
├── InvalidArgumentsError    fix the request; nothing was sent
└── UpstreamError            Blaxel, the model's provider or the network failed the call

The fields of the exception reach an MCP client unchanged as `_meta["blaxel-mcp/error"]` of the tool result.
"""

from dataclasses import KW_ONLY, dataclass, field
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
"""The closed set of error codes. Scripts and agents depend on these names."""

ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)

Billed = Literal["no", "maybe", "yes"]
"""Whether a failed call was charged for. `maybe`: a provider may have worked on it, and no response tells."""

Origin = Literal["caller", "local", "blaxel", "provider", "network"]
"""Where the fault lies: the caller's request, this server, Blaxel, the model's provider, or the network."""


@dataclass(eq=False, repr=False)
class BlaxelError(Exception):
    """A failure, as sentences for people and fields for programs.

    `str()` gives the message followed by the hint. Both are shown to users and agents and contain no secrets.

    Attributes:
        message: One sentence that says what happened.
        code: The error code.
        origin: Where the fault lies; by default, at this server or its settings.
        hint: One or two sentences that say what to do next; empty if nothing can be done.
        retryable: Whether the same call may succeed later.
        retry_after_seconds: How long to wait before a retry, in seconds; None if not known.
        billed: Whether the call was charged for.
        unprocessed: Whether it is certain that no provider worked on the request. It can then be retried without being
            billed twice, even if the model is not marked `idempotent = true`.
        status: The HTTP status of the upstream response; None if there was no response.
        request_id: The id of the upstream request, for Blaxel's or the provider's support; None if not known.
        partial: The part of a streamed answer that arrived before the failure, as text. Its reader sets it.
    """

    message: str
    _: KW_ONLY
    code: ErrorCode
    origin: Origin = "local"
    hint: str = ""
    retryable: bool = False
    retry_after_seconds: float | None = None
    billed: Billed = "no"
    unprocessed: bool = False
    status: int | None = None
    request_id: str | None = None
    partial: str = field(default="", init=False)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigurationError(BlaxelError):
    """Settings or credentials that are missing, malformed or contradictory.

    The `message` can have several lines, one per mistake. It never quotes a value that may be a secret.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="configuration_error", origin="local", hint=hint)


class InvalidArgumentsError(BlaxelError):
    """A request that is rejected before it is sent: the agent or user can fix the arguments and call again."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="invalid_arguments", origin="caller", hint=hint)


class UpstreamError(BlaxelError):
    """A call that failed at Blaxel, at the model's provider or in the network, as `origin` says."""
