"""An OpenTelemetry collector's receiver: takes OTLP over HTTP and decodes it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class ReceivedSpan(NamedTuple):
    """A span as it came, its ids in hexadecimal and its times in seconds."""

    trace: str
    id: str
    parent: str
    name: str
    start: float
    end: float
    attributes: dict[str, Any]
    failed: bool
    said: str
    events: list[str]


class Receiver:
    """What was received, request by request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[list[ReceivedSpan]] = []
        self.headers: list[dict[str, str]] = []
        self.services: set[str] = set()
        self.refuses = False
        """Whether it answers 400, as one that cannot take what is sent."""

    @property
    def spans(self) -> dict[tuple[str, str], ReceivedSpan]:
        """All spans by their ids, as a backend keeps them."""
        return {(one.trace, one.id): one for request in self.requests for one in request}

    def take(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        request = ExportTraceServiceRequest.FromString(body)
        spans = []
        for of_resource in request.resource_spans:
            names = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            self.services.add(names["service.name"])
            spans += [_span(one) for scope in of_resource.scope_spans for one in scope.spans]
        self.requests.append(spans)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver at a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path != "/v1/traces" or made.refuses:
                self.send_response(400)
            else:
                made.headers.append({name.lower(): value for name, value in self.headers.items()})
                made.take(body)
                self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _span(span: Any) -> ReceivedSpan:
    values = {}
    for one in span.attributes:
        kind = one.value.WhichOneof("value")
        values[one.key] = getattr(one.value, kind)
    return ReceivedSpan(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        values,
        span.status.code == 2,
        span.status.message,
        [one.name for one in span.events],
    )
