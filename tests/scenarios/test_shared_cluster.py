"""Controllers over one PostgreSQL, one cluster and one artifact store: a lost disk, and a pause."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.store.identity import COPY
from tests.controller.executors.kubernetes_site import IMAGE, prepare_cluster, python_paths
from tests.doubles.kubernetes import Kubernetes, LocalImage
from tests.scenarios.test_kubernetes import on_cluster
from tests.scenarios.test_object_stores import keep_artifacts_in
from tests.scenarios.world import World
from tests.servers.moto import Moto
from tests.servers.postgresql import PASSWORD, SECRETS, Postgresql

pytestmark = [
    pytest.mark.bwrap,
    pytest.mark.postgresql,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("aws", "namespaces"),
]

GATE = """
with Path("TOLD/began").open("a") as began:
    began.write("once\\n")
while not Path("TOLD/go").exists():
    time.sleep(0.05)
"""


class Site:
    """All that controllers share, and a step that goes on only when it is told to."""

    def __init__(self, world: World, cluster: Kubernetes) -> None:
        self.world = world
        self.cluster = cluster
        self.told = world.root / "told"
        self.told.mkdir()
        self.told.chmod(0o777)
        train = world.work / "train.py"
        gate = GATE.replace("TOLD", str(self.told))
        train.write_text(train.read_text().replace("time.sleep(given.wait)\n", gate))

    def began(self) -> int:
        """How often the step has begun."""
        file = self.told / "began"
        return len(file.read_text().splitlines()) if file.exists() else 0

    async def begins(self) -> None:
        """Wait until the step runs."""

        async def look() -> bool:
            return self.began() > 0

        await self.world.until(look, "the step to begin")

    def go(self) -> None:
        """Let the step go on."""
        (self.told / "go").touch()

    def writes(self) -> int:
        """How often controllers made or deleted something in the cluster."""
        count = self.cluster.count.made
        return sum(count(verb, kind) for verb in ("create", "delete") for kind in ("jobs", "pods"))


@pytest.fixture
def site(world: World, moto: Moto, tmp_path: Path) -> Iterator[Site]:
    keep_artifacts_in(world, moto)
    with Kubernetes(tmp_path / "cluster") as cluster:
        prepare_cluster(cluster)
        made = Site(world, cluster)
        python = LocalImage(env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}, paths=python_paths())
        cluster.images.add(IMAGE, python)
        on_cluster(world, cluster.write_kubeconfig(tmp_path / "kubeconfig.json"))
        settings = world.settings.model_dump(mode="json", exclude_unset=True)
        volume = {
            "path": str(made.told),
            "source": {"hostPath": {"path": str(made.told)}},
            "writable": True,
        }
        settings["kubernetes"]["profiles"]["default"]["volumes"] = {"told": volume}
        world.configure(kubernetes=settings["kubernetes"])
        yield made


async def test_a_controller_that_lost_its_home_in_the_middle_of_a_step_goes_on_with_it(
    postgresql_server: Postgresql, site: Site
) -> None:
    world = site.world
    await world.keep_state_in(postgresql_server.setting(postgresql_server.database()), SECRETS)
    world.push("Add the pipeline")
    async with world.controller():
        await site.begins()
    (world.root / "home").rename(world.root / "lost")
    async with world.controller():
        site.go()
        assert (await world.ended(1)).outcome == "passed"
        await world.serves(1)
    assert site.began() == 1, "no Job was doubled"
    homes = (world.root / "lost", world.root / "home")
    assert len({(home / COPY).read_text() for home in homes}) == 1, "it is the same installation"


@contextmanager
def controller(
    world: World, home: str, changes: dict[str, Any]
) -> Iterator[subprocess.Popen[bytes]]:
    """A controller as a process of its own, with a home of its own."""
    settings = world.settings.model_dump(mode="json", exclude_unset=True)
    settings |= {"home": home, "secrets": "secrets.env", "controllers": "several", **changes}
    path = world.root / f"{home}.yaml"
    path.write_text(json.dumps(settings))
    with (world.root / f"{home}.log").open("wb") as log:
        words = [sys.executable, "-m", "controller.cli", "--settings", str(path), "up"]
        process = subprocess.Popen(words, stdout=log, stderr=log, env=dict(os.environ))
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(30)


async def test_a_controller_that_was_paused_while_another_took_over_changes_nothing_in_the_cluster(
    postgresql_server: Postgresql, site: Site
) -> None:
    world = site.world
    await world.keep_state_in(postgresql_server.setting(postgresql_server.database()), SECRETS)
    (world.root / "secrets.env").write_text(f"DB_PASSWORD={PASSWORD}\n")
    (world.root / "secrets.env").chmod(0o600)
    spec = world.work / "ml-pipeline.yaml"
    # Servers of one machine are none of several controllers'.
    spec.write_text(re.sub(r"^release:\n(?:  .*\n)*", "", spec.read_text(), flags=re.MULTILINE))
    world.push("Add the pipeline")

    async def holders() -> set[str]:
        found = await world.store._select(
            "SELECT holder FROM leases WHERE holder != '' AND expires > "
            "extract(epoch FROM clock_timestamp()) GROUP BY holder"
        )
        return {holder for (holder,) in found}

    async def held_by(number: int, others: set[str]) -> set[str]:
        async def look() -> set[str] | None:
            found = await holders() - others
            return found if len(found) == number else None

        return await world.until(look, f"{number} controllers to have leases")

    with controller(world, "first", {}) as first:
        await site.begins()
        (former,) = await held_by(1, set())
        first.send_signal(signal.SIGSTOP)
        with controller(world, "second", {}):
            await held_by(1, {former})

            async def follows() -> bool:
                return any((world.root / "second" / "attempts").glob("*/job.created"))

            await world.until(follows, "the second one to find the Job")
            before = site.writes()
            first.send_signal(signal.SIGCONT)
            await held_by(2, set())  # it has noticed, and has got a share again

            assert site.writes() == before
            site.go()
            assert (await world.ended(1)).outcome == "passed"
    assert site.began() == 1
