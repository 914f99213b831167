"""The example's data: a clean month passes its suite, a poisoned one does not."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.examples.helpers import FOLDER, JANUARY, MARCH

# In a process of its own, as its import takes seconds and sets warnings and threads going.
VALIDATE = """
import json, sys
from pathlib import Path
import great_expectations as gx, pandas as pd
from great_expectations.core import ExpectationSuite
from ruamel.yaml import YAML

suite = ExpectationSuite(**YAML(typ="safe", pure=True).load(Path(sys.argv[1]).read_text()))
source = gx.get_context(mode="ephemeral").data_sources.add_pandas("files")
whole = source.add_dataframe_asset("month").add_batch_definition_whole_dataframe("whole")
found = []
for month in sys.argv[2:]:
    report = whole.get_batch({"dataframe": pd.read_parquet(month)}).validate(suite)
    found.append([
        [result.expectation_config.kwargs.get("column"), result.expectation_config.severity.value]
        for result in report.results if not result.success
    ])
print(json.dumps(found))
"""


def test_the_suite_passes_a_clean_month_and_fails_a_poisoned_one(
    bucket: ModuleType, tmp_path: Path
) -> None:
    poisoned = tmp_path / "poisoned.parquet"
    bucket.write(bucket.poison(pd.read_parquet(MARCH)), poisoned)
    suite = FOLDER / "expectations" / "flights.yaml"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", VALIDATE, suite, MARCH, poisoned],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    clean, failed = json.loads(done.stdout.splitlines()[-1])
    assert clean == []
    assert {column for column, _ in failed} == {"flight_id", "carrier", "distance"}
    assert {severity for _, severity in failed} == {"critical"}


def test_poison_spoils_what_it_says_and_nothing_else(bucket: ModuleType) -> None:
    clean = pd.read_parquet(MARCH)
    spoiled = bucket.poison(clean)
    assert list(spoiled.columns) == [column for column in clean.columns if column != "carrier"]
    assert spoiled["flight_id"].isna().sum() == len(range(0, len(clean), bucket.NULL_EVERY))
    assert (spoiled["distance"] < 0).sum() == len(range(0, len(clean), bucket.WRONG_EVERY))
    same = [column for column in spoiled.columns if column not in ("flight_id", "distance")]
    pd.testing.assert_frame_equal(spoiled[same], clean[same])
    assert "carrier" in clean.columns, "the month that was given is left as it was"


def test_the_same_rows_give_the_same_bytes(bucket: ModuleType, tmp_path: Path) -> None:
    first, second = tmp_path / "new" / "first.parquet", tmp_path / "second.parquet"
    for path in (first, second):
        bucket.write(pd.read_parquet(MARCH), path)
    assert first.read_bytes() == second.read_bytes()
    assert pq.read_schema(first).metadata is None
    assert [path.name for path in first.parent.iterdir()] == ["first.parquet"], "nothing half done"


@pytest.mark.parametrize("month", [JANUARY, MARCH])
def test_the_sample_is_of_real_flights_with_unique_keys(bucket: ModuleType, month: Path) -> None:
    table = pd.read_parquet(month)
    assert list(table.columns) == bucket.COLUMNS
    assert table["flight_id"].is_unique
    assert table["flight_id"].str.fullmatch(r"\w{2}\d+-2013\d{4}-(EWR|JFK|LGA)-[A-Z]{3}").all()
