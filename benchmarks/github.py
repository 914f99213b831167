"""What GitHub's webhooks cost: acknowledgements per second, each with its hint stored durably.

The server is a process of its own with SQLite behind it, as in the controller; it is held against
the store alone, which takes one message per commit in the same way. Load and server share this
machine's cores over loopback.
"""

import asyncio
import hashlib
import hmac
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.common import Row
from controller.machine.core import Key, Message
from controller.store.protocol import Change
from controller.store.sqlite import SqliteStore
from controller.web.server import application, listen, serve

SECRET = "benchmark"
FLIGHTS = Key("repository", "flights")
CONNECTIONS = 16
SECONDS = 5.0
BODY = json.dumps(
    {
        "action": "synchronize",
        "repository": {"full_name": "octo/flights"},
        "pull_request": {"number": 7, "body": "x" * 20_000},  # as large as GitHub's are
    }
).encode()
SIGNATURE = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


async def server(database: Path) -> None:
    """Serve until killed; says its port first."""
    store = await SqliteStore.open(database)

    async def send(message: Message) -> None:
        await store.commit(Change(send=(message,)), time.time())

    listening = listen("127.0.0.1", 0, [SECRET])
    print(listening.getsockname()[1], flush=True)
    await serve(application([SECRET], lambda _: [FLIGHTS], send), listening)


async def caller(port: int, deliveries: Iterator[int], until: float) -> list[float]:
    """Seconds that each answer took, one request after the other."""
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
    """Messages per second that the store takes with as many askers and no HTTP."""
    store = await SqliteStore.open(folder / "bare.db")
    numbers = count()
    until = time.perf_counter() + SECONDS

    async def keep_on() -> int:
        done = 0
        while time.perf_counter() < until:
            message = Message(to=FLIGHTS, id=f"github/{next(numbers)}", type="github_pull")
            await store.commit(Change(send=(message,)), time.time())
            done += 1
        return done

    done = await asyncio.gather(*(keep_on() for _ in range(CONNECTIONS)))
    await store.close()
    return sum(done) / SECONDS


def main() -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        bare = asyncio.run(stored(Path(name)))
        took = asyncio.run(acknowledged(Path(name)))
    rate = len(took) / SECONDS
    middle, slow = statistics.median(took) * 1e3, statistics.quantiles(took, n=100)[98] * 1e3
    print(f"webhooks of {len(BODY):,} bytes from {CONNECTIONS} connections")
    print(f"  acknowledged {rate:8.0f} per s   (median {middle:.1f} ms, 99% {slow:.1f} ms)")
    print(f"  store alone  {bare:8.0f} per s")
    return [Row("webhooks acknowledged", rate, "1/s", "the store alone", bare)]


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(server(Path(sys.argv[1])))
    else:
        main()
