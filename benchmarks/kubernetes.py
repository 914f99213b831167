"""A thousand steps on a cluster at once: API calls a second, and watches.

The cluster is the double of the tests, in this process, where pods are played: what is measured is
how often the executor calls the API server, and not how fast that is.
"""

import asyncio
import json
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.common import Row
from controller.executors.kubernetes.executor import KubernetesExecutor
from controller.machine.runs.attempt import Attempt, AttemptState
from tests.controller.executors.kubernetes_site import KubernetesSite, prepare_cluster
from tests.controller.executors.site import make_team
from tests.doubles.kubernetes import Kubernetes, Play
from tests.servers.moto import KEY, Moto

STEPS = 1000
LASTS = 7200.0
"""Seconds of the cluster for which each pod runs."""
FLIGHT = 15.0
"""Seconds for which they are watched in flight."""
SAMPLE = 1.0
"""Seconds over which calls are counted."""
MOST_CALLS = 100.0
"""API calls a second that may not be exceeded."""


def main(steps: int = STEPS) -> list[Row]:
    """Measure; the rows of the table."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ.update(KEY)
    server = Moto()
    try:
        with tempfile.TemporaryDirectory(prefix="hgb-") as folder:
            root = Path(folder)
            (root / "team").mkdir()
            commit = make_team(root / "team")
            with Kubernetes(root / "cluster", nodes=4) as cluster:
                prepare_cluster(cluster)
                cluster.plays.add(Play(runs=LASTS, message=json.dumps({"outputs": {}})))
                uri = f"s3://{server.bucket()}/artifacts"
                kubeconfig = cluster.write_kubeconfig(root / "kubeconfig.json")
                team = (root / "team", commit)
                site = KubernetesSite(root, team, kubeconfig, server.url, uri, cluster)
                return asyncio.run(_measured(site, steps))
    finally:
        server.close()


async def _measured(site: KubernetesSite, steps: int) -> list[Row]:
    site.more = {"slots": steps}
    attempts = [site.attempt("true", name=f"s{n}", timeout=2 * LASTS) for n in range(steps)]
    rates: dict[str, float] = {}
    async with site.open(slots=steps) as executor:

        async def start() -> None:
            for attempt in attempts:
                await executor.start(attempt)
            await _until(executor, attempts, AttemptState.ENDING)

        async def fly() -> None:
            await asyncio.sleep(FLIGHT)

        async def end() -> None:
            site.cluster.clock.advance(LASTS + 1)
            await _until(executor, attempts, AttemptState.SUCCEEDED)

        for name, phase in (("started", start), ("in flight", fly), ("ended", end)):
            before, began = site.cluster.count.made(), time.monotonic()
            rates[name] = await _busiest(site, phase)
            calls, took = site.cluster.count.made() - before, time.monotonic() - began
            watches = site.cluster.count.watches()
            print(
                f"   {steps:,} steps {name}: {calls:,} calls in {took:.0f} s, at most "
                f"{rates[name]:.0f} a second; {watches} watch(es)",
                flush=True,
            )
            assert watches == 1, site.cluster.count.by_call()
    print(f"   {site.cluster.count.by_call()}")
    return [
        Row(f"kubernetes: calls, {steps} steps {name}", rate, "/s", "the most", MOST_CALLS, "<= 1")
        for name, rate in rates.items()
    ]


async def _until(
    executor: KubernetesExecutor, attempts: list[Attempt], state: AttemptState
) -> None:
    left = {attempt.id for attempt in attempts}
    while left:
        for name in list(left):
            status = await executor.poll(name)
            assert not status.state.ended or status.state is state, status
            if status.state is state:
                left.discard(name)
        await asyncio.sleep(0.2)


async def _busiest(site: KubernetesSite, phase: Callable[[], Awaitable[None]]) -> float:
    """Do it; the calls of its busiest second."""
    most = 0.0
    doing = asyncio.ensure_future(phase())
    while not doing.done():
        before, began = site.cluster.count.made(), time.monotonic()
        await asyncio.wait([doing], timeout=SAMPLE)
        took = time.monotonic() - began
        if took >= SAMPLE:
            most = max(most, (site.cluster.count.made() - before) / took)
    await doing
    return most
