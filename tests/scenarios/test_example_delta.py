"""A Delta table and a model that MLflow serves, as a new user meets them.

The heaviest of the examples: four processes import MLflow, two at a time, and its environment has
630 MB. It took 153 s where thirteen processes wanted two processors.
"""

from pathlib import Path

import pytest

from tests.scenarios.shapes import new_user

TRIPS = {"dataframe_split": {"columns": ["hour", "distance"], "data": [[8, 12.5], [3, 1.0]]}}


@pytest.mark.timeout(400)
def test_a_delta_table_comes_from_a_clone_into_production(tmp_path: Path) -> None:
    with new_user("delta-mlflow", tmp_path, patience=300.0) as shape:
        assert len(shape.commands) == 7
        (late, early) = shape.ask(TRIPS, "/invocations")["predictions"]
        assert late[1] > 0.5 > early[1]
