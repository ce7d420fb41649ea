"""Settings that bound calls: `[limits]`, `[budget]` and `[shared]`."""

from typing import Literal

from pydantic import Field

from blaxel_mcp.settings.types import (
    ClosedSection,
    DetachAfter,
    LedgerLocation,
    LongSecret,
    RedisUrl,
    RefuseOrAllow,
    Seconds,
    Whole,
)


class LimitSettings(ClosedSection):
    """Timeouts, concurrency and rate limits, and size limits."""

    timeout_seconds: Seconds = 600
    """Deadline of a whole call, in seconds."""

    connect_seconds: Seconds = 10
    """Timeout for connecting, in seconds."""

    max_concurrency: Whole = Field(default=16, ge=1)
    """Maximum number of model calls in flight."""

    calls_per_minute: Whole | None = Field(default=None, ge=1)
    """Maximum number of model calls started in any minute; further calls wait."""

    max_queue: Whole = Field(default=256, ge=0)
    """Maximum number of calls that wait for a slot; a further call fails with busy."""

    detach_after_seconds: DetachAfter = "auto"
    """After how many seconds a running call is returned as a handle for read_result; 0: never. auto: after 50, but
    never to a client that moves slow calls to the background by itself."""

    max_argument_bytes: Whole = Field(default=16 * 1024 * 1024, ge=1024)
    """Maximum size of a message from the client, in bytes."""

    max_response_bytes: Whole = Field(default=64 * 1024 * 1024, gt=0)
    """Maximum size of an upstream response, in bytes after decompression."""

    max_result_chars: Whole = Field(default=40_000, ge=1000)
    """Maximum text in one tool result, in characters; read_result returns the rest."""

    max_media_bytes: Whole = Field(default=700_000, ge=0)
    """Maximum media in one tool result, in bytes before base64; larger media become files."""


class CapSettings(ClosedSection):
    """Caps per day (UTC) on all processes of this user together."""

    calls_per_day: Whole | None = Field(default=None, ge=0)
    """Maximum number of model calls per day."""

    tokens_per_day: Whole | None = Field(default=None, ge=0)
    """Maximum number of tokens per day, input and output together."""

    usd_per_day: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Maximum cost per day in USD, by the price of each model."""

    ask_over_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Above which estimate in USD a person is asked before the call is sent; a model's own value overrides the one for
    all."""

    unpriced: RefuseOrAllow = "refuse"
    """Whether to refuse or allow calls without a price, or without token usage, under usd_per_day; under ask_over_usd,
    whether to ask before them."""

    on_ledger_failure: RefuseOrAllow = "refuse"
    """Whether to refuse or allow calls under a cap when the ledger cannot be used."""


class BudgetSettings(CapSettings):
    """Caps per day (UTC) on all calls, shared by all processes of this user."""

    when_nobody_answers: Literal["refuse", "send"] = "refuse"
    """Whether to refuse or send a call above ask_over_usd when the client cannot ask a person, or nobody answers."""

    # A URL may hold a password.
    ledger: LedgerLocation | None = Field(default=None, repr=False)
    """File that counts calls, relative to the settings file's folder; :memory: counts in this server only; a URL such
    as redis://host:6379/0 counts for all machines that use it. Unset: shared.url, or else ledger.sqlite3 in the user's
    state folder."""


LEASE_SECONDS = 15.0
"""The default of `shared.lease_seconds`."""


class SharedSettings(ClosedSection):
    """Redis or Valkey that several servers share: budget, limits, handles and answers then hold for all of them."""

    url: RedisUrl | None = None
    """URL of a Redis 7 or Valkey, such as redis://host:6379/0, or rediss:// for TLS; with the extra `redis`. Unset:
    nothing is shared."""

    key: LongSecret | None = None
    """Key that encrypts prompts and answers there, the same for each server: at least 32 random characters. Required
    with url."""

    lease_seconds: float = Field(default=LEASE_SECONDS, ge=1, le=300)
    """After how many seconds without a sign of its server a running call counts as lost."""
