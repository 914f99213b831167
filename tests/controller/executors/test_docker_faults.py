"""What can happen to an engine and a registry while steps go on."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.executors.docker import DockerExecutor
from controller.machine.runs.attempt import Attempt, AttemptState
from deployers.engine import Engine
from specs.failures import TryAgain
from tests.contracts.executor import becomes, run, until
from tests.controller.executors.docker_site import DockerSite
from tests.engine import ask_keeper, make_image
from tests.ports import reserved_port

pytestmark = pytest.mark.docker


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A real registry at a port of its own; its address."""
    with reserved_port() as port:
        pass
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    try:
        serving = subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        pytest.skip("no registry: install docker-registry")
    yield f"127.0.0.1:{port}"
    serving.terminate()
    serving.wait()


async def test_an_image_is_resolved_and_pulled_by_digest(
    docker_site: DockerSite, docker_host: str, registry: str
) -> None:
    base = make_image(docker_host, python=False)
    name = f"{registry}/tools"

    def pushed() -> bool:
        docker_site.docker(lambda client: client.images.get(base).tag(name, "1"))
        said = docker_site.docker(lambda client: str(client.images.push(name, tag="1")))
        return "digest" in said

    deadline = time.monotonic() + 30
    while not pushed():  # the registry may not listen yet
        assert time.monotonic() < deadline
    engine, pinned = Engine(docker_host, docker_site.folder.parent), f"{name}:1"
    try:
        pinned = await engine.resolve(f"{name}:1")
        assert pinned.startswith(f"{name}@sha256:")
        _forget(docker_site, f"{name}:1", pinned)
        assert await engine.resolve(f"{name}:1") == pinned, "the tag is pulled, too"
        _forget(docker_site, f"{name}:1", pinned)
        async with docker_site.open() as executor:
            status = await run(executor, docker_site.attempt("true", image=pinned))
        assert status.state is AttemptState.SUCCEEDED, status.message
        with pytest.raises(Exception, match=r"there is no image .*nothing:1"):
            await engine.resolve(f"{registry}/nothing:1")
    finally:
        await engine.close()
        _forget(docker_site, f"{name}:1", pinned)


async def test_a_container_that_somebody_killed_or_removed_is_lost_not_failed(
    docker_site: DockerSite,
) -> None:
    killed, removed = docker_site.attempt("sleep 600"), docker_site.attempt("sleep 600", name="b")
    async with docker_site.open() as executor:
        for attempt in (killed, removed):
            await executor.start(attempt)
            await becomes(executor, attempt, AttemptState.RUNNING)
        engine = Engine(docker_site.host, docker_site.folder.parent)
        docker_site.docker(lambda client: client.api.kill(engine.container(killed.id)))
        gone = engine.container(removed.id)
        docker_site.docker(lambda client: client.api.remove_container(gone, force=True))
        assert await _end(executor, killed) is AttemptState.LOST
        assert await _end(executor, removed) is AttemptState.LOST


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_a_step_whose_engine_is_restarted_is_lost_and_the_next_try_succeeds(
    tmp_path: Path, team: tuple[Path, str], how: str
) -> None:
    name = f"steps-{how}"
    host = await asyncio.to_thread(ask_keeper, f"up {name}")
    image = await asyncio.to_thread(lambda: make_image(host, python=False))
    site = DockerSite(tmp_path, team, host, image)
    attempt = site.attempt("sleep 600")
    async with site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        await asyncio.to_thread(ask_keeper, f"down {name} {how}")
        await asyncio.to_thread(ask_keeper, f"up {name}")
        assert await _end(executor, attempt) is AttemptState.LOST
        assert (
            await run(executor, site.attempt("true", name="again"))
        ).state is AttemptState.SUCCEEDED
    await asyncio.to_thread(ask_keeper, f"down {name} SIGTERM")


async def test_the_container_of_an_attempt_that_cannot_be_followed_is_removed(
    docker_site: DockerSite,
) -> None:
    from docker.errors import NotFound

    attempt = docker_site.attempt("sleep 600")
    own = docker_site.workspace.folder(attempt.id)
    (own / "log").mkdir(parents=True)  # so that nothing can be written there
    async with docker_site.open() as executor:
        await executor.start(attempt)

        async def recorded() -> bool:
            return (own / "status.json").exists()

        await until(recorded)
        (own / "log").rmdir()
        assert (await executor.poll(attempt.id)).state is AttemptState.FAILED

        async def gone() -> bool:
            try:
                return not docker_site.containers(ended=True)
            except NotFound:  # it went while they were listed
                return False

        await until(gone)


def _forget(site: DockerSite, *references: str) -> None:
    """Remove what the engine knows an image by; with the last tag its digests go by themselves."""
    from docker.errors import ImageNotFound

    for each in references:
        with contextlib.suppress(ImageNotFound):
            site.docker(lambda client, each=each: client.api.remove_image(each))  # type: ignore[misc]  # mypy cannot infer such a lambda


async def _end(executor: DockerExecutor, attempt: Attempt) -> AttemptState:
    """Wait for its end past an engine that is away."""

    async def over() -> bool:
        try:
            return (await executor.poll(attempt.id)).state.ended
        except TryAgain:
            return False

    await until(over)
    return (await executor.poll(attempt.id)).state
