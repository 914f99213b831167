"""Answer over HTTP whether flights will arrive late.

    GET  /healthz  200 when ready, 503 while the model is loaded and while the server drains
    POST /predict  one flight, or a list of flights, as JSON

SIGTERM shuts it down gracefully: no new connections; pending requests are answered; exit status 0.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Concurrent requests share the cores, one each. OpenMP reads this when it is loaded.
os.environ["OMP_NUM_THREADS"] = "1"

import flights
import joblib
import numpy as np

MOST_BYTES = 1 << 20
MOST_FLIGHTS = 1000
IDLE_SECONDS = 60  # until a silent connection is closed
ENDING = {signal.SIGTERM, signal.SIGINT}
DRAIN_SECONDS = 10  # for pending answers after SIGTERM


class RequestError(Exception):
    """The request is wrong; the message says what to change."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Model:
    """A model written by train.py, for use by many threads."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        self.digest = hashlib.sha256(content).hexdigest()[:12]
        stored = joblib.load(io.BytesIO(content))
        self._classifier = stored["classifier"]
        self._ranks = stored["ranks"]
        if tuple(stored["features"]) != flights.FEATURES:
            raise ValueError("it was trained on other features than this server computes")

    def probabilities(self, asked: Sequence[dict[str, Any]]) -> list[float]:
        """The probability that each flight arrives late."""
        rows = flights.features(columns_of(asked), self._ranks)
        return [float(p) for p in self._classifier.predict_proba(rows)[:, 1]]

    def answer(self, body: bytes) -> dict[str, Any]:
        """The answer to `POST /predict`; raises `RequestError` for an invalid body."""
        asked = parse(body)
        several = asked if isinstance(asked, list) else [asked]
        answers = [
            {"flight_id": flight.get(flights.KEY), "p_late": p, "late": p >= 0.5}
            for flight, p in zip(several, self.probabilities(several), strict=True)
        ]
        return {"model": self.digest, "predictions": answers}


def parse(body: bytes) -> Any:
    """A flight or a list of flights; raises `RequestError` for anything else."""
    try:
        asked = json.loads(body, parse_constant=_no_such_number)
    except (ValueError, RecursionError) as problem:
        raise RequestError(400, f"the body is not JSON: {problem}") from problem
    several = asked if isinstance(asked, list) else [asked]
    if not 0 < len(several) <= MOST_FLIGHTS:
        raise RequestError(400, f"{len(several)} flights: send 1 to {MOST_FLIGHTS} per request")
    for number, flight in enumerate(several):
        if not isinstance(flight, dict):
            raise RequestError(400, f"flight {number} is not an object with named values")
    return asked


def columns_of(asked: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The columns that features are made of; raises `RequestError` for a wrong value.

    Weather may be null or missing, as in the data; the schedule may not.
    """
    columns = {}
    for name in flights.KNOWN_BEFORE_DEPARTURE:
        values = [flight.get(name) for flight in asked]
        if name in flights.CATEGORIES:
            columns[name] = np.array([_text(name, v) for v in values], dtype=object)
        else:
            may_miss = name in flights.WEATHER
            columns[name] = np.array([_number(name, v, may_miss) for v in values])
    for name, least, most in (("year", 1970, 2200), ("month", 1, 12), ("day", 1, 31)):
        if not ((least <= columns[name]) & (columns[name] <= most)).all():
            raise RequestError(400, f"{name} must be between {least} and {most}")
    return columns


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(400, f"{name} must be a string; it is {_shown(value)}")
    return value


def _number(name: str, value: object, may_miss: bool) -> float:
    if value is None and may_miss:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(400, f"{name} must be a number; it is {_shown(value)}")
    if not abs(value) < 1e9:  # also excludes numbers that no float can hold
        raise RequestError(400, f"{name} must be a number below 1e9")
    return float(value)


def _shown(value: object) -> str:
    return "missing" if value is None else json.dumps(value)[:40]


def _no_such_number(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


class Server(ThreadingHTTPServer):
    """Listens before the model is loaded, and shuts down gracefully."""

    daemon_threads = True  # the drain below waits for answers, not for idle connections
    request_queue_size = 256

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Handler)
        self.model: Model | None = None
        self.draining = False
        self._changed = threading.Condition()
        self._idle: set[socket.socket] = set()
        self._busy: set[socket.socket] = set()

    def connection_is(self, state: str, connection: socket.socket) -> None:
        """Record that a connection waits (`idle`), handles a request (`busy`), or is `gone`."""
        with self._changed:
            self._idle.discard(connection)
            self._busy.discard(connection)
            if state == "busy":
                self._busy.add(connection)
            elif state == "idle":
                self._idle.add(connection)
                if self.draining:
                    _hang_up(connection)
            self._changed.notify_all()

    def drain(self) -> None:
        """Stop accepting, close idle connections, and wait for pending answers."""
        with self._changed:
            self.draining = True
        self.shutdown()
        self.socket.close()
        with self._changed:
            for connection in self._idle:
                _hang_up(connection)
            self._changed.wait_for(lambda: not (self._idle or self._busy), DRAIN_SECONDS)


def _hang_up(connection: socket.socket) -> None:
    """Stop waiting for another request; one that has already arrived is still read."""
    with contextlib.suppress(OSError):  # the client may have gone first
        connection.shutdown(socket.SHUT_RD)


class Handler(BaseHTTPRequestHandler):
    """A connection, with any number of requests."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "flight-delay"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet

    def setup(self) -> None:
        super().setup()
        self.server.connection_is("idle", self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.connection_is("gone", self.connection)

    def parse_request(self) -> bool:
        self.server.connection_is("busy", self.connection)
        return super().parse_request()

    def do_GET(self) -> None:
        if self.path != "/healthz":
            self._send(404, {"error": f"there is nothing at {self.path[:80]}; try /healthz"})
        elif self.server.draining:
            self._send(503, {"status": "draining"})
        elif self.server.model is None:
            self._send(503, {"status": "loading the model"})
        else:
            self._send(200, {"status": "ready", "model": self.server.model.digest})

    def do_POST(self) -> None:
        try:
            self._send(200, self._predict(self._body()))
        except RequestError as refusal:
            self._send(refusal.status, {"error": str(refusal)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as problem:  # one bad request must not end the others
            self.log_error("%s: %s", type(problem).__name__, problem)
            self._send(500, {"error": "internal error; see the log of the server"})

    def _predict(self, body: bytes) -> dict[str, Any]:
        if self.path != "/predict":
            raise RequestError(404, f"there is nothing at {self.path[:80]}; try /predict")
        if self.server.model is None:
            raise RequestError(503, "the model is still being loaded")
        return self.server.model.answer(body)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self.close_connection = True  # the start of the next request is unknown
            raise RequestError(411, "the request needs a Content-Length")
        if int(length) > MOST_BYTES:
            self.close_connection = True
            raise RequestError(413, f"the body is larger than {MOST_BYTES} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the client disconnected during its request")
        return body

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection or self.server.draining:
            self.send_header("Connection", "close")  # also sets close_connection
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.server.connection_is("idle", self.connection)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The router counts requests, so only errors are logged here."""


def main() -> None:
    arguments = _arguments()
    # Blocked in all threads and waited for below, so no handler interrupts a thread with a lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    server = Server((arguments.host, arguments.port))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    print(f"listening on http://{arguments.host}:{server.server_port}", flush=True)
    try:
        server.model = Model(arguments.model)
    except Exception as problem:  # unpickling can raise anything
        sys.exit(f"{arguments.model}: not a model this server can use: {problem}")
    print(f"ready with model {server.model.digest}", flush=True)
    signal.sigwait(ENDING)
    server.drain()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Answer over HTTP whether flights arrive late.")
    parser.add_argument("--model", type=Path, required=True, help="a model that train.py wrote")
    parser.add_argument("--port", type=int, required=True, help="0 for any free port")
    parser.add_argument("--host", default="127.0.0.1")
    return parser.parse_args()


if __name__ == "__main__":
    main()
