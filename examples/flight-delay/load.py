"""Replay real flights against a running server, at a steady rate and for a bounded time."""

import argparse
import http.client
import itertools
import json
import math
import os
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flights
import pandas as pd


@dataclass(frozen=True)
class Answer:
    """The result of one request. Status 0: there was no answer. Times are in seconds."""

    flight_id: str
    due: float  # since the start
    latency: float  # measured from when it was due, so stalls of the server count
    status: int
    model: str | None  # the model that answered


def requests(data: Path) -> list[dict[str, Any]]:
    """The flights of a Parquet file, as a caller would send them before departure."""
    table = pd.read_parquet(data, columns=[flights.KEY, *flights.KNOWN_BEFORE_DEPARTURE])
    return [
        {
            str(name): None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict(orient="records")
    ]


def replay(
    url: str,
    asked: Sequence[dict[str, Any]],
    rate: float,
    seconds: float,
    *,
    workers: int = 8,
    stop: threading.Event | None = None,
    heard: Callable[[Answer], object] | None = None,
) -> list[Answer]:
    """Post `rate` flights per second to `url` for `seconds`, or until `stop` is set.

    Starts again with the first flight after the last. The answers are in the order of the requests;
    `heard` gets each as soon as it arrives, one at a time.
    """
    stop = stop or threading.Event()
    one_at_a_time = threading.Lock()

    def hear(answer: Answer) -> None:
        if heard is not None:
            with one_at_a_time:
                heard(answer)

    started = time.monotonic()
    places: queue.SimpleQueue[tuple[float, dict[str, Any]] | None] = queue.SimpleQueue()
    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(_work, url, started, places, hear) for _ in range(workers)]
        bodies = itertools.cycle(asked)
        for due in _dates(rate, seconds):
            if stop.wait(max(0.0, started + due - time.monotonic())):
                break
            places.put((due, next(bodies)))
        for _ in running:
            places.put(None)
        answers = itertools.chain.from_iterable(worker.result() for worker in running)
        return sorted(answers, key=lambda answer: answer.due)


def _dates(rate: float, seconds: float) -> Iterator[float]:
    return (number / rate for number in range(int(rate * seconds)))


def _work(
    url: str,
    started: float,
    places: "queue.SimpleQueue[Any]",
    hear: Callable[[Answer], object],
) -> list[Answer]:
    answers = []
    connection = _connect(url)
    try:
        while (place := places.get()) is not None:
            due, flight = place
            status, model = _ask(connection, urlsplit(url).path, flight)
            latency = time.monotonic() - started - due
            answers.append(Answer(flight[flights.KEY], due, latency, status, model))
            hear(answers[-1])
    finally:
        connection.close()
    return answers


def _connect(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    if address.scheme != "http" or address.hostname is None:
        raise SystemExit(f"{url}: expected an address such as http://127.0.0.1:8080/predict")
    return http.client.HTTPConnection(address.hostname, address.port, timeout=10)


def _ask(
    connection: http.client.HTTPConnection, path: str, flight: dict[str, Any]
) -> tuple[int, str | None]:
    body = json.dumps(flight)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it again; this one is not retried
        return 0, None
    try:
        return response.status, json.loads(content).get("model")
    except (ValueError, AttributeError):
        return response.status, None


def main() -> None:
    arguments = _arguments()
    asked = requests(arguments.data)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    out_file = arguments.out or Path(os.devnull)
    with out_file.open("w", buffering=1) as out:  # line by line, for concurrent readers
        answers = replay(
            arguments.url,
            asked,
            arguments.rate,
            arguments.seconds,
            stop=stop,
            heard=lambda answer: out.write(json.dumps(asdict(answer)) + "\n"),
        )
    latencies = sorted(answer.latency for answer in answers) or [math.nan]
    median, p99 = (1000 * latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    statuses = ", ".join(
        f"{n} x {s}" for s, n in sorted(Counter(a.status for a in answers).items())
    )
    print(f"{len(answers)} requests: {statuses}; p50 {median:.1f} ms, p99 {p99:.1f} ms")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="for example http://127.0.0.1:8080/predict")
    parser.add_argument("--data", type=Path, required=True, help="a month of flights (Parquet)")
    parser.add_argument("--rate", type=float, default=50, help="requests each second")
    parser.add_argument("--seconds", type=float, default=10, help="how long to run")
    parser.add_argument("--out", type=Path, help="one JSON line for each answer")
    return parser.parse_args()


if __name__ == "__main__":
    main()
