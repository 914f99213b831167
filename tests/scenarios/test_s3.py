"""Data in S3 behind a whole controller."""

import pytest

from tests.scenarios.world import World
from tests.servers.faults import Faults
from tests.servers.moto import Moto

pytestmark = pytest.mark.usefixtures("aws")


class Lake:
    """The world's dataset, in a bucket instead of a directory."""

    def __init__(self, world: World, moto: Moto, endpoint: str) -> None:
        self._client = moto.client("s3")
        self.name = moto.bucket()
        world.configure(stores=[{"uri": f"s3://{self.name}", "endpoint": endpoint}])
        spec = world.work / "ml-pipeline.yaml"
        here, there = f"file://{world.bucket}/", f"s3://{self.name}/lake/"
        assert here in spec.read_text()
        spec.write_text(spec.read_text().replace(here, there))
        world.push("Add the pipeline")
        self.put("a.csv", 1, 2, 3)

    def put(self, name: str, *values: float) -> None:
        body = "value\n" + "\n".join(map(str, values)) + "\n"
        self._client.put_object(Bucket=self.name, Key=f"lake/{name}", Body=body.encode())


async def test_new_objects_in_s3_are_noticed_and_trained_on(world: World, moto: Moto) -> None:
    lake = Lake(world, moto, moto.url)
    async with world.controller():
        first = await world.ended(1)
        await world.serves(1)
        lake.put("b.csv", 4, 5, 6)
        run = await world.ended(2)
    assert (run.trigger.kind, run.outcome) == ("data", "passed")
    assert first.datasets != run.datasets


async def test_an_object_that_is_replaced_after_the_run_began_begins_it_anew(
    world: World, moto: Moto, faults: Faults
) -> None:
    lake = Lake(world, moto, faults.url)
    replaced: list[str] = []

    def replace(path: str) -> None:
        if path.endswith("/lake/a.csv") and not replaced:
            replaced.append(path)
            lake.put("a.csv", 7, 8, 9)

    faults.before = replace  # the first time that it is read, which is after it was listed
    async with world.controller():
        stale = await world.ended(1)
        run = await world.ended(2)
    assert replaced
    assert stale.outcome != "passed"
    assert (run.trigger.kind, run.outcome) == ("data", "passed")
    assert run.datasets != stale.datasets


async def test_refused_credentials_are_reported_and_can_be_fixed_without_a_restart(
    world: World, moto: Moto, faults: Faults
) -> None:
    lake = Lake(world, moto, faults.url)
    faults.always = 403, "InvalidAccessKeyId"
    async with world.controller():

        async def waits() -> str | None:
            pipeline = await world.pipeline()
            why = pipeline.waits_for if pipeline else None
            return why if why and "rejected the credentials" in why else None

        why = await world.until(waits, "the pipeline to say that it is refused")
        faults.always = None
        run = await world.ended(1)
    assert f"s3://{lake.name}" in why
    assert run.outcome == "passed"
