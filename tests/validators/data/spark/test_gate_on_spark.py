"""A dataset with `engine: spark` is judged by a process of its own, or is told what is missing."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tests.validators.data.asking import ROOT, ask
from validators.report import GREAT_EXPECTATIONS_ON_SPARK, HEADGATE, Report
from validators.verdict import Verdict

SUITE: Final = """\
name: people
expectations:
  - {type: expect_column_values_to_not_be_null, kwargs: {column: age, mostly: 0.5}}
  - {type: expect_column_values_to_be_between, kwargs: {column: age, min_value: 0}}
  - {type: expect_column_values_to_match_regex, kwargs: {column: mail, regex: "@"}}
  - {type: expect_column_values_to_be_increasing, kwargs: {column: age}}
  - {type: expect_column_to_exist, kwargs: {column: mail}}
  - {type: expect_column_max_to_be_between, kwargs: {column: aeg, max_value: 1}}
"""
PEOPLE: Final = {"age": [1.0, float("nan"), -3.0], "mail": ["ada@x", "grace at y", "joan@z"]}
_LONGEST: Final = 600
"""Seconds on a busy machine."""


def asked(folder: Path) -> Report:
    return ask(folder, PEOPLE, SUITE, engine="spark", patience=_LONGEST)


@pytest.mark.spark
@pytest.mark.timeout(_LONGEST + 60)
def test_great_expectations_on_spark_judges_each_expectation(tmp_path: Path, spark: Path) -> None:
    report = asked(tmp_path)
    nulls, between, mails, order, exists, misspelt = report.checks
    assert [one.verdict for one in report.checks] == [
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.FAIL,
        Verdict.ERROR,
        Verdict.PASS,
        Verdict.FAIL,
    ]
    assert {one.engine for one in (nulls, between, mails)} == {GREAT_EXPECTATIONS_ON_SPARK}
    assert exists.engine == HEADGATE
    assert "1 of 3 values" in nulls.message  # NaN is null
    assert "1 of 2 values" in between.message
    assert "rows have no order on Spark" in order.message
    assert misspelt.next_step is not None
    assert "`age`" in misspelt.next_step
    assert "grace at y" not in report.model_dump_json()
    assert f"{GREAT_EXPECTATIONS_ON_SPARK} evaluated 3 of 5 expectations" in " ".join(report.notes)


@pytest.mark.spark
def test_without_java_the_report_says_what_to_install(
    tmp_path: Path, spark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    report = asked(tmp_path)
    assert report.verdict is Verdict.ERROR
    assert "where there is no bin/java" in report.checks[-1].message
    assert "Java 17" in report.checks[-1].message


@pytest.mark.spark
def test_a_server_of_spark_connect_is_refused(
    tmp_path: Path, spark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://localhost")
    report = asked(tmp_path)
    assert report.verdict is Verdict.ERROR
    assert "spark-defaults.conf" in report.checks[-1].message


def test_without_the_extra_the_report_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # without the folder of `make test-spark`
    found = find_spec("pyspark")
    if found and found.origin and "site-packages" in found.origin:
        pytest.skip("pyspark is installed here")
    report = asked(tmp_path)
    assert report.verdict is Verdict.ERROR
    assert "install Headgate with its extra `spark`" in report.checks[-1].message
