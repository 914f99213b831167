"""Great Expectations on Spark gives the answers of every other judgement, or is not asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.validators.data.asking import ROOT

EXAMPLES = 3
_LONGEST = 1500
"""Seconds on a busy machine."""
pytestmark = [pytest.mark.spark, pytest.mark.timeout(_LONGEST + 60)]


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


def test_every_type_is_answered_alike_or_refused(spark: Path) -> None:
    found = run("tests.validators.data.spark.compared", str(EXAMPLES))
    assert [one for one in found if not one["refused"] and one["ours"] != one["theirs"]] == []
    answered = {one["type"] for one in found if not one["refused"] and not one["raised"]}
    refused = {one["type"] for one in found if one["refused"]} - answered
    assert refused <= {
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_quantile_values_to_be_between",
    }
    assert len(answered) >= 40
    told = {one["ours"][0] for one in found if one["type"] in answered}
    assert told == {True, False}
