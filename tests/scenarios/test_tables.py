"""Tables as datasets, and data that only watching can find, as the next poll is an hour away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.scenarios.world import World


async def test_a_new_file_is_noticed_without_a_poll(world: World) -> None:
    world.configure(bucket_poll="1h")
    world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)
        (world.bucket / "b.csv").write_text("value\n4\n")  # by its time it may be half of it
        second = await world.ended(2)
    assert second.trigger.kind == "data"


@pytest.fixture
async def tabled(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose data is a Delta table of 7,500 rows."""
    made = await World.make(tmp_path, Path(__file__).parent / "tabled")
    made.configure(bucket_poll="1h")
    trips = pa.table({"fare": [float(number) for number in range(7500)]})
    write_deltalake(made.bucket / "trips", trips.slice(0, 3000))
    write_deltalake(made.bucket / "trips", trips.slice(3000), mode="append")
    yield made
    await made.tear_down()


async def test_rows_that_were_deleted_from_a_table_are_judged_and_read_by_nobody(
    tabled: World,
) -> None:
    tabled.push("Add the pipeline")
    async with tabled.controller():
        first = await tabled.ended(1)
        DeltaTable(tabled.bucket / "trips").delete("fare >= 5999")
        second = await tabled.ended(2)
    assert first.nodes["gate.data.trips"].verdict == "FAIL"
    assert second.nodes["gate.data.trips"].verdict == "PASS"
    assert second.trigger.kind == "data"
    assert second.outcome == "passed", second.nodes["count"]
