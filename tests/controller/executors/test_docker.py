"""What is special about containers; the contract is in `test_contract`."""

import asyncio
import time
from pathlib import Path

import pytest

from controller.machine.runs.attempt import AttemptState
from deployers.engine import BUILT, Engine
from tests.contracts.executor import (
    SECRET,
    becomes,
    ends,
    printed,
    run,
    until,
)
from tests.controller.executors.docker_site import DockerSite

pytestmark = pytest.mark.docker


async def test_a_container_that_is_killed_from_outside_is_lost(docker_site: DockerSite) -> None:
    attempt = docker_site.attempt("sleep 600")
    async with docker_site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        (container,) = docker_site.containers()
        docker_site.docker(lambda client: client.api.kill(container))
        status = await ends(executor, attempt)
    assert (status.state, status.exit_code) == (AttemptState.LOST, 137)


async def test_a_step_that_hides_that_its_child_was_killed_for_memory_is_found_out(
    docker_site: DockerSite,
) -> None:
    grab = "sh -c 'python3 -c \"bytearray(2**30)\"; exit 0'"
    async with docker_site.open() as executor:
        status = await run(executor, docker_site.attempt(grab, memory=64 * 2**20))
    assert (status.state, status.exit_code) == (AttemptState.OUT_OF_MEMORY, 0)
    assert "resources.memory" in status.message


async def test_a_full_disk_fails_the_step_and_its_log_says_so(docker_site: DockerSite) -> None:
    fill = "python3 -c \"open('/dev/shm/full', 'wb').write(bytes(10**8))\""
    async with docker_site.open() as executor:
        status = await run(executor, docker_site.attempt(fill))
    assert status.state is AttemptState.FAILED
    assert "No space left on device" in status.message


async def test_the_next_controller_enforces_what_is_left_of_a_timeout(
    docker_site: DockerSite,
) -> None:
    attempt = docker_site.attempt("sh -c 'echo begun; sleep 600'", timeout=2.0)
    async with docker_site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
    async with docker_site.open() as executor:
        status = await ends(executor, attempt)
        assert status.state is AttemptState.TIMED_OUT
        assert await printed(executor, attempt) == "begun\n"
    assert not docker_site.containers(ended=True)


async def test_a_log_goes_on_where_the_last_controller_left_it(docker_site: DockerSite) -> None:
    go = docker_site.folder / "go"
    wait = f"until [ -e {go} ]; do sleep 0.02; done"
    attempt = docker_site.attempt(f"sh -c 'echo one; echo two; {wait}; echo three'")
    async with docker_site.open() as executor:
        await executor.start(attempt)

        async def told() -> bool:
            return await printed(executor, attempt) == "one\ntwo\n"

        await until(told)  # while it runs
    async with docker_site.open() as executor:
        await becomes(executor, attempt, AttemptState.RUNNING)
        go.touch()
        await ends(executor, attempt)
        assert await printed(executor, attempt) == "one\ntwo\nthree\n"


async def test_it_is_confined(docker_site: DockerSite) -> None:
    command = (
        'sh -c \'id -u; grep -E "CapEff|NoNewPrivs" /proc/self/status; ls /sys/class/net; '
        "touch {inputs.numbers}/x; true'"
    )
    numbers = await docker_site.dataset({"a.csv": "1"})
    attempt = docker_site.attempt(command, inputs={"numbers": numbers})
    async with docker_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        said = await printed(executor, attempt)
    words = said.split()
    assert words[0] != "0"
    assert {"0000000000000000", "1", "lo"} <= set(words)
    assert "eth0" not in words
    assert said.count("Read-only file system") == 1


async def test_its_log_is_kept_without_secrets(docker_site: DockerSite) -> None:
    attempt = docker_site.attempt("sh -c 'echo $KEY'", secrets=("KEY",))
    async with docker_site.open() as executor:
        await run(executor, attempt)
        assert SECRET not in await printed(executor, attempt)
        assert "***" in await printed(executor, attempt)


async def test_an_image_that_was_removed_is_a_clear_failure(docker_site: DockerSite) -> None:
    gone = docker_site.attempt("true", image=f"sha256:{'0' * 64}")
    async with docker_site.open() as executor:
        status = await run(executor, gone)
    assert status.state is AttemptState.FAILED
    assert "no longer on the Docker Engine" in status.message


async def test_an_image_is_built_once_and_a_build_that_fails_says_why(
    docker_site: DockerSite, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {docker_site.image}\nLABEL of={tmp_path.name}\n")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "Dockerfile").write_text(f"FROM {docker_site.image}\nCOPY nothing /\n")
    engine = Engine(docker_site.host, tmp_path)
    digest = tmp_path.name.encode().hex().ljust(64, "0")[:64]
    try:
        first, second = await asyncio.gather(
            engine.build(tmp_path, digest), engine.build(tmp_path, digest)
        )
        assert first == second
        with pytest.raises(Exception, match=r"(?s)fix its Dockerfile.*COPY failed"):
            await engine.build(broken, "f" * 64)
        docker_site.docker(lambda client: client.api.remove_image(first, force=True))
    finally:
        await engine.close()


async def test_what_was_built_goes_when_nothing_used_it_for_long_and_nothing_needs_it(
    docker_site: DockerSite, tmp_path: Path
) -> None:
    def there() -> bool:
        name = f"{BUILT}:{digest}"
        return bool(docker_site.docker(lambda client: client.images.list(name)))

    (tmp_path / "Dockerfile").write_text(f"FROM {docker_site.image}\nLABEL of={tmp_path.name}\n")
    digest = tmp_path.name.encode().hex().ljust(64, "1")[:64]
    engine = Engine(docker_site.host, tmp_path)
    try:
        await engine.build(tmp_path, digest)
        built = time.time()
        await asyncio.sleep(0.01)
        image = await engine.build(tmp_path, digest)
        assert await engine.sweep((), built) == 0, "it was used since"
        assert await engine.sweep({digest}, built + 600) == 0, "it is needed"
        container = docker_site.docker(
            lambda client: client.api.create_container(image, "true")["Id"]
        )
        assert await engine.sweep((), built + 600) == 0, "a container has it"
        await engine.remove(container)
        assert there()
        assert await engine.sweep((), built + 600) == 1
        assert not there()
    finally:
        await engine.close()


async def test_what_nobody_owns_is_reaped(docker_site: DockerSite) -> None:
    engine = Engine(docker_site.host, docker_site.folder.parent)
    labels = engine.labels("step", "stray-1.train.1")
    docker_site.docker(
        lambda client: client.containers.create(
            docker_site.image, ["sleep", "60"], labels=labels, network_mode="none"
        ).start()
    )
    attempt = docker_site.attempt("sleep 600")
    async with docker_site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        assert await executor.reap() == 1
        assert (await executor.poll(attempt.id)).state is AttemptState.RUNNING
    await engine.close()
    assert len(docker_site.containers(ended=True)) == 1


async def test_an_engine_that_is_away_is_no_end(docker_site: DockerSite, tmp_path: Path) -> None:
    away = DockerSite(
        tmp_path, (tmp_path, docker_site.commit), f"unix://{tmp_path}/no.sock", docker_site.image
    )
    async with docker_site.open() as executor:
        attempt = docker_site.attempt("sleep 600")
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
    async with away.open() as executor:

        async def says() -> bool:
            try:
                await executor.poll(attempt.id)
            except Exception as failure:
                return "cannot be reached" in str(failure)
            return False

        await until(says)
    assert docker_site.containers()
