"""The cost of GitHub's webhooks, and the time they save.

Acknowledgements per second, each with its hint stored durably: the server is a process of its own
with SQLite behind it, as in the controller; it is held against the store alone, which takes one
message per commit in the same way.

From a push to its check run by webhook alone: a controller that would poll an hour later, and the
double of `tests/doubles` as GitHub, from the moment that it has the push. So the time has fetching,
reading and planning in it, and of GitHub only the double's. It is held against the interval at
which a controller polls unless told otherwise.

Load, servers and controller share this machine's cores over loopback.
"""

import asyncio
import hashlib
import hmac
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.common import REPOSITORY, SPEC, Project, Row, until
from controller.config.settings import RepositorySettings
from controller.machine.core import Envelope, Key
from controller.machine.messages import ForgeMoved
from controller.store.protocol import Transaction
from controller.store.sqlite import SqliteStore
from controller.web.server import application, listen, serve
from tests.doubles.github import GitHub

SECRET = "benchmark"
FLIGHTS = Key("repository", "flights")
CONNECTIONS = 16
SECONDS = 5.0
PUSHES = 15
FIRST = 3
"""Warm-up pushes: the first imports the code that talks to GitHub."""
PAUSE = 1.0
"""Seconds between pushes, so that their runs do not overlap."""
BODY = json.dumps(
    {
        "action": "synchronize",
        "repository": {"full_name": "octo/flights"},
        "pull_request": {"number": 7, "body": "x" * 20_000},  # as large as GitHub's are
    }
).encode()
SIGNATURE = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


async def server(database: Path) -> None:
    """Print the port, then serve until killed."""
    store = await SqliteStore.open(database)

    async def send(envelope: Envelope) -> None:
        await store.commit(Transaction(send=(envelope,)), time.time())

    listening = listen("127.0.0.1", 0, [SECRET])
    print(listening.getsockname()[1], flush=True)
    await serve(application([SECRET], lambda _: [FLIGHTS], send), listening)


async def caller(port: int, deliveries: Iterator[int], until: float) -> list[float]:
    """Seconds that each answer took, with one request at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took: list[float] = []
    while time.perf_counter() < until:
        head = (
            "POST /webhooks/github HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"X-GitHub-Event: pull_request\r\nX-GitHub-Delivery: {next(deliveries)}\r\n"
            f"X-Hub-Signature-256: sha256={SIGNATURE}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + BODY)
        answer = await reader.readuntil(b"noted\n")
        took.append(time.perf_counter() - began)
        assert answer.startswith(b"HTTP/1.1 202"), answer
    writer.close()
    return took


async def acknowledged(folder: Path) -> list[float]:
    """Seconds of every acknowledgement in `SECONDS`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.github",
        str(folder / "web.db"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        deliveries = count()
        until = time.perf_counter() + SECONDS
        found = await asyncio.gather(*(caller(port, deliveries, until) for _ in range(CONNECTIONS)))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return [seconds for each in found for seconds in each]


async def stored(folder: Path) -> float:
    """Messages per second that the store takes with as many clients and no HTTP."""
    store = await SqliteStore.open(folder / "bare.db")
    numbers = count()
    until = time.perf_counter() + SECONDS

    async def keep_on() -> int:
        done = 0
        while time.perf_counter() < until:
            id_, message = f"github/{next(numbers)}", ForgeMoved(pull=True)
            envelope = Envelope(to=FLIGHTS, id=id_, message=message)
            await store.commit(Transaction(send=(envelope,)), time.time())
            done += 1
        return done

    done = await asyncio.gather(*(keep_on() for _ in range(CONNECTIONS)))
    await store.close()
    return sum(done) / SECONDS


async def checked(root: Path, github: GitHub, port: int) -> list[float]:
    """Seconds from each push, by GitHub's time, until its check run exists."""
    app = github.app()
    settings = {
        "url": github.url,
        "app": {"id": app.id, "private_key": "APP_KEY"},
        "webhook": {"secret": "HOOK", "port": port},
    }
    secrets = {"APP_KEY": github.private_key, "HOOK": app.webhook_secret}
    took = []
    async with Project.running(root, 3600, settings, secrets) as project:
        repository = await asyncio.to_thread(github.repository, REPOSITORY, root / "remote.git")
        github.install(repository)
        github.webhooks.url = f"http://127.0.0.1:{port}/webhooks/github"
        for number in range(FIRST + PUSHES):
            project.commit(SPEC.format(number=number))
            await project.push()
            head = repository.git.heads()["main"]

            async def there(sha: str = head) -> bool | None:
                return bool(github.check_runs(repository, sha)) or None

            began = time.perf_counter()
            await asyncio.to_thread(github.notice)
            await until(there, pause=0.002)
            took.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE)
    return took[FIRST:]


def main() -> list[Row]:
    """Measure and print."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as there,
        GitHub(Path(there)) as double,
    ):
        checks = asyncio.run(checked(Path(name), double, port))
    usual, worst = statistics.median(checks), max(checks)
    print(f"webhook to check run, {PUSHES} pushes: median {usual * 1e3:.0f} ms, ", end="")
    print(f"the longest {worst * 1e3:.0f} ms")
    with tempfile.TemporaryDirectory() as name:
        bare = asyncio.run(stored(Path(name)))
        took = asyncio.run(acknowledged(Path(name)))
    rate = len(took) / SECONDS
    middle, slow = statistics.median(took) * 1e3, statistics.quantiles(took, n=100)[98] * 1e3
    print(f"webhooks of {len(BODY):,} bytes from {CONNECTIONS} connections")
    print(f"  acknowledged {rate:8.0f} per s   (median {middle:.1f} ms, 99% {slow:.1f} ms)")
    print(f"  store alone  {bare:8.0f} per s")
    poll = RepositorySettings.model_fields["poll"].default.total_seconds()
    return [
        Row("webhook to check run, median", usual, "s", "the polling interval", poll),
        Row("webhooks acknowledged", rate, "1/s", "the store alone", bare),
    ]


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(server(Path(sys.argv[1])))
    else:
        main()
