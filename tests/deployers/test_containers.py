"""Model servers as containers of a real Docker Engine, through the deployer of this machine."""

import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from deployers.engine import Engine
from deployers.local import LocalDeployer
from deployers.protocol import Deployed, Desired, Server
from tests.contracts.deployer import PLACE, address, applied, converge, in_a_team
from tests.contracts.test_deployers import local_server
from tests.deployers import model_server_path
from tests.deployers.caller import ask, flood
from tests.deployers.world import eventually

if TYPE_CHECKING:
    from docker import DockerClient

T = TypeVar("T")
pytestmark = pytest.mark.docker


class Place:
    """A home with an engine, and servers for it."""

    def __init__(self, root: Path, host: str, image: str) -> None:
        self.root, self.host, self.image = root, host, image
        self.engine = Engine(host, root / "home")
        root.chmod(0o755)  # for the user of the container, too
        shutil.copy(model_server_path(), root / "model_server.py")

    def deployer(self) -> LocalDeployer:
        return LocalDeployer(self.root / "home", redact=str, engine=self.engine)

    def server(self, name: str, **said: object) -> Server:
        model = self.root / f"{name}.json"
        model.write_text(json.dumps({"name": name, **said}))
        return Server(
            name=name,
            run="python model_server.py {model} {port} {host}",
            model=str(model),
            folder=str(self.root),
            image=self.image,
            ready="/healthz",
            predict="/predict",
            environment={"TOKEN": "hush-hush"},
        )

    def ask(self, work: Callable[["DockerClient"], T]) -> T:
        """Ask the engine past the deployer."""
        from docker import DockerClient

        client = DockerClient(base_url=self.host)
        try:
            return work(client)
        finally:
            client.close()

    def containers(self) -> list[str]:
        label = f"dev.headgate.home={self.engine.home}"
        return self.ask(
            lambda client: [
                str(each.id) for each in client.containers.list(all=True, filters={"label": label})
            ]
        )

    def networks(self) -> list[str]:
        home = self.engine.home
        return self.ask(
            lambda client: [
                str(each.name) for each in client.networks.list() if home in str(each.name)
            ]
        )


@pytest.fixture
async def place(tmp_path: Path, docker_host: str, python_image: str) -> AsyncIterator[Place]:
    place = Place(tmp_path, docker_host, python_image)
    yield place
    deployer = place.deployer()
    await deployer.remove(PLACE)
    await deployer.close()
    await place.engine.close()


async def test_a_container_serves_beside_a_process_and_weights_change_without_a_lost_request(
    place: Place,
) -> None:
    deployer = place.deployer()
    process, container = local_server(place.root, "v1"), place.server("v2")
    seen = await converge(deployer, Desired(stable=process, canary=container, canary_weight=0.5))
    assert len(place.containers()) == 1
    told = [answer.json()["model"] for answer in await flood(address(seen), 60, 4)]
    assert set(told) == {"v1", "v2"}
    for weight in (0.1, 0.9, 0.3, 1.0):
        await applied(deployer, Desired(stable=process, canary=container, canary_weight=weight))
        assert {answer.status for answer in await flood(address(seen), 20, 4)} == {200}
    await converge(deployer, Desired(stable=container))
    assert {a.json()["model"] for a in await flood(address(seen), 20, 4)} == {"v2"}
    await deployer.close()


async def test_a_container_in_a_folder_of_its_repository_finds_the_rest_by_its_root(
    place: Place,
) -> None:
    deployer = place.deployer()
    seen = await converge(deployer, Desired(stable=in_a_team(place.server("v1"))))
    assert (await ask(address(seen))).json()["model"] == "v1"
    await deployer.close()


async def test_a_container_is_confined_and_reached_from_this_machine_only(place: Place) -> None:
    deployer = place.deployer()
    await converge(deployer, Desired(stable=place.server("v1")))
    [name] = place.containers()
    about = place.ask(lambda client: client.containers.get(name).attrs)
    host = about["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"]
    assert not about["Config"]["User"].startswith("0:")
    assert {mount["RW"] for mount in about["Mounts"]} == {False}
    [published] = (each for each in about["NetworkSettings"]["Ports"].values() if each)
    assert {each["HostIp"] for each in published} == {"127.0.0.1"}
    await deployer.close()


async def test_a_killed_container_is_started_again_and_that_is_told(place: Place) -> None:
    deployer = place.deployer()
    desired = Desired(stable=place.server("v1"))
    await converge(deployer, desired)
    [name] = place.containers()
    place.ask(lambda client: client.containers.get(name).kill())

    async def noticed() -> bool:
        status = (await deployer.observe(PLACE)).server("v1")
        return status is not None and not status.alive

    await eventually(noticed)
    again = (await converge(deployer, desired)).server("v1")
    assert again is not None
    assert again.detail == "restarted once"
    assert place.containers() != [name]
    await deployer.close()


@pytest.mark.parametrize("freeze", ["SIGSTOP", "pause"])
async def test_a_frozen_container_is_taken_away_and_started_again(
    place: Place, freeze: str
) -> None:
    deployer = place.deployer()
    server = place.server("v1").model_copy(update={"hung_after": 0.5})
    await converge(deployer, Desired(stable=server))
    [name] = place.containers()

    def stop(client: "DockerClient") -> None:
        container = client.containers.get(name)
        if freeze == "pause":
            container.pause()
            return
        table = container.top()
        for row in table["Processes"]:  # each: the first is Docker's init, which only waits
            os.kill(int(row[table["Titles"].index("PID")]), signal.SIGSTOP)

    place.ask(stop)
    for _ in range(3):
        status = (await deployer.observe(PLACE)).server("v1")
    assert status is not None
    assert status.hung
    again = (await converge(deployer, Desired(stable=server), 60)).server("v1")
    assert again is not None
    assert again.detail == "restarted once"
    assert name not in place.containers()
    await deployer.close()


async def test_what_a_container_said_before_it_died_is_told(place: Place) -> None:
    deployer = place.deployer()
    await applied(deployer, Desired(stable=place.server("v1", dies=3)))

    async def ended() -> str:
        status = (await deployer.observe(PLACE)).server("v1")
        return status.detail if status and not status.alive and "exit code" in status.detail else ""

    detail = await eventually(ended)
    assert "exit code 3" in detail
    assert "cannot load the model" in detail
    await deployer.close()


async def test_an_image_that_is_not_there_is_told(place: Place) -> None:
    deployer = place.deployer()
    gone = place.server("v1").model_copy(update={"image": f"sha256:{'0' * 64}"})
    await applied(deployer, Desired(stable=gone))

    async def ended() -> str:
        status = (await deployer.observe(PLACE)).server("v1")
        return status.detail if status and "exit code" in status.detail else ""

    assert "No such image" in await eventually(ended)
    await deployer.close()


async def test_the_next_deployer_adopts_it_and_removing_leaves_nothing(place: Place) -> None:
    first = place.deployer()
    desired = Desired(stable=place.server("v1"), canary=place.server("v2"), canary_weight=0.3)
    seen = await converge(first, desired)
    there = sorted(place.containers())
    await first.close()
    second = place.deployer()
    assert await converge(second, desired) == seen
    assert sorted(place.containers()) == there
    assert await second.reap() == 0
    await second.remove(PLACE)
    assert await second.observe(PLACE) == Deployed()
    assert place.containers() == []
    assert place.networks() == []
    await second.close()
