"""The cost of the traffic router: requests per second and latency, against the server itself.

Server, router and load share this machine's cores over loopback, so read the ratios. The server
answers a prediction of a few bytes at once, which makes the router's share as large as it gets.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httptools
import uvloop

from benchmarks.common import Row
from deployers.control import Backend, Routing, ask
from deployers.place_folder import free_port
from deployers.processes import Processes, ProcessSpec
from deployers.records import RequestRecord, Ring
from specs.traffic import Arm

ANSWER = b'{"p_late": 0.25}'
BODY = json.dumps({"flights": [{"carrier": "UA", "origin": "EWR", "distance": 1400}]}).encode()
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
CONNECTIONS = 32


class Server(asyncio.Protocol):
    """Answers every request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(ANSWER), ANSWER)
        )


@dataclass
class Tally:
    """The results of the callers."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0


class Caller(asyncio.Protocol):
    """Sends one request after the other until told to stop."""

    def __init__(self, tally: Tally, until: Callable[[], bool]) -> None:
        self._tally, self._until = tally, until
        self._parser = httptools.HttpResponseParser(self)
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        if not self.done.done():
            self._tally.failed += 1
            self.done.set_result(None)

    def on_message_complete(self) -> None:
        self._tally.latencies.append(time.perf_counter() - self._sent)
        self._tally.failed += self._parser.get_status_code() != 200
        if self._until():
            self.done.set_result(None)
            self._transport.close()
        else:
            self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(REQUEST)


async def load(port: int, connections: int, until: Callable[[], bool]) -> Tally:
    """Keep a number of callers busy until told to stop."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Caller(tally, until), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    return tally


async def timed(port: int, connections: int, seconds: float) -> tuple[float, float, float]:
    """Requests per second, median and 99th percentile of the latency in milliseconds."""
    end = time.perf_counter() + seconds
    tally = await load(port, connections, lambda: time.perf_counter() > end)
    assert not tally.failed
    cuts = statistics.quantiles(tally.latencies, n=100)
    return len(tally.latencies) / seconds, cuts[49] * 1e3, cuts[98] * 1e3


async def dropped(folder: Path, routing: Routing, port: int, changes: int) -> tuple[int, int]:
    """Requests made and failed while the weight changes again and again."""
    over = asyncio.Event()
    running = asyncio.create_task(load(port, CONNECTIONS, over.is_set))
    for change in range(changes):
        weight = (change % 11) / 10
        wanted = routing.model_copy(update={"weight": weight})
        await ask(folder, "route", routing=wanted.model_dump())
        await asyncio.sleep(0.01)
    over.set()
    tally = await running
    return len(tally.latencies), tally.failed


def per_record() -> float:
    """Microseconds to record one request."""
    ring, count = Ring(), 200_000
    begun = time.perf_counter()
    for _ in range(count):
        ring.add(RequestRecord(1.0, Arm.STABLE, 0.05, 200, 0.01, None))
    return (time.perf_counter() - begun) / count * 1e6


async def measure(folder: Path, seconds: float) -> list[Row]:
    """Start two servers and a router, and print their figures."""
    ports = [free_port(), free_port()]
    servers = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [sys.executable, "-m", "benchmarks.router", "serve", str(port)]
        )
        for port in ports
    ]
    stable, canary = (Backend(name=f"v{port}", host="127.0.0.1", port=port) for port in ports)
    argv = (sys.executable, "-m", "deployers.router", "--folder", str(folder))
    with Processes(folder / "processes") as processes:
        processes.start("router", ProcessSpec(argv=argv, cwd=str(Path.cwd())))
        try:
            rows = []
            routing = Routing(stable=stable, canary=canary, weight=0.5)
            port = await settled(folder, routing)
            for connections in (1, CONNECTIONS):
                direct = await timed(ports[0], connections, seconds)
                routed = await timed(port, connections, seconds)
                print(
                    f"{connections:3} callers: {routed[0]:6.0f} requests/s routed, {direct[0]:6.0f}"
                    f" direct (ratio {routed[0] / direct[0]:.2f}); latency p50"
                    f" {routed[1]:.2f} against {direct[1]:.2f} ms, p99 {routed[2]:.2f}"
                    f" against {direct[2]:.2f} ms"
                )
                callers = f"{connections} callers" if connections > 1 else "1 caller"
                rows += [
                    Row(f"router, {callers}", routed[0], "requests/s", "the server", direct[0]),
                    Row(f"its p50, {callers}", routed[1], "ms", "the server", direct[1]),
                    Row(f"its p99, {callers}", routed[2], "ms", "the server", direct[2]),
                ]
            made, failed = await dropped(folder, routing, port, 100)
            print(f"100 weight changes under load: {failed} of {made} requests dropped")
            print(f"one record: {per_record():.2f} microseconds")
            return rows
        finally:
            processes.stop("router", grace=1)
            for server in servers:
                server.terminate()
                server.wait()


async def settled(folder: Path, routing: Routing) -> int:
    """The router's port, once it and both servers are up."""
    for backend in (routing.stable, routing.canary):
        assert backend is not None
        while True:
            try:
                _, writer = await asyncio.open_connection(backend.host, backend.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
    while True:
        try:
            answer = await ask(folder, "route", routing=routing.model_dump())
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return int(answer["port"])


async def serve(port: int) -> None:
    """Run the server."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port)
    await server.serve_forever()


def main(seconds: float = 4.0) -> list[Row]:
    """Print the router's figures."""
    with tempfile.TemporaryDirectory() as folder:
        return uvloop.run(measure(Path(folder), seconds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(int(sys.argv[2])))
    else:
        main()
