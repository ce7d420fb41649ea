"""An OTLP endpoint on loopback that keeps what it is sent, decoded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.leaks import look_at


@dataclass(slots=True)
class Sink:
    """What an endpoint was sent.

    Attributes:
        url: Its URL, for OTEL_EXPORTER_OTLP_ENDPOINT.
        bodies: The bodies of the requests, in order.
        spans: The spans in them.
        metrics: The metrics in them.
        resource: The attributes of the resource that sent the last of them.
    """

    url: str
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)

    def named(self, prefix: str) -> list[Any]:
        """Return the spans whose names begin like this."""
        return [span for span in self.spans if span.name.startswith(prefix)]

    def take(self, path: str, body: bytes) -> None:
        """Decode a request."""
        self.bodies.append(body)
        look_at("what was exported", body)
        if path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource = attributes_of(group.resource)
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics += [metric for scope in measured.scope_metrics for metric in scope.metrics]


def attributes_of(item: Any) -> dict[str, Any]:
    """Return the attributes of a span, a data point or a resource."""
    return {each.key: _value(each.value) for each in item.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def otlp_sink() -> Iterator[Sink]:
    """Run an endpoint while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sink.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink = Sink(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
