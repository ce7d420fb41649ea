"""Numbers from upstream: delays within reason, and exact sums in the ledger."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.budget.figures import ModelKey, Reservation, UsageTotals, Used
from blaxel_mcp.budget.ledger import MEMORY, Ledger
from blaxel_mcp.budget.usage import read_usage
from blaxel_mcp.client.errors.body import read_error_body
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.inference.retry import LONGEST_WAIT_SECONDS, MAX_ATTEMPTS, retry_delay
from tests.properties.examples import any_text, json_values, tried
from tests.support.ledgers import reserve, settle

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DATES = st.text("MonTueWedJanFeb0123456789:,+- GMTZ", max_size=40)


@tried(400)
@given(value=any_text | DATES | st.integers().map(str) | st.floats().map(str))
@example("1e999")
@example("Mon, 99 Foo 2026 99:99:99 GMT")
@example("Tue, 24 Nov 2026 12:00:00 +9999")
@example("Tue, 24 Nov 99999999999 12:00:00 GMT")
@example("")
def test_any_retry_after_gives_a_reasonable_delay_or_none(value: str) -> None:
    wait = read_error_body({"retry-after": value}, b"", now=NOW.timestamp()).retry_after_seconds

    assert wait is None or 0 <= wait <= 31 * 86_400


@tried(100)
@given(value=json_values)
def test_any_json_value_gives_a_reasonable_delay_or_none(value: Any) -> None:
    body = json_text.dump({"error": {"retry_after": value}, "estimated_time": value}).encode()
    wait = read_error_body({}, body, now=NOW.timestamp()).retry_after_seconds

    assert wait is None or 0 <= wait <= 31 * 86_400


@tried(100)
@given(seconds=st.integers(0, 30 * 86_400))
def test_a_delay_is_the_same_in_seconds_and_as_a_date(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    for spelled in (str(seconds), date):
        assert read_error_body({"retry-after": spelled}, b"", now=NOW.timestamp()).retry_after_seconds == seconds


@tried(300)
@given(
    asked=st.none() | st.floats(0, 1e6),
    attempts=st.integers(1, 5),
    idempotent=st.booleans(),
    left=st.floats(0, 1000),
    jitter=st.floats(0, 1, exclude_max=True),
    status=st.sampled_from([None, 401, 429, 500, 502, 503]),
    unprocessed=st.booleans(),
    retryable=st.booleans(),
    billed=st.sampled_from(["no", "maybe", "yes"]),
)
def test_a_retry_fits_the_deadline_and_follows_an_unprocessed_request(  # noqa: PLR0917 - each is one of the decision's grounds
    asked: float | None,
    attempts: int,
    idempotent: bool,
    left: float,
    jitter: float,
    status: int | None,
    unprocessed: bool,
    retryable: bool,
    billed: Any,
) -> None:
    error = UpstreamError(
        "x",
        code="upstream_error",
        origin="blaxel",
        status=status,
        unprocessed=unprocessed,
        retryable=retryable,
        billed=billed,
        retry_after_seconds=asked,
    )
    wait = retry_delay(error, attempts=attempts, idempotent=idempotent, remaining_seconds=left, jitter=jitter)
    if wait is None:
        return

    assert (asked or 0) <= wait < left or asked is None
    assert wait <= LONGEST_WAIT_SECONDS * 1.05
    assert attempts < MAX_ATTEMPTS
    assert unprocessed or idempotent


COUNTS = st.integers(0, 10**9)
KEYS = st.tuples(st.sampled_from(["demo", "other"]), st.sampled_from(["a", "b"]))
ENDINGS = st.none() | st.builds(
    UsageTotals,
    calls=st.just(1),
    failed=st.integers(0, 1),
    input_tokens=COUNTS,
    total_tokens=COUNTS,
    nano_usd=COUNTS,
    held_tokens=COUNTS,
    held_nano_usd=COUNTS,
)


@tried(100)
@given(calls=st.lists(st.tuples(KEYS, COUNTS, COUNTS, st.booleans(), ENDINGS), max_size=12))
def test_the_ledger_is_the_sum_of_settled_and_reserved_usage(
    calls: list[tuple[ModelKey, int, int, bool, UsageTotals | None]],
) -> None:
    ledger = Ledger(MEMORY)
    expected: dict[ModelKey, UsageTotals] = {}
    for number, (key, tokens, nano_usd, ends, taken) in enumerate(calls):
        one = Reservation(call_id=str(number), day="2026-11-24", account="", key=key, tokens=tokens, nano_usd=nano_usd)
        reserve(ledger, one)
        if ends:
            settle(ledger, one, taken)
            counted = taken
        else:
            counted = UsageTotals(calls=1, held_tokens=tokens, held_nano_usd=nano_usd)
        if counted is not None:
            expected[key] = expected.get(key, UsageTotals()) + counted

    assert dict(ledger.used("2026-11-24", "")) == expected
    days = {entry.key: (entry.totals.calls + entry.unsettled) for entry in ledger.days("2026-11-24", "")}
    assert days == {key: figures.calls for key, figures in expected.items()}
    assert dict(ledger.used("2026-11-24", "another")) == dict(ledger.used("2026-11-23", "")) == {}
    ledger.close()


@tried(100)
@given(cap=st.integers(0, 6), tries=st.integers(0, 10))
def test_a_check_that_refuses_leaves_no_trace(cap: int, tries: int) -> None:
    ledger = Ledger(MEMORY)

    def check(used: Used) -> None:
        if sum(figures.calls for figures in used.values()) >= cap:
            raise ValueError

    passed = 0
    for number in range(tries):
        one = Reservation(call_id=str(number), day="d", account="", key=("w", "m"), tokens=1, nano_usd=1)
        try:
            reserve(ledger, one, check)
            passed += 1
        except ValueError:
            pass

    assert passed == min(cap, tries)
    assert sum(figures.calls for figures in ledger.used("d", "").values()) == passed
    ledger.close()


@tried(200)
@given(count=st.integers() | st.floats() | any_text | st.none())
@example(10**30)
@example(1e300)
@example(2**63)
def test_any_token_count_of_an_answer_can_be_stored(count: Any) -> None:
    usage = read_usage({"usage": {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}})
    ledger = Ledger(MEMORY)
    for number in range(3):
        one = Reservation(call_id=str(number), day="d", account="", key=("w", "m"), tokens=1, nano_usd=1)
        reserve(ledger, one)
        settle(ledger, one, UsageTotals(calls=1, total_tokens=(usage and usage.total_tokens) or 0))

    (figures,) = ledger.used("d", "").values()
    assert isinstance(figures.total_tokens, int)
    ledger.close()
