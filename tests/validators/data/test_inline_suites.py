"""The gate reads a suite out of a spec, and annotates the spec's lines."""

from pathlib import Path

from tests.validators.data.asking import ask
from validators.verdict import Verdict

SPEC = """\
metadata: {name: mean}
datasets:
  flights:
    uri: data/*.parquet
    expectations:
      - type: expect_column_values_to_be_unique
        kwargs: {column: id}
      - {type: expect_column_values_to_be_between, kwargs: {column: x, max_value: 1}}
"""
AT = ("datasets", "flights", "expectations")


def test_each_check_is_at_its_line_of_the_spec(tmp_path: Path) -> None:
    table = {"id": [1, 2], "x": [0.5, 3.0]}
    report = ask(tmp_path, table, SPEC, "ml-pipeline.yaml", at=AT)
    unique, between = report.checks
    assert (unique.verdict, between.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert between.where is not None
    assert (between.where.file, between.where.line) == ("ml-pipeline.yaml", 8)


def test_a_spec_without_a_suite_there_is_an_error(tmp_path: Path) -> None:
    report = ask(tmp_path, {"id": [1]}, SPEC, "ml-pipeline.yaml", at=("datasets", "x"))
    assert report.verdict is Verdict.ERROR
    assert "no suite" in report.checks[0].message
