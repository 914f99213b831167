"""Real gateways, scraped by a real Prometheus: what their counters tell of a canary."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deployers.counting import reader as reading
from deployers.counting import series
from deployers.counting.prometheus import PrometheusServer
from deployers.counting.reader import CounterReader
from deployers.protocol import Traffic
from specs.counters import BackendCounters, PresetName
from specs.traffic import TrafficWindow
from tests.deployers.caller import Caller
from tests.deployers.world import eventually
from tests.servers.gateways import WHOLE, Envoy, Traefik
from tests.servers.prometheus import Prometheus
from validators.canary import CanaryDecision, CanaryPolicy, Judgement, begin_counting, count, judge

PLACE = "mean/production"
STABLE, CANARY = "mean-production-v1-0f5a8c21d9e4", "mean-production-v2-77aa01b2c3d4"
ERRORS = ("no_answer", "5xx")
POLICY = CanaryPolicy(
    latencies=(), errors_margin=0.1, false_rollback=0.01, minimum_bake=0.0, deadline=600.0
)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is on one machine: a scrape is read at once, and a weight is in force at once."""
    monkeypatch.setattr(series, "SETTLED", 0.05)
    monkeypatch.setattr(reading, "LAG", 0.1)


@asynccontextmanager
async def backend(fails: float = 0.0) -> AsyncIterator[int]:
    """A server whose requests fail at that rate; its port."""
    draw = random.Random(7)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0] or b"0")
                await reader.readexactly(size)
                status = b"500 Oops" if draw.random() < fails else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(url: str, times: int) -> Counter[int]:
    """The statuses of that many requests, by four callers."""
    seen: Counter[int] = Counter()

    async def one() -> None:
        async with Caller(url) as caller:
            for _ in range(times // 4):
                seen[(await caller.ask()).status] += 1

    await asyncio.gather(*(one() for _ in range(4)))
    return seen


class Watched:
    """A place behind a gateway, read and judged as a controller does it."""

    def __init__(self, home: Path, prometheus: Prometheus, preset: PresetName) -> None:
        servers = {"default": PrometheusServer(prometheus.url)}
        self.reader = CounterReader(home, servers, lambda names: dict.fromkeys(names, ""))
        self.names = BackendCounters(preset=preset).names()
        self.cursor: tuple[str | None, int] = (None, 0)
        self.found: list[TrafficWindow] = []

    def serves(self, weight: float) -> None:
        """As the deployer observes it."""
        canary = CANARY if weight else None
        self.reader.seen(PLACE, (STABLE, canary, weight))

    async def look(self) -> Traffic:
        page = await self.reader.traffic(
            PLACE, *self.cursor, names=self.names, errors=ERRORS, split="draw"
        )
        self.cursor = (page.epoch, page.next)
        self.found += page.windows
        return page

    async def until(self, enough: Callable[[], bool], weight: float) -> None:
        """Look until enough is counted."""

        async def looked() -> bool:
            self.serves(weight)
            await self.look()
            return enough()

        await eventually(looked)

    def requests(self, weight: float) -> int:
        found = [one for one in self.found if one.weight == weight]
        return sum(one.stable.requests + one.canary.requests for one in found)

    def timed(self, weight: float) -> int:
        found = [one for one in self.found if one.weight == weight]
        return sum((one.stable.timed or 0) + (one.canary.timed or 0) for one in found)

    def judged(self) -> Judgement:
        windows = [one for one in self.found if one.weight]
        state = count(begin_counting(POLICY, (), windows[0].start, "draw"), windows)
        return judge(state, windows[-1].end)


async def scraped(prometheus: Prometheus, gateway: Envoy | Traefik) -> None:
    """Start it, and wait until it has scraped the gateway with its first requests."""
    prometheus.run(gateway.metrics_port, path=gateway.metrics_path, interval="200ms")

    async def done() -> bool:
        return bool(prometheus.values("up == 1"))

    await eventually(done)


@pytest.mark.prometheus
@pytest.mark.gateway
@pytest.mark.parametrize(
    ("fails", "decision"), [(0.0, CanaryDecision.PROMOTE), (0.5, CanaryDecision.ROLLBACK)]
)
async def test_a_canary_behind_envoy_is_judged_by_its_counters(
    tmp_path: Path,
    prometheus: Prometheus,
    gateways: tuple[Envoy, Traefik],
    fails: float,
    decision: CanaryDecision,
) -> None:
    envoy, _ = gateways
    async with backend() as stable, backend(fails) as canary:
        envoy.run()
        envoy.route({STABLE: (stable, WHOLE)})
        await ask(envoy.url, 100)
        await scraped(prometheus, envoy)
        place = Watched(tmp_path, prometheus, "envoy")
        place.serves(0)
        await asyncio.sleep(0.5)  # a scrape in which nothing is asked
        sent = await ask(envoy.url, 400)
        await place.until(lambda: place.requests(0) == 400, 0)
        assert sent == {200: 400}
        assert {one.canary.requests for one in place.found} == {0}
        envoy.route({STABLE: (stable, WHOLE // 2), CANARY: (canary, WHOLE // 2)})
        place.serves(0.5)
        await asyncio.sleep(0.5)
        sent = await ask(envoy.url, 1200)
        await place.until(lambda: place.requests(0.5) == place.timed(0.5) == 1200, 0.5)
    windows = [one for one in place.found if one.weight == 0.5]
    assert sum(one.canary.errors for one in windows) == sent[500]
    assert sum(one.stable.errors for one in windows) == 0
    judged = place.judged()
    assert judged.decision is decision
    assert judged.undrawn == ""


@pytest.mark.prometheus
@pytest.mark.gateway
async def test_traefik_is_noticed_to_take_turns_by_its_counters(
    tmp_path: Path, prometheus: Prometheus, gateways: tuple[Envoy, Traefik]
) -> None:
    _, traefik = gateways
    async with backend() as stable, backend(fails=0.5) as canary:
        ports = {STABLE: stable, CANARY: canary}
        traefik.run(ports, {STABLE: WHOLE // 2, CANARY: WHOLE // 2})

        async def reads_its_rules() -> bool:
            return 404 not in await ask(traefik.url, 4)

        await eventually(reads_its_rules)
        await scraped(prometheus, traefik)
        place = Watched(tmp_path, prometheus, "traefik")
        place.serves(0.5)
        await asyncio.sleep(0.5)
        sent = Counter[int]()
        for _ in range(10):
            sent += await ask(traefik.url, 120)
            place.serves(0.5)
            await place.look()
        await place.until(lambda: place.requests(0.5) == 1200, 0.5)
    assert sum(one.canary.errors for one in place.found) == sent[500]
    assert place.timed(0.5) == sent[200]
    judged = place.judged()
    assert judged.undrawn.startswith("the canary's share of each window is too even")
    assert judged.decision is not CanaryDecision.ROLLBACK, "its errors are many, but no draws"
