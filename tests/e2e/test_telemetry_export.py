"""What a server process exports by OTLP, as OpenTelemetry's variables say, in both protocol eras."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import ERAS, Era, answer_of, inference_requests, receipt_of
from tests.support.http_serving import client_of
from tests.support.leaks import Client
from tests.support.otlp_sink import Sink, attributes_of, otlp_sink
from tests.support.processes import ENDING_SECONDS, SERVE, started, variables

pytestmark = pytest.mark.anyio

PROMPT = "the prompt that nobody exports"


def exporting(emulator: Emulator, sink: Sink, **more: str) -> dict[str, str]:
    """Return the environment of a server process that exports to a sink."""
    return {**variables(emulator), "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, **more}


def check_exported(sink: Sink, emulator: Emulator, receipt: dict[str, Any], answer: str) -> None:
    (call,), (request,) = sink.named("chat "), sink.named("tools/call")
    found = attributes_of(call)
    assert (found["blaxel.call_id"], found["blaxel.billed"]) == (receipt["call_id"], "yes")
    assert (call.trace_id, call.parent_span_id) == (request.trace_id, request.span_id)
    (sent,) = inference_requests(emulator.requests)
    assert dict(sent.headers)["traceparent"].startswith(f"00-{call.trace_id.hex()}-{call.span_id.hex()}-")
    names = {metric.name for metric in sink.metrics}
    assert names >= {
        *("mcp.server.operation.duration", "gen_ai.client.operation.duration", "gen_ai.client.token.usage"),
        *(
            "blaxel.calls.running",
            "blaxel.calls.queued",
            "blaxel.calls.lost",
            "blaxel.budget.used",
            "blaxel.budget.held",
        ),
    }
    for text in (PROMPT, answer):
        assert not any(text.encode() in body for body in sink.bodies)


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_over_stdio_exports_its_calls_before_it_ends(emulator: Emulator, era: Era) -> None:
    with otlp_sink() as sink:
        environment = exporting(emulator, sink, OTEL_SERVICE_NAME="models-for-tests")
        server = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
        async with Client(server, mode=era) as client:
            result = await client.call_tool("house-chat", {"prompt": PROMPT})

    check_exported(sink, emulator, receipt_of(result), answer_of(result)["choices"][0]["message"]["content"])
    assert sink.resource["service.name"] == "models-for-tests"


@pytest.mark.parametrize("value", ["true", "span_only", "event_only", "no"])
async def test_content_is_exported_only_if_the_variable_asks_for_it_in_spans(emulator: Emulator, value: str) -> None:
    with otlp_sink() as sink:
        environment = exporting(emulator, sink, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=value)
        server = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
        async with Client(server) as client:
            await client.call_tool("house-chat", {"prompt": PROMPT})

    assert any(PROMPT.encode() in body for body in sink.bodies) is (value in ("true", "span_only"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here")
@pytest.mark.parametrize("era", ERAS)
async def test_a_server_over_http_exports_its_calls_before_it_ends(emulator: Emulator, era: Era) -> None:
    command = [*SERVE, "--transport", "http", "--port", "0"]
    with otlp_sink() as sink:
        async with started(command, exporting(emulator, sink), stderr=subprocess.PIPE) as process:
            assert process.stderr
            with anyio.fail_after(60):
                line = await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", 1000)
                async with client_of(line.decode().rpartition(" ")[2], era) as client:
                    result = await client.call_tool("house-chat", {"prompt": PROMPT})
                process.send_signal(signal.SIGTERM)
            with anyio.fail_after(ENDING_SECONDS):
                await process.wait()

    check_exported(sink, emulator, receipt_of(result), answer_of(result)["choices"][0]["message"]["content"])
    assert sink.resource["service.name"] == "blaxel-mcp"


WRONG_VALUES = {
    "OTEL_METRIC_EXPORT_INTERVAL": "0",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "many",
    "OTEL_METRICS_EXEMPLAR_FILTER": "some",
}


@pytest.mark.parametrize("name", WRONG_VALUES)
async def test_a_server_over_stdio_serves_without_telemetry_if_its_variables_are_wrong(
    emulator: Emulator, tmp_path: Path, name: str
) -> None:
    log = tmp_path / "stderr"
    with otlp_sink() as sink, log.open("w") as file:
        environment = exporting(emulator, sink, **{name: WRONG_VALUES[name]})
        server = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
        async with Client(stdio_client(server, errlog=file)) as client:
            assert answer_of(await client.call_tool("house-chat", {"prompt": PROMPT}))

    assert "no telemetry: OpenTelemetry's SDK does not accept its variables" in log.read_text()
    assert sink.bodies == []


def test_a_server_over_http_does_not_start_with_wrong_variables_of_telemetry() -> None:
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}
    command = [*SERVE, "--transport", "http", "--port", "0", "--demo"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert "max_queue_size must be a positive integer" in ended.stderr
    assert "OTEL_SDK_DISABLED=true" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_json_log_lines_of_a_call_carry_its_id_and_its_trace(emulator: Emulator, tmp_path: Path) -> None:
    words = [*SERVE[1:], "--log-format", "json", "--log-level", "info"]
    log = tmp_path / "stderr"
    with otlp_sink() as sink, log.open("w") as file:
        server = StdioServerParameters(command=SERVE[0], args=words, env=exporting(emulator, sink))
        async with Client(stdio_client(server, errlog=file)) as client:
            arguments = {"model": "fault-not-found", "data": {"inputs": "x"}}
            receipt = receipt_of(await client.call_tool("run_model", arguments))

    (request,) = sink.named("tools/call")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    (within,) = [entry for entry in entries if "no record" in entry["message"]]
    assert within["call_id"] == receipt["call_id"]
    assert (within["trace_id"], within["span_id"]) == (request.trace_id.hex(), request.span_id.hex())
    assert any("call_id" not in entry and "trace_id" not in entry for entry in entries)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here")
async def test_a_collector_that_never_answers_does_not_hold_up_the_end(emulator: Emulator) -> None:
    """The exporter would wait for two minutes."""
    command = [*SERVE, "--transport", "http", "--port", "0"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**variables(emulator), "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "120"}
        async with started(command, environment, stderr=subprocess.PIPE) as process:
            assert process.stderr
            with anyio.fail_after(60):
                line = await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", 1000)
                async with client_of(line.decode().rpartition(" ")[2]) as client:
                    assert answer_of(await client.call_tool("house-chat", {"prompt": PROMPT}))
                process.send_signal(signal.SIGTERM)
            with anyio.fail_after(ENDING_SECONDS):
                assert await process.wait() == 0


async def test_a_collector_that_is_down_costs_no_answer_and_no_patience(emulator: Emulator) -> None:
    environment = {**variables(emulator), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    async with Client(StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)) as client:
        result = await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})

    assert "42" in json.dumps(answer_of(result))


@pytest.mark.parametrize("words", [("run", "house-chat", PROMPT), ("compare", "house-chat", "house-chat", PROMPT)])
async def test_the_calls_of_a_command_are_exported_too(emulator: Emulator, words: tuple[str, ...]) -> None:
    with otlp_sink() as sink:
        command = [*SERVE[:-1], *words]
        await anyio.run_process(command, env=exporting(emulator, sink), stdin=subprocess.DEVNULL)

    calls = sink.named("chat ")
    assert len(calls) == words.count("house-chat")
    assert {attributes_of(call)["blaxel.billed"] for call in calls} == {"yes"}
    assert "gen_ai.client.operation.duration" in {metric.name for metric in sink.metrics}
    assert not any(PROMPT.encode() in body for body in sink.bodies)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here")
async def test_the_calls_of_the_playground_are_exported_too(emulator: Emulator) -> None:
    command = [*SERVE[:-1], "playground", "--no-open", "--port", "0"]
    with otlp_sink() as sink:
        async with started(command, exporting(emulator, sink), stdin=subprocess.DEVNULL) as process:
            assert process.stdout
            lines = BufferedByteReceiveStream(process.stdout)
            with anyio.fail_after(ENDING_SECONDS):
                while b"token=" not in (line := await lines.receive_until(b"\n", 1000)):
                    pass
                url, _, token = line.decode().split()[-1].partition("/#token=")
                async with httpx.AsyncClient(headers={"origin": url}) as http:
                    session = (await http.post(f"{url}/session", json={"token": token})).json()
                async with client_of(f"{url}/mcp", headers={"authorization": f"Bearer {session['secret']}"}) as client:
                    assert answer_of(await client.call_tool("house-chat", {"prompt": PROMPT}))
                process.send_signal(signal.SIGTERM)
                await process.wait()

    assert len(sink.named("chat ")) == 1
