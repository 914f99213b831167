"""Processes and containers side by side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.executors.docker import DockerExecutor
from controller.executors.local import LocalExecutor
from controller.executors.router import ExecutorRouter
from controller.machine.runs.attempt import AttemptState
from deployers.engine import Engine
from deployers.processes import Processes
from tests.contracts.executor import becomes, ends, gate, printed, run
from tests.controller.executors.docker_site import DockerSite
from tests.controller.executors.site import LocalSite


@asynccontextmanager
async def both(site: LocalSite, host: str, slots: int = 2) -> AsyncIterator[ExecutorRouter]:
    """The executor of a controller."""
    shared = asyncio.Semaphore(slots)
    engine = Engine(host, site.folder.parent)
    redact = site.secrets.redact
    with Processes(site.workspace.home) as processes:
        local = LocalExecutor(site.workspace, processes, slots=shared, redact=redact)
        docker = DockerExecutor(site.workspace, engine, slots=shared, redact=redact)
        executor = ExecutorRouter(local, docker)
        try:
            yield executor
        finally:
            await executor.close()
            await engine.close()


async def test_without_containers_no_engine_is_asked(site: LocalSite) -> None:
    async with both(site, "unix:///nowhere.sock") as executor:
        assert (await run(executor, site.attempt("true"))).state is AttemptState.SUCCEEDED


async def test_a_container_that_was_cancelled_before_it_was_known_never_starts(
    site: LocalSite,
) -> None:
    async with both(site, "unix:///nowhere.sock") as executor:
        attempt = site.attempt("true", executor="docker", image="sha256:0")
        await executor.cancel(attempt.id)
        await executor.start(attempt)
        assert (await executor.poll(attempt.id)).state is AttemptState.CANCELLED


@pytest.mark.docker
async def test_processes_and_containers_share_the_slots_and_each_is_found_again(
    docker_site: DockerSite,
) -> None:
    process = docker_site.attempt(gate(docker_site.folder, "a"), name="a", executor="local")
    container = docker_site.attempt("echo in the container", name="b")
    async with both(docker_site, docker_site.host, slots=1) as executor:
        await executor.start(process)
        await becomes(executor, process, AttemptState.RUNNING)
    async with both(docker_site, docker_site.host, slots=1) as executor:
        await executor.start(container)
        for _ in range(20):
            assert (await executor.poll(container.id)).state is AttemptState.PREPARING
            await asyncio.sleep(0.01)
        (docker_site.folder / "a.go").touch()
        assert (await ends(executor, container)).state is AttemptState.SUCCEEDED
        assert (await executor.poll(process.id)).state is AttemptState.SUCCEEDED
        assert await printed(executor, container) == "in the container\n"
