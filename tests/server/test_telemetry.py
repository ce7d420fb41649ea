"""What the variables of OpenTelemetry set up, and what a server says if it cannot do that."""

import sys

import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.server.http.metrics import telemetry_for
from blaxel_mcp.server.telemetry import start_telemetry, start_telemetry_or_warn, wanted_signals
from blaxel_mcp.settings.http import HttpSettings


def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)


ASKED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_without_the_extra_a_server_over_http_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_extra(monkeypatch)

    with pytest.raises(ConfigurationError, match=r"pip install 'blaxel-mcp\[otel\]'"):
        telemetry_for(HttpSettings(), ASKED)


def test_without_the_extra_a_server_over_stdio_starts_and_warns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients pass their own variables on to the servers that they start."""
    without_the_extra(monkeypatch)

    assert start_telemetry_or_warn(ASKED) is None
    assert "blaxel-mcp[otel]" in caplog.text


@pytest.mark.parametrize(
    ("environ", "signals"),
    [
        ({}, []),
        (ASKED, ["traces", "metrics"]),
        ({**ASKED, "OTEL_SDK_DISABLED": "TRUE"}, []),
        ({**ASKED, "OTEL_METRICS_EXPORTER": "none"}, ["traces"]),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9/v1/metrics"}, ["metrics"]),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ["traces"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "${COLLECTOR}"}, []),
        ({"OTEL_TRACES_EXPORTER": "${EXPORTER}", "OTEL_METRICS_EXPORTER": "${EXPORTER}"}, []),
        ({**ASKED, "OTEL_EXPORTER_OTLP_PROTOCOL": "${PROTOCOL}"}, ["traces", "metrics"]),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_LOGS_EXPORTER": "otlp"}, []),
    ],
)
def test_the_variables_say_what_is_exported(environ: dict[str, str], signals: list[str]) -> None:
    assert wanted_signals(environ) == signals


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "console"},
        {**ASKED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {**ASKED, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
    ],
)
def test_another_exporter_is_an_error_that_says_what_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"):
        start_telemetry(environ)
