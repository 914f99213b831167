"""Object stores behind a controller: moto's S3 server and its queues."""

from pathlib import Path

import pytest

from controller.machine.core import Key, parsed
from controller.machine.pipelines import data
from controller.machine.stall import Stall
from controller.reconcile.outbox import RuntimePolicy
from tests.scenarios.world import World
from tests.servers.moto import Moto

pytestmark = pytest.mark.usefixtures("aws")


def keep_artifacts_in(world: World, moto: Moto) -> str:
    """Set it in the settings; the bucket."""
    bucket = moto.bucket()
    world.configure(
        artifacts=f"s3://{bucket}/team/artifacts",
        stores=[{"uri": f"s3://{bucket}", "endpoint": moto.url}],
    )
    return bucket


def lose_the_cache(world: World) -> None:
    """All of this machine that artifacts were copied to."""
    for name in ("artifacts", "models"):
        (world.root / "home" / name).rename(world.root / f"lost-{name}")


async def test_a_model_in_the_store_is_reused_and_served_though_its_copies_here_are_lost(
    world: World, moto: Moto
) -> None:
    keep_artifacts_in(world, moto)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic() as statuses:
            lose_the_cache(world)
            world.push("Answer more", serve__py=('{"ok": True}', '{"ok": True, "more": 1}'))
            run = await world.ended(2)
            env = await world.serves(2)
    assert run.nodes["train"].phase == "cached", "the model did not need to be trained again"
    assert env.stable is not None
    assert set(statuses) == {200}
    [model] = (world.root / "home" / "models").glob("*/model.json")
    assert model.is_file(), "it was brought back to be served"


async def test_a_step_that_ends_while_the_store_is_down_waits_and_has_not_failed(
    world: World, own_moto: Moto
) -> None:
    keep_artifacts_in(world, own_moto)
    world.push("Add the pipeline")
    own_moto.stop()
    async with world.controller(RuntimePolicy(bears=0.0)):

        async def stalled() -> Stall | None:
            record = await world.store.get(Key("stall", "run/mean-1"))
            return parsed(Stall, record.body) if record else None

        stall = await world.until(stalled, "somebody to be told that the store is down")
        own_moto.start()
        run = await world.ended(1)
        await world.serves(1)
    assert stall.reason.startswith("the store of `artifacts` is unreachable: s3://")
    assert "cannot be reached" in stall.reason
    assert run.outcome == "passed"
    assert len(run.nodes["train"].attempts) == 1


async def test_a_damaged_model_in_the_store_is_made_again_and_never_served(
    world: World, moto: Moto
) -> None:
    bucket = keep_artifacts_in(world, moto)
    world.push("Add the pipeline")
    async with world.controller():
        first = await world.ended(1)
        await world.serves(1)
        model = (first.nodes["train"].outputs or {})["model"].removeprefix("sha256:")
        lose_the_cache(world)
        key = f"team/artifacts/files/{model[:2]}/{model[2:]}"
        moto.client("s3").put_object(Bucket=bucket, Key=key, Body=b'{"mean": 1e9}')
        world.push("Answer more", serve__py=('{"ok": True}', '{"ok": True, "more": 1}'))
        run = await world.ended(2)
        await world.serves(2, "staging")
    assert run.nodes["train"].phase == "succeeded", "it was trained again"
    assert (run.nodes["train"].outputs or {})["model"] == f"sha256:{model}"
    again = moto.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert again == served(world)


def served(world: World) -> bytes:
    """The model that lies ready for the server."""
    [model] = (world.root / "home" / "models").glob("*/model.json")
    return Path(model).read_bytes()


# -- notifications -------------------------------------------------------------------------------


def put(moto: Moto, bucket: str, name: str, *values: float) -> None:
    """Put an object with a column of values below `numbers/`."""
    content = "value\n" + "\n".join(map(str, values)) + "\n"
    moto.client("s3").put_object(Bucket=bucket, Key=f"numbers/{name}", Body=content.encode())


async def test_a_message_at_the_queue_starts_a_run_that_polling_would_start_in_an_hour(
    world: World, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "LISTING_INTERVAL", 3600.0)
    bucket = moto.bucket()
    put(moto, bucket, "a.csv", 1, 2, 3)
    queue = moto.queue(bucket)
    world.configure(
        bucket_poll="1h", stores=[{"uri": f"s3://{bucket}", "endpoint": moto.url, "events": queue}]
    )
    world.push(
        "Read from S3", ml_pipeline__yaml=(f"file://{world.bucket}", f"s3://{bucket}/numbers")
    )
    async with world.controller():
        await world.serves(1)
        put(moto, bucket, "b.csv", 4, 5, 6)
        run = await world.ended(2)
    assert run.trigger.kind == "data"
    assert run.outcome == "passed"
