"""The example's scripts as a team would run them: as commands, from their own folder."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "flight-delay"
MONTHS = Path(__file__).parent / "data"  # every 45th real flight of January to March 2013

JANUARY, FEBRUARY, MARCH = (MONTHS / f"flights-2013-{month:02}.parquet" for month in (1, 2, 3))


def run(script: str, *arguments: str | Path, folder: Path = FOLDER) -> str:
    """What a script prints; fails with what it complained about."""
    done = start(script, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(
    script: str, *arguments: str | Path, folder: Path = FOLDER
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, however it ends."""
    return subprocess.run(
        [sys.executable, folder / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


@dataclass
class Running:
    """A model server that is up."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/predict"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of one request on its own connection; bytes are sent as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path, content if body is not None else None)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def serving(model: Path, *, folder: Path = FOLDER, ready: bool = True) -> Iterator[Running]:
    """A server of this model; when `ready`, it has said so itself."""
    process = subprocess.Popen(
        [sys.executable, folder / "serve.py", "--model", model, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        running = Running(process, port)
        if ready:
            until(lambda: running.ask("GET", "/healthz")[0] == 200)
        yield running
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what has to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
