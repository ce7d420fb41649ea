"""Times of calls in an MCP session over pipes."""

import json
import time
from collections.abc import Sequence

from benchmarks.driver import BenchmarkError, Call, StdioSession, check


def seconds_of(call: Call, session: StdioSession) -> float:
    """Return how long one call takes from its request to the last byte of its answer."""
    started = time.perf_counter()
    session.send_call(call)
    answer = session.receive()
    elapsed = time.perf_counter() - started
    check(answer)
    return elapsed


def seconds_of_burst(call: Call, session: StdioSession, count: int) -> float:
    """Return the time from the first request to the last answer of calls that are sent at once."""
    started = time.perf_counter()
    for _ in range(count):
        session.send_call(call)
    answers = [session.receive() for _ in range(count)]
    elapsed = time.perf_counter() - started
    check_each_answered(answers)
    return elapsed


def calls_per_second(call: Call, session: StdioSession, count: int, in_flight: int) -> float:
    """Return the rate at which calls are answered while a number of them is always in flight."""
    answers = []
    started = time.perf_counter()
    for _ in range(in_flight):
        session.send_call(call)
    for sent in range(in_flight, count + in_flight):
        answers.append(session.receive())
        if sent < count:
            session.send_call(call)
    elapsed = time.perf_counter() - started
    check_each_answered(answers)
    return count / elapsed


def check_each_answered(answers: Sequence[bytes]) -> None:
    """Check that each answer is a result, and that no two have the same id."""
    for answer in answers:
        check(answer)
    if len({json.loads(answer)["id"] for answer in answers}) < len(answers):
        raise BenchmarkError("two answers have the same id")
