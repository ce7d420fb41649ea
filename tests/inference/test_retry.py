"""What is sent again and what never is: decisions as tables, and whole calls against the emulator."""

import json
import math
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from blaxel_mcp.client.errors.classify import classify
from blaxel_mcp.client.errors.network import broken_off, not_connected, timed_out
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.retry import MAX_ATTEMPTS, RetryClock, backoff, may_retry, retry_delay
from tests.support.connecting import (
    ERAS,
    Era,
    answer_of,
    connect,
    error_of,
    inference_requests,
    leading_to,
    receipt_of,
    text_of,
)

pytestmark = pytest.mark.anyio

NEVER = None


def refused(status: int, headers: dict[str, str] | None = None, **error: Any) -> BlaxelError:
    """The error of a response in the gateway's envelope."""
    envelope = {"status": status, "message": "No.", "origin": "platform", **error}
    body = json.dumps({"error": envelope}).encode()
    return classify(status, headers or {}, body, redact=lambda data: data, now=0.0)


def provider(status: int, headers: dict[str, str] | None = None, **error: Any) -> BlaxelError:
    """The error of a response in a provider's envelope."""
    body = json.dumps({"error": {"message": "No.", "type": "kind", **error}}).encode()
    return classify(status, headers or {}, body, redact=lambda data: data, now=0.0)


@pytest.mark.parametrize(
    ("error", "again", "again_if_idempotent"),
    [
        pytest.param(not_connected("h", ConnectionRefusedError()), True, True, id="refused connection"),
        pytest.param(broken_off("h", sent=False), True, True, id="broken off before it was sent"),
        pytest.param(broken_off("h", sent=True), False, True, id="broken off after it was sent"),
        pytest.param(timed_out(5, sent=True), False, False, id="out of time"),
        pytest.param(refused(503, code="ROUTING_UNAVAILABLE"), True, True, id="no route"),
        pytest.param(refused(404, code="WORKLOAD_UNAVAILABLE"), True, True, id="not deployed yet"),
        pytest.param(refused(404, code="WORKLOAD_NOT_FOUND"), False, False, id="no such model"),
        pytest.param(
            refused(404, code="WORKLOAD_NOT_FOUND", dispatch_state="not_dispatched"), False, False, id="no such, unsent"
        ),
        pytest.param(refused(503, code="AUTHENTICATION_UNAVAILABLE"), True, True, id="no authentication"),
        pytest.param(
            refused(503, code="ROUTING_UNAVAILABLE", dispatch_state="dispatched_unknown"),
            False,
            True,
            id="no route, yet dispatched",
        ),
        pytest.param(refused(502, code="UPSTREAM_ERROR"), False, True, id="upstream failed"),
        pytest.param(
            refused(502, code="UPSTREAM_ERROR", dispatch_state="not_dispatched"), True, True, id="upstream unreached"
        ),
        pytest.param(refused(502, code="UPSTREAM_CONNECT_FAILED"), False, False, id="upstream connect, unproven"),
        pytest.param(refused(500, code="X_Y", safe_to_retry_request=True), True, True, id="called safe"),
        pytest.param(refused(403, code="FORBIDDEN", dispatch_state="not_dispatched"), False, False, id="forbidden"),
        pytest.param(refused(400, code="BAD_REQUEST", dispatch_state="not_dispatched"), False, False, id="bad request"),
        pytest.param(refused(429, {"retry-after": "3"}, code="RATE_LIMIT_EXCEEDED"), True, True, id="rate limited"),
        pytest.param(refused(402, code="USAGE_LIMIT_EXCEEDED"), False, False, id="quota"),
        pytest.param(provider(429), True, True, id="provider's rate limit"),
        pytest.param(provider(429, code="insufficient_quota"), False, False, id="provider's quota"),
        pytest.param(provider(500), False, True, id="provider failed"),
        pytest.param(provider(529), False, True, id="provider overloaded"),
        pytest.param(provider(400), False, False, id="provider refused the body"),
        pytest.param(provider(401), False, False, id="provider refused its key"),
        pytest.param(
            classify(504, {"content-type": "text/html"}, b"<html>", redact=lambda data: data, now=0.0),
            False,
            True,
            id="bare 504",
        ),
        pytest.param(classify(502, {}, b"", redact=lambda data: data, now=0.0), False, True, id="bare 502"),
    ],
)
def test_only_what_nobody_worked_on_is_sent_again(
    error: BlaxelError, *, again: bool, again_if_idempotent: bool
) -> None:
    assert may_retry(error, idempotent=False) is again
    assert may_retry(error, idempotent=True) is again_if_idempotent
    # What is sent again unasked has cost nothing.
    assert not again or error.billed == "no"


DATE_IN_TEN_SECONDS = "Thu, 01 Jan 1970 00:00:10 GMT"


@pytest.mark.parametrize(
    ("error", "attempts", "left", "wait"),
    [
        pytest.param(refused(503, code="ROUTING_UNAVAILABLE"), 1, 60, 0.5, id="first"),
        pytest.param(refused(503, code="ROUTING_UNAVAILABLE"), 2, 60, 1.0, id="second"),
        pytest.param(refused(503, code="ROUTING_UNAVAILABLE"), MAX_ATTEMPTS, 60, NEVER, id="no fourth"),
        pytest.param(refused(503, code="ROUTING_UNAVAILABLE"), 2, 1.0, NEVER, id="not past the deadline"),
        pytest.param(refused(503, code="ROUTING_UNAVAILABLE"), 1, math.inf, 0.5, id="no deadline"),
        pytest.param(refused(429, {"retry-after": "30"}, code="X_Y"), 1, 60, 30.0, id="retry-after header"),
        pytest.param(refused(429, {"retry-after": DATE_IN_TEN_SECONDS}), 1, 60, 10.0, id="retry-after date"),
        pytest.param(refused(429, retry_after=5), 1, 60, 5.0, id="retry_after"),
        pytest.param(refused(429, retryAfter="5"), 1, 60, 5.0, id="retryAfter"),
        pytest.param(refused(429, retry_after_seconds=0.2), 1, 60, 0.2, id="retry_after_seconds"),
        pytest.param(refused(429, {"retry-after": "31"}), 1, 60, NEVER, id="too long a wait"),
        pytest.param(refused(429, {"retry-after": "20"}), 1, 15, NEVER, id="a wait past the deadline"),
        pytest.param(refused(429), 1, 60, NEVER, id="a limit that does not say when it ends"),
        pytest.param(
            refused(429, retryable=False, retry_after=5), 1, 60, NEVER, id="a limit that is no use waiting for"
        ),
        pytest.param(
            refused(503, {"retry-after": "120"}, code="ROUTING_UNAVAILABLE"), 1, 600, NEVER, id="unavailable for long"
        ),
    ],
)
def test_how_long_is_waited_before_the_next_attempt(
    error: BlaxelError, attempts: int, left: float, wait: float | None
) -> None:
    assert retry_delay(error, attempts=attempts, idempotent=False, remaining_seconds=left, jitter=0.0) == wait


def test_waits_are_spread_and_bounded() -> None:
    assert [backoff(attempts, 0.0) for attempts in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert backoff(1, 1.0) == 0.375
    limited = refused(429, {"retry-after": "10"})
    varied = retry_delay(limited, attempts=1, idempotent=False, remaining_seconds=60, jitter=1.0)
    # Never earlier than upstream asked for.
    assert varied == pytest.approx(10.25)


class Waits:
    """Counts the waits, which pass at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


NO_ROUTE = {"error": {"code": "ROUTING_UNAVAILABLE", "status": 503, "dispatch_state": "not_dispatched"}}


def run_against(*replies: httpx.Response | Exception) -> Any:
    """Call an idempotent model over a transport that replies so, one attempt after the other."""
    left = iter(replies)

    def reply(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/completions"):
            return httpx.Response(404, json={})
        following = next(left)
        if isinstance(following, Exception):
            raise following
        return following

    config = leading_to(Emulator(), models=[{"name": "m", "api": "chat-completions", "idempotent": True}])

    async def call() -> Any:
        clock = RetryClock(sleep=Waits().sleep, jitter=lambda: 0.0)
        async with connect(config, transport=httpx.MockTransport(reply), clock=clock) as client:
            return await client.call_tool("m", {"prompt": "Hi"})

    return call()


async def test_an_answer_after_an_attempt_that_may_be_billed_says_so() -> None:
    result = await run_against(httpx.ReadError("broken off"), httpx.Response(200, json={"choices": []}))

    assert answer_of(result) == {"choices": []}
    assert receipt_of(result)["notes"][-1] == "an attempt before the one that was answered may have been billed too"


async def test_an_error_holds_for_all_attempts_together() -> None:
    result = await run_against(
        httpx.ReadError("broken off"), httpx.Response(503, json=NO_ROUTE), httpx.ConnectError("refused")
    )

    assert error_of(result)["billed"] == "maybe"
    assert error_of(result)["hint"].startswith("The request was tried 3 times. ")
    assert error_of(result)["hint"].endswith(
        "An earlier attempt may have been billed: retry only if paying twice is acceptable."
    )
    assert [note.partition(":")[0] for note in receipt_of(result)["notes"][-2:]] == [
        "retried after 0.5 seconds",
        "retried after 1.0 seconds",
    ]


async def call(client: Client, model: str) -> Any:
    return await client.call_tool("run_model", {"model": model, "data": {"inputs": "x"}})


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ["not-dispatched", "404-unavailable", "503-authentication", "429"])
async def test_a_request_that_reached_nobody_is_sent_again_until_it_is_answered(
    emulator: Emulator, era: Era, kind: str
) -> None:
    waits = Waits()
    async with connect(leading_to(emulator), era, clock=RetryClock(sleep=waits.sleep, jitter=lambda: 0.0)) as client:
        result = await call(client, f"fault-first-2-{kind}")

    assert answer_of(result)["choices"][0]["message"]["content"] == "Here at last."
    assert receipt_of(result)["attempts"] == len(inference_requests(emulator.requests)) == 3
    assert waits.seconds == ([7.0, 7.0] if kind == "429" else [0.5, 1.0])
    assert len(receipt_of(result)["notes"]) == 2
    assert receipt_of(result)["notes"][0].startswith(f"retried after {waits.seconds[0]:.1f} seconds: Blaxel answered")


@pytest.mark.parametrize(
    "model", ["fault-500", "fault-500-provider", "fault-502-empty", "fault-html-504", "fault-drop", "fault-429-long"]
)
async def test_what_may_have_been_worked_on_is_sent_once(emulator: Emulator, model: str) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await call(client, model)

    assert receipt_of(result)["attempts"] == len(inference_requests(emulator.requests)) == 1
    assert error_of(result)["billed"] == ("no" if model == "fault-429-long" else "maybe")


async def test_a_long_wait_is_told_to_the_agent_at_once(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await call(client, "fault-429-long")

    assert error_of(result)["retry_after_seconds"] == 3600.0
    assert "Retry after 3600 seconds" in text_of(result)


@pytest.mark.parametrize("kind", ["500", "500-provider", "502-empty", "html-504", "drop"])
async def test_a_model_called_idempotent_is_sent_again_after_an_ambiguous_failure(
    emulator: Emulator, kind: str
) -> None:
    model = f"fault-first-1-{kind}"
    async with connect(leading_to(emulator, models=[{"name": model, "idempotent": True}])) as client:
        result = await call(client, model)

    assert answer_of(result)
    assert receipt_of(result)["attempts"] == 2
    assert "may have been billed too" in receipt_of(result)["notes"][-1]


async def test_the_last_of_three_attempts_says_how_many_there_were(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await call(client, "fault-not-dispatched")

    assert error_of(result)["hint"].startswith("The request was tried 3 times. ")
    assert receipt_of(result)["attempts"] == 3


async def test_a_call_is_cancelled_while_it_waits_for_its_next_attempt(emulator: Emulator) -> None:
    waiting = anyio.Event()

    async def for_ever(_seconds: float) -> None:
        waiting.set()
        await anyio.sleep_forever()

    async with (
        connect(leading_to(emulator), clock=RetryClock(sleep=for_ever)) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(call, client, "fault-not-dispatched")
        with anyio.fail_after(30):
            await waiting.wait()
        group.cancel_scope.cancel()

    assert len(inference_requests(emulator.requests)) == 1


async def test_the_client_is_told_why_it_waits(emulator: Emulator) -> None:
    told: list[str] = []
    heard = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        told.append(message or "")
        heard.set()

    async def until_heard(_seconds: float) -> None:
        with anyio.fail_after(30):
            await heard.wait()

    async with connect(leading_to(emulator), "legacy", clock=RetryClock(sleep=until_heard)) as client:
        arguments = {"model": "fault-first-1-not-dispatched", "data": {"inputs": "x"}}
        result = await client.call_tool("run_model", arguments, progress_callback=on_progress)

    assert answer_of(result)
    assert "Blaxel answered 503 ROUTING_UNAVAILABLE" in told[0]
    assert told[0].endswith("seconds (attempt 2).")
