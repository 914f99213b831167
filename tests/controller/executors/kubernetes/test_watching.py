"""The watch over pods and the list of Jobs, as they go on."""

import asyncio
from typing import Any

import pytest

from controller.executors.kubernetes.watching import JobLister, PodWatch
from deployers.kubernetes.cluster import Cluster, ClusterAccess


class OddOnce(Cluster):
    """A client whose first list ends with what nobody foresaw."""

    odd = True

    async def list(self, kind: str, **query: str) -> tuple[list[Any], str]:  # noqa: ARG002
        if self.odd:
            self.odd = False
            raise RuntimeError("odd")
        return [], "1"


async def test_what_nobody_foresaw_ends_neither_the_watch_nor_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.executors.kubernetes.watching.LONGEST", 0.0)
    for made in ("watch", "jobs"):
        cluster = OddOnce(ClusterAccess(namespace="steps"))
        watch = PodWatch(cluster, "", lambda _, __: None, lambda _: None)
        jobs = JobLister(cluster, "", {"jobs"})
        running = asyncio.create_task(watch.run() if made == "watch" else jobs.run())
        await (watch.first.wait() if made == "watch" else jobs.after(0.0))
        assert not cluster.odd
        assert not running.done()
        running.cancel()
