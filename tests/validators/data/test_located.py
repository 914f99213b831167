"""A failed check names the objects whose rows fail it, and values only where they may be shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from validators.data.gate import judge
from validators.data.reading.objects import ObjectFile
from validators.data.request import DataGateRequest, SuiteFile
from validators.report import Check

SUITE = """\
name: flights
expectations:
  - {type: expect_column_values_to_be_unique, kwargs: {column: id}}
  - {type: expect_column_values_to_be_in_set, kwargs: {column: carrier, value_set: [AA, UA]}}
  - {type: expect_column_values_to_be_between, kwargs: {column: delay, max_value: 100}}
  - {type: expect_column_values_to_not_be_null, kwargs: {column: delay}}
  - type: expect_column_values_to_not_match_regex
    kwargs: {column: carrier, regex: "^Z", row_condition: "delay > 5", condition_parser: pandas}
"""
MONTHS: dict[str, dict[str, list[Any]]] = {
    "1": {"id": [1, 2, 3], "carrier": ["AA", "UA", "AA"], "delay": [1.0, 2.0, 3.0]},
    "2": {"id": [4, 5, 6], "carrier": ["AA", "ZZ", "ZY"], "delay": [None, 900.0, 3.0]},
    "3": {"id": [7, 8, 1], "carrier": ["ZZ", "ZZ", "AA"], "delay": [5.0, 5.0, 901.0]},
}


@pytest.fixture(params=["parquet", "csv"])
def checks(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, Check]:
    """The checks of three months, by column and limit, with examples of carriers."""
    objects = []
    for month, columns in MONTHS.items():
        key = f"{month}.{request.param}"
        if request.param == "parquet":
            pq.write_table(pa.table(columns), tmp_path / key)
        else:
            rows = zip(*columns.values(), strict=True)
            lines = [",".join("" if one is None else str(one) for one in row) for row in rows]
            (tmp_path / key).write_text("\n".join([",".join(columns), *lines]) + "\n")
        objects.append(ObjectFile(key=key, path=str(tmp_path / key)))
    (tmp_path / "suite.yaml").write_text(SUITE)
    report = judge(
        DataGateRequest(
            dataset="flights",
            version="sha256:0",
            objects=tuple(objects),
            suite=SuiteFile(path=str(tmp_path / "suite.yaml"), origin="suite.yaml"),
            examples=("carrier",),
        )
    )
    return {check.name: check for check in report.checks}


def failing(check: Check) -> list[tuple[str, int, int]]:
    """The objects that it names, without their suffixes."""
    named = check.objects.worst if check.objects else ()
    return [(one.key.partition(".")[0], one.failing, one.rows) for one in named]


def test_the_objects_with_most_failures_come_first(checks: Mapping[str, Check]) -> None:
    assert failing(checks["carrier: only AA, UA"]) == [("2", 2, 3), ("3", 2, 3)]
    assert failing(checks["delay: values ≤ 100"]) == [("2", 1, 2), ("3", 1, 3)]
    assert failing(checks["delay: no nulls"]) == [("2", 1, 3)]
    assert failing(checks["carrier: does not match ^Z where delay > 5"]) == [("2", 1, 1)]


def test_what_is_repeated_across_objects_is_the_fault_of_none(checks: Mapping[str, Check]) -> None:
    unique = checks["id: unique values"]
    assert (unique.observed, failing(unique)) == ("2 (22.22 %)", [])


def test_values_are_shown_of_marked_columns_only(checks: Mapping[str, Check]) -> None:
    shown = checks["carrier: only AA, UA"].examples
    assert shown is not None
    assert (shown.values, shown.hidden) == (("ZZ", "ZY"), 0)
    assert checks["delay: values ≤ 100"].examples is None
