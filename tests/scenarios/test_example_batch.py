"""The example of a batch, as a new user meets it."""

import csv
import time
from pathlib import Path
from typing import Any

from tests.scenarios.shapes import Shape, new_user

PATIENCE = 60.0


def ended(shape: Shape) -> dict[str, Any]:
    """The job of production once it has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        environments = shape.status()["environments"]
        (production,) = (one for one in environments if one["name"] == "production")
        if production["job"] is not None and production["job"]["ended"] is not None:
            return dict(production)
        time.sleep(0.2)
    raise AssertionError("waited in vain for the batch")


def test_a_clone_scores_its_customers_with_the_model_that_production_points_to(
    tmp_path: Path,
) -> None:
    with new_user("batch-scoring", tmp_path) as shape:
        assert len(shape.commands) == 7
        production = ended(shape)
        assert production["job"]["failed"] is None
        assert production["points"]
        assert production["address"] is None
        assert production["stable"]["digest"] == shape.pointer()
        shape.headgate("export", "batch-scoring", "--output", "scores", "--to", "scores.csv")
        with (shape.work / "scores.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    assert len(rows) == 200
    scores = [float(row["p_left"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
