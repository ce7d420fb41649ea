"""Metrics of calls and MCP messages: what is recorded, and what no caller can make of them."""

from collections.abc import Iterable
from functools import partial
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp import MCPError
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.attributes import OTHER
from blaxel_mcp.inference.instruments import (
    COST,
    INSTRUMENTS,
    MAX_SERIES,
    OPERATION_DURATION,
    Measurement,
    PrometheusRecorder,
    meter_recorder,
    metric_name,
)
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.inference.telemetry import Telemetry
from blaxel_mcp.server.server import build_server
from tests.support.connecting import ERAS, Era, answer_of, inference_requests, leading_to, no_wait, receipt_of
from tests.support.held import HeldAnswers
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

PROMPT = "the prompt that nobody measures"
PRICED = {"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 2}}


class Metrics:
    """A meter that can be read."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        # Nothing that was read is fresh enough to be read again.
        self.telemetry = Telemetry(now=partial(next, count(step=60)))
        meter = self._provider.get_meter("test")
        self.telemetry.recorders.append(meter_recorder(meter, self.telemetry.read_gauges))

    def client(self, emulator: Emulator, era: Era = "2026-07-28", **settings: Any) -> Client:
        environment = Environment(clock=RetryClock(sleep=no_wait), telemetry=self.telemetry)
        return Client(build_server(leading_to(emulator, **settings), environment=environment), mode=era)

    def read(self) -> dict[str, list[Any]]:
        """Return the data points of each metric."""
        data = self._reader.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        return {
            metric.name: list(metric.data.data_points) for scope in resource.scope_metrics for metric in scope.metrics
        }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def by(points: Iterable[Any], name: str) -> dict[Any, Any]:
    """Return the data points by the value of an attribute."""
    return {point.attributes.get(name): point for point in points}


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_is_measured_by_the_names_of_the_conventions(
    emulator: Emulator, metrics: Metrics, era: Era
) -> None:
    async with metrics.client(emulator, era, models=[PRICED], budget={"usd_per_day": 1}) as client:
        receipt = receipt_of(await client.call_tool("house-chat", {"prompt": PROMPT}))
        found = metrics.read()

    (duration,) = found["gen_ai.client.operation.duration"]
    assert duration.count == 1
    assert duration.attributes["gen_ai.operation.name"] == "chat"
    assert duration.attributes["blaxel.model"] == "house-chat"
    tokens = by(found["gen_ai.client.token.usage"], "gen_ai.token.type")
    assert tokens["input"].sum == receipt["usage"]["input_tokens"]
    assert tokens["output"].sum == receipt["usage"]["output_tokens"]
    (cost,) = found["blaxel.cost"]
    assert cost.value == pytest.approx(receipt["cost_usd"])
    used = by(found["blaxel.budget.used"], "blaxel.budget.unit")
    assert (used["calls"].value, used["tokens"].value) == (1, receipt["usage"]["total_tokens"])
    assert used["usd"].value == pytest.approx(receipt["cost_usd"])
    (operation,) = [
        point for point in found["mcp.server.operation.duration"] if point.attributes["mcp.method.name"] == "tools/call"
    ]
    assert operation.attributes["gen_ai.tool.name"] == "house-chat"
    assert operation.attributes["network.transport"] == "pipe"
    assert "error.type" not in operation.attributes


async def test_calls_that_run_wait_and_are_reserved_are_gauges(emulator: Emulator, metrics: Metrics) -> None:
    answers = HeldAnswers(emulator)
    settings: dict[str, Any] = {"limits": {"max_concurrency": 1}, "models": [PRICED], "budget": {"usd_per_day": 5}}
    async with metrics.client(emulator, **settings) as client, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(client.call_tool, "house-chat", {"prompt": PROMPT})
        with anyio.fail_after(30):
            while not inference_requests(emulator.requests):
                await anyio.lowlevel.checkpoint()
            while [point.value for point in metrics.read()["blaxel.calls.queued"]] != [2]:
                await anyio.lowlevel.checkpoint()
        found = metrics.read()
        answers.release()

    assert [point.value for point in found["blaxel.calls.running"]] == [1]
    assert [point.value for point in found["blaxel.calls.queued"]] == [2]
    held = by(found["blaxel.budget.held"], "blaxel.budget.unit")
    assert held["tokens"].value > 0
    assert held["usd"].value > 0


async def test_failures_are_counted_by_their_codes(emulator: Emulator, metrics: Metrics) -> None:
    async with metrics.client(emulator, budget={"calls_per_day": 1}) as client:
        await client.call_tool("run_model", {"model": "fault-drop", "data": {"inputs": PROMPT}})
        await client.call_tool("run_model", {"model": "house-chat", "data": {"inputs": PROMPT}})
        found = metrics.read()

    assert set(by(found["gen_ai.client.operation.duration"], "error.type")) == {"network_error"}
    assert [point.value for point in found["blaxel.budget.refused"]] == [1]
    assert [point.value for point in found["blaxel.calls.lost"]] == [1]
    calls = [each for each in found["mcp.server.operation.duration"] if "gen_ai.tool.name" in each.attributes]
    assert [(point.count, point.attributes["error.type"]) for point in calls] == [(2, "tool_error")]


async def test_no_caller_can_name_a_metric_s_attributes(emulator: Emulator, metrics: Metrics) -> None:
    async with metrics.client(emulator) as client:
        for number in range(3):
            await client.call_tool("run_model", {"model": f"made-up-{number}", "data": {"inputs": PROMPT}})
            with pytest.raises(MCPError):
                await client.call_tool(f"made-up-{number}", {})
        found = metrics.read()

    assert "made-up" not in str(found)
    assert PROMPT not in str(found)
    assert set(by(found["gen_ai.client.operation.duration"], "blaxel.model")) == {OTHER}


def broken(measurement: Measurement) -> None:
    raise RuntimeError(measurement.instrument.name)


async def test_a_failure_to_record_a_call_costs_no_answer(emulator: Emulator, metrics: Metrics) -> None:
    async with metrics.client(emulator) as client:
        metrics.telemetry.recorders.append(broken)
        result = await client.call_tool("house-chat", {"prompt": PROMPT})
        metrics.telemetry.recorders.pop()

    assert answer_of(result)


def value_of(text: str, line: str) -> float:
    (value,) = [row.rpartition(" ")[2] for row in text.splitlines() if row.rpartition(" ")[0] == line]
    return float(value)


def test_prometheus_text_has_sums_buckets_and_escaped_labels() -> None:
    recorder = PrometheusRecorder()
    for seconds in (0.01, 0.03, 400):
        recorder.record(Measurement(OPERATION_DURATION, seconds, {"mcp.method.name": 'a"b\\c\nd'}))
    recorder.record(Measurement(COST, 0.5, {}))
    recorder.record(Measurement(COST, 0.25, {}))

    text = recorder.text([])

    label = r'mcp_method_name="a\"b\\c\nd"'
    assert value_of(text, f'mcp_server_operation_duration_seconds_bucket{{{label},le="0.01"}}') == 1
    assert value_of(text, f'mcp_server_operation_duration_seconds_bucket{{{label},le="0.05"}}') == 2
    assert value_of(text, f'mcp_server_operation_duration_seconds_bucket{{{label},le="+Inf"}}') == 3
    assert value_of(text, f"mcp_server_operation_duration_seconds_count{{{label}}}") == 3
    assert value_of(text, "blaxel_cost_usd_total") == 0.75
    assert all(f"# TYPE {metric_name(instrument)} {instrument.kind}\n" in text for instrument in INSTRUMENTS)


def test_prometheus_text_does_not_grow_without_end() -> None:
    recorder = PrometheusRecorder()
    for number in range(MAX_SERIES + 10):
        recorder.record(Measurement(COST, 1, {"model": str(number)}))

    text = recorder.text([])

    assert text.count("\nblaxel_cost_usd_total{") == MAX_SERIES + 1
    assert value_of(text, 'blaxel_cost_usd_total{otel_metric_overflow="true"}') == 10
