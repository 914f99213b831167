"""A controller whose dataset is judged on Apache Spark."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from controller.artifacts import Artifacts
from tests.scenarios.team import SPEC
from tests.scenarios.world import World
from validators.report import Report

_LONGEST: Final = 600.0
"""Seconds on a busy machine."""
pytestmark = [pytest.mark.spark, pytest.mark.timeout(2 * _LONGEST)]


@pytest.fixture
async def world(tmp_path: Path, spark: Path) -> AsyncIterator[World]:
    """A world whose data is a Delta table of 5,999 rows."""
    made = await World.make(tmp_path, Path(__file__).parent / "tabled")
    made.patience = _LONGEST
    spec = made.work / SPEC
    suite = "expectations: suite.yaml"
    spec.write_text(spec.read_text().replace(suite, f"{suite}, engine: spark"))
    trips = pa.table({"fare": [float(number) for number in range(5999)]})
    write_deltalake(made.bucket / "trips", trips)
    yield made
    await made.tear_down()


async def test_a_table_passes_its_gate_on_spark_and_is_trained_on(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        run = await world.ended(1)
    outputs = run.nodes["gate.data.trips"].outputs
    assert outputs is not None
    artifacts = Artifacts(world.root / "home" / "artifacts")
    report = Report.model_validate_json(await artifacts.read_bytes(outputs["report"]))
    assert run.outcome == "passed", run.nodes
    assert [one.engine for one in report.checks] == ["Great Expectations on Spark"]
