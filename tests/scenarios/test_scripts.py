"""Releases to a cloud that only the team's scripts know, judged by what it counts."""

import sys

import pytest

from deployers.chosen_target import chosen
from deployers.counting import reader, series
from deployers.place_folder import free_port
from tests.deployers.cloud import SCRIPT, Cloud, FrontedCloud
from tests.scenarios.test_down import typed
from tests.scenarios.world import World
from tests.servers.gateways import Envoy, Traefik
from tests.servers.prometheus import Prometheus

KEPT = ("state.db", "artifacts")
"""What a controller on a cluster has elsewhere: in PostgreSQL and in an object store."""


def push_to_cloud(world: World, port: int) -> None:
    """A pipeline whose production is a cloud."""
    (world.work / "deploy.py").write_text(SCRIPT)
    run = f"{sys.executable} -I -S deploy.py {port}"
    commands = ", ".join(f"{name}: {run} {name}" for name in ("apply", "observe", "traffic"))
    scripts = f"  command: {{{commands}, remove: {run} remove}}\n"
    named = f"{scripts}  production:\n    deployer: command\n"
    world.push("Add the pipeline", ml_pipeline__yaml=("  production:\n", named))


def lose_the_disk(world: World) -> None:
    """What a pod loses that is replaced."""
    (world.root / "lost").mkdir()
    for each in (world.root / "home").iterdir():
        if not each.name.startswith(KEPT):
            each.rename(world.root / "lost" / each.name)


async def rolled_back_by_counts(world: World) -> None:
    """A bad canary comes and goes, and v1 serves on."""
    async with world.traffic() as statuses:
        world.push("Be faster", serve__py=("FAULTY = 0", "FAULTY = 3"))

        async def rolled_back() -> bool:
            env = await world.environment("production")
            return bool(env and env.quarantine and env.rollout is None)

        await world.until(rolled_back, "the rollback")
        before = len(statuses)

        async def goes_on() -> bool:
            return len(statuses) > before + 20

        await world.until(goes_on, "traffic after the rollback")
    env = await world.serves(1)
    assert [q.version for q in env.quarantine] == [2]
    assert "It is from counts in " in env.quarantine[0].reason
    assert 500 in statuses


async def test_a_bad_canary_in_a_cloud_is_rolled_back_by_the_counts_that_its_scripts_print(
    world: World,
) -> None:
    port, cloud = free_port(), Cloud(world.root / "cloud", counts=True)
    async with cloud.serving(port):
        push_to_cloud(world, port)
        async with world.controller():
            await world.serves(1)
            assert chosen(world.root / "home" / "serving", "mean/production") == "command"
            assert chosen(world.root / "home" / "serving", "mean/staging") == "local"
            await rolled_back_by_counts(world)
        await cloud.remove("mean/production")


async def test_a_controller_that_lost_its_disk_finds_the_scripts_in_the_versions_of_its_state(
    world: World,
) -> None:
    port, cloud = free_port(), Cloud(world.root / "cloud", counts=True)
    async with cloud.serving(port):
        push_to_cloud(world, port)
        async with world.controller():
            await world.serves(1)
        await world.stop_local_servers()
        lose_the_disk(world)
        refused = await typed(world, "down")
        assert refused.exit_code == 1
        assert "mean/production was deployed by scripts that" in refused.output
        cloud.calls.clear()
        async with world.controller():
            await world.address()
            assert set(cloud.calls) == {"observe"}, "what runs there is found, not deployed again"
            await rolled_back_by_counts(world)
        assert (await typed(world, "down")).exit_code == 0
        await cloud.remove("mean/production")


@pytest.mark.prometheus
@pytest.mark.gateway
async def test_a_bad_canary_behind_a_gateway_is_rolled_back_by_its_counters(
    world: World,
    prometheus: Prometheus,
    gateways: tuple[Envoy, Traefik],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series, "SETTLED", 0.2)
    monkeypatch.setattr(reader, "LAG", 0.5)
    envoy, _ = gateways
    envoy.run()
    prometheus.run(envoy.metrics_port, path=envoy.metrics_path, interval="500ms")
    port, cloud = free_port(), FrontedCloud(world.root / "cloud", envoy)
    (world.work / "deploy.py").write_text(SCRIPT)
    run = f"{sys.executable} -I -S deploy.py {port}"
    commands = ", ".join(f"{name}: {run} {name}" for name in ("apply", "observe", "remove"))
    counted = f"  command: {{{commands}, prometheus: {{preset: envoy}}}}\n"
    named = f"{counted}  production:\n    deployer: command\n"
    world.configure(prometheus={"default": {"url": prometheus.url}})
    async with cloud.serving(port):
        world.push("Add the pipeline", ml_pipeline__yaml=("  production:\n", named))
        async with world.controller():
            await world.serves(1)
            await rolled_back_by_counts(world)
        await cloud.remove("mean/production")
