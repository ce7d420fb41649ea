"""The rows of the tables: what is measured, in which unit, and the target."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

CALLS_AT_ONCE = 64
IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class Target:
    """The limit of a row.

    Attributes:
        limit: What the figure must not exceed, or must reach if more is better.
        unit: What the limit applies to: `bare` for the ratio to the bare server, `own` for our own figure in the row's
            unit, otherwise the key of a row, for the ratio to our own figure in that row.
    """

    limit: float
    unit: str = "bare"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tables.

    Attributes:
        key: Its name on the command line.
        title: Its name in the tables.
        scenario: The scenario that measures it.
        unit: The unit of its values.
        target: Its limit, None without one.
        more_is_better: Whether a larger value is better.
    """

    key: str
    title: str
    scenario: str
    unit: str
    target: Target | None
    more_is_better: bool = False

    @property
    def is_compared(self) -> bool:
        """Whether a ratio to another server means something: that of two growths near zero does not."""
        return self.target is None or self.target.unit != "own"


ROWS = (
    Row("start", "start to `tools/list` answered, 10 models", "start", "ms", Target(0.95)),
    Row("start1000", "the same with 1,000 models", "start1000", "ms", Target(1.35, "start")),
    Row("exit", "end of input to exit, idle", "start", "ms", Target(0.2)),
    Row("listed-memory", "memory after `tools/list`", "start", "MB", Target(1.0)),
    Row("memory", "memory after 3,000 calls", "memory", "MB", Target(0.8)),
    Row("growth", "its growth over the last 2,000 calls", "memory", "MB", Target(1.0, "own")),
    Row("p50", "one call, p50", "calls", "ms", Target(0.62)),
    Row("p95", "one call, p95", "calls", "ms", Target(0.65)),
    Row("burst", f"{CALLS_AT_ONCE} calls at once", "calls", "ms", Target(0.5)),
    Row("flow", f"calls per second, {IN_FLIGHT} in flight", "calls", "calls/s", Target(2.2), more_is_better=True),
    Row("capped-p50", "one call, p50, with `calls_per_day`", "capped", "ms", Target(0.9)),
    Row("capped-p95", "one call, p95, with `calls_per_day`", "capped", "ms", None),
    Row("capped-burst", f"{CALLS_AT_ONCE} calls at once, with `calls_per_day`", "capped", "ms", Target(0.7)),
    Row("capped-flow", "calls per second, with `calls_per_day`", "capped", "calls/s", Target(1.5), more_is_better=True),
    Row("1mb", "a JSON answer of 1 MB", "large", "ms", Target(1.1)),
    Row("20mb", "a JSON answer of 20 MB", "large", "ms", Target(0.65)),
    Row("20mb-memory", "peak memory at 20 MB", "large", "MB", Target(0.6)),
    Row("stream", "a stream of 200 events", "stream", "ms", Target(1.4)),
    Row("slow", "512 calls at once, 1 s each upstream", "slow", "s", Target(0.85)),
    Row("http2025", "HTTP, calls per second, 2025 era", "http2025", "calls/s", Target(1.8), more_is_better=True),
    Row("http2026", "HTTP, calls per second, 2026 era", "http2026", "calls/s", Target(1.8), more_is_better=True),
)
KEYS = tuple(row.key for row in ROWS)


def processor_key(key: str) -> str:
    """Return the key of the processor time that a server takes for a row."""
    return f"{key}, processor"


def chosen_rows(keys: Collection[str], *, http: bool) -> list[Row]:
    """Return the rows with these keys, or, without keys, all rows that need no HTTP transport unless that is wanted."""
    if keys:
        return [row for row in ROWS if row.key in keys]
    return [row for row in ROWS if http or not row.scenario.startswith("http")]


def scenarios_of(rows: Iterable[Row]) -> list[str]:
    """Return the scenarios that measure these rows, each once and in their order."""
    return list(dict.fromkeys(row.scenario for row in rows))
