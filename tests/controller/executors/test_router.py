"""Processes and containers side by side."""

import asyncio

import pytest

from controller.machine.runs.attempt import AttemptState
from deployers.engine import Engine
from specs.failures import NeedsHuman
from tests.contracts.executor import becomes, ends, gate, printed, run
from tests.controller.executors.docker_site import DockerSite, ToldEngine
from tests.controller.executors.routed_site import RoutedLocalSite, routed


async def test_without_containers_no_engine_is_asked(routed_site: RoutedLocalSite) -> None:
    async with routed_site.open() as executor:
        done = await run(executor, routed_site.attempt("true"))
    assert done.state is AttemptState.SUCCEEDED


async def test_a_container_that_was_cancelled_before_it_was_known_never_starts(
    routed_site: RoutedLocalSite,
) -> None:
    attempt = routed_site.attempt("true", executor="docker", image="sha256:0")
    async with routed_site.open() as executor:
        await executor.cancel(attempt.id)
        await executor.start(attempt)
        assert (await executor.poll(attempt.id)).state is AttemptState.CANCELLED


async def test_an_executor_that_this_version_lacks_is_refused_with_those_it_has(
    routed_site: RoutedLocalSite,
) -> None:
    attempt = routed_site.attempt("true", executor="slurm")
    async with routed_site.open() as executor:
        with pytest.raises(
            NeedsHuman, match=r"no executor slurm; .*one of local, docker, kubernetes"
        ):
            await executor.start(attempt)


@pytest.mark.docker
async def test_processes_and_containers_share_the_slots_and_each_is_found_again(
    docker_site: DockerSite,
) -> None:
    def engine() -> Engine:
        return ToldEngine(docker_site.host, docker_site.folder.parent, docker_site.folder)

    process = docker_site.attempt(gate(docker_site.folder, "a"), name="a", executor="local")
    container = docker_site.attempt("echo in the container", name="b")
    process = process.model_copy(update={"image": None})
    async with routed(docker_site, engine(), slots=1) as executor:
        await executor.start(process)
        await becomes(executor, process, AttemptState.RUNNING)
    async with routed(docker_site, engine(), slots=1) as executor:
        await executor.start(container)
        for _ in range(20):
            assert (await executor.poll(container.id)).state is AttemptState.PREPARING
            await asyncio.sleep(0.01)
        assert set(executor.unfinished()) == {process.id, container.id}
        (docker_site.folder / "a.go").touch()
        assert (await ends(executor, container)).state is AttemptState.SUCCEEDED
        assert (await executor.poll(process.id)).state is AttemptState.SUCCEEDED
        assert await printed(executor, container) == "in the container\n"
