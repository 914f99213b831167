"""The cost of containers: starting and ending a step, and changing weights between two servers.

Needs a Docker Engine at DOCKER_HOST or the usual socket. Callers, router and containers share this
machine's cores over loopback.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.common import Row
from benchmarks.router import load
from deployers.local import LocalDeployer
from deployers.protocol import Desired
from specs.traffic import Arm
from tests.contracts.deployer import PLACE, applied, converge
from tests.contracts.executor import run
from tests.controller.executors.docker_site import DockerSite
from tests.controller.executors.site import make_team
from tests.deployers.test_containers import Place
from tests.engine import make_image

STEPS = 15
"""Steps, and as many `docker run`s, alternating."""
CHANGES = 100
"""Changes of the weight, from 0 to 1 and back."""
CALLERS = 4
SETTLE = 0.1
"""Seconds between two changes."""


def main() -> list[Row]:
    """Measure both; the rows of the table."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    image = make_image(host, python=True)
    with tempfile.TemporaryDirectory(prefix="hgb-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        step, plain = asyncio.run(_steps(root, host, image))
        (root / "serving").mkdir()
        first, seconds, asked, dropped = asyncio.run(_weights(root / "serving", host, image))
    print(f"   {asked:,} requests during {CHANGES} changes of weight, {dropped} dropped (aim: 0)")
    return [
        Row("docker: a step", step, "s", "docker run", plain),
        Row("docker: weight to first request", first, "s", "a change applied", seconds),
    ]


async def _steps(root: Path, host: str, image: str) -> tuple[float, float]:
    """Seconds of a step that does nothing, from start to known end, and of `docker run`."""
    for name in ("team", "site"):
        (root / name).mkdir()
    site = DockerSite(root / "site", (root / "team", make_team(root / "team")), host, image)
    ours, plain = [], []
    command = ["docker", "-H", host, "run", "--rm", "--network", "none", "--init", image, "true"]
    async with site.open() as executor:
        for number in range(STEPS):
            began = time.perf_counter()
            await run(executor, site.attempt("true", name=f"n{number}"))
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            await (await asyncio.create_subprocess_exec(*command)).wait()
            plain.append(time.perf_counter() - began)
    site.tear_down()
    return statistics.median(ours), statistics.median(plain)


async def _weights(root: Path, host: str, image: str) -> tuple[float, float, int, int]:
    """Median seconds from a change to the first request under it and to its being applied, the
    requests meanwhile, and how many of those failed."""
    async with _serving(Place(root, host, image)) as (deployer, desired, port):
        over, log = False, Log(deployer)
        calling = asyncio.create_task(load(port, CALLERS, lambda: over))
        first, took = [], []
        for number in range(CHANGES):
            weight = float(number % 2 == 0)
            began = time.time()
            await applied(deployer, desired.model_copy(update={"canary_weight": weight}))
            took.append(time.time() - began)
            await asyncio.sleep(SETTLE)
            first.append(await log.first(Arm.CANARY if weight else Arm.STABLE, began))
        over = True
        tally = await calling
    return (
        statistics.median(first), statistics.median(took), len(tally.latencies), tally.failed
    )  # fmt: skip


class Log:
    """The router's records, as they come."""

    def __init__(self, deployer: LocalDeployer) -> None:
        self._deployer = deployer
        self._epoch: str | None = None
        self._after = 0

    async def first(self, arm: Arm, began: float) -> float:
        """Seconds from a change at that time to the first request of the arm."""
        while True:
            page = await self._deployer.traffic(PLACE, self._epoch, self._after)
            self._epoch, self._after = page.epoch, page.next
            for exchange in page.exchanges:
                if exchange.at >= began and exchange.arm is arm:
                    return exchange.at - began


@asynccontextmanager
async def _serving(place: Place) -> AsyncIterator[tuple[LocalDeployer, Desired, int]]:
    """Two containers behind a router, and its port."""
    deployer = place.deployer()
    desired = Desired(stable=place.server("v1"), canary=place.server("v2"))
    try:
        seen = await converge(deployer, desired)
        assert seen.address is not None
        yield deployer, desired, int(seen.address.rpartition(":")[2])
    finally:
        await deployer.remove(PLACE)
        await deployer.close()
        await place.engine.close()
