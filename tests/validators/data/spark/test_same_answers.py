"""Great Expectations on Spark gives the answers of every other judgement, or is not asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.validators.data.asking import ROOT
from validators.data.answering.columns import BY_NAME
from validators.data.suites.forms import KNOWN

EXAMPLES = 3
_LONGEST = 1500
"""Seconds on a busy machine."""
patient = pytest.mark.timeout(_LONGEST + 60)


DOCS: Final = Path("docs/data-gate.md")
DIFFERING: Final = {
    "nan": "NaN among floats",
    "nan is null": "NaN among floats",
    "nan mean": "NaN among floats",
    "nan max": "NaN among floats",
    "day in set": "days and decimals in a set",
    "decimal in set": "days and decimals in a set",
    "number as text": "as a member among integers",
    "quartiles": "quantiles",
    "end of text": "before a carriage return",
    "other digits": "beyond ASCII",
    "named group": "(?P<name>…)",
    "pair of nulls": "two nulls as a pair",
    "compared with null": "a number compared with null",
    "sum with null": "expect_multicolumn_sum_to_equal` with a null",
    "member twice": "has twice",
    "overflow": "sums beyond 64 bits",
    "type": "names of types",
    "dates": "expect_column_values_to_be_dateutil_parseable",
}
"""What Great Expectations answers otherwise on Spark than on pandas, by the row that tells it."""

LIKE = {
    f"expect_column_values_to_{match}_like_pattern{many}"
    for match in ("match", "not_match")
    for many in ("", "_list")
}
"""SQL's patterns, which Great Expectations has neither on pandas nor on Spark."""


def run(*command: str) -> Any:
    """What a program of this folder prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.spark
@patient
def test_every_type_is_answered_alike_or_refused(spark: Path) -> None:
    found = run("tests.validators.data.spark.compared", str(EXAMPLES))
    assert [one for one in found if not one["refused"] and one["ours"] != one["theirs"]] == []
    answered = {one["type"] for one in found if not one["refused"] and not one["raised"]}
    looks_at_rows = {one for one in KNOWN if not one.startswith(BY_NAME) and "_type" not in one}
    assert looks_at_rows - answered == {
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_quantile_values_to_be_between",
        *LIKE,
    }
    told = {one["ours"][0] for one in found if one["type"] in answered}
    assert told == {True, False}


@pytest.mark.spark
@patient
def test_what_great_expectations_answers_otherwise_on_spark_is_told(spark: Path) -> None:
    found = run("tests.validators.data.spark.differing")
    differing = {name for name, (on_pandas, on_spark) in found.items() if on_pandas != on_spark}
    assert differing == set(DIFFERING)


def test_the_page_has_a_row_for_each_of_them() -> None:
    rows = [row for row in DOCS.read_text().splitlines() if row.startswith("| ")]
    untold = [told for told in DIFFERING.values() if not any(told in row for row in rows)]
    assert untold == []
