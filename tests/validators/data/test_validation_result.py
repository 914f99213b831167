"""What a data gate writes for tools of Great Expectations, read by the installed one."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.validators.data.asking import ROOT
from validators.data.request import DataGateRequest, ObjectFile, SuiteFile
from validators.report import Report
from validators.verdict import Verdict

MARKER = "SECRET-7f3a"
TABLE: dict[str, Any] = {
    "id": [1, 2, 3, 3],
    "carrier": ["AA", "UA", MARKER, None],
    "delay": [1.0, -5.0, 9000.0, None],
    "day": [date(2024, 5, day) for day in (1, 2, 3, 4)],
}


def entry(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


NOBODY = {"row_condition": "carrier == 'XX'", "condition_parser": "pandas"}
QUANTILES = {"quantiles": [0.5], "value_ranges": [[10, 60]]}
SUITE = [
    entry("column_values_to_not_be_null", column="carrier"),
    entry("column_values_to_be_null", column="carrier"),
    {
        **entry("column_values_to_be_between", "warning", column="delay", max_value=1440),
        "meta": {"team": "flights"},
        "description": "No flight is later than a day.",
    },
    entry("column_values_to_be_between", column="day", min_value="2024-05-02"),
    entry("column_values_to_be_in_set", column="carrier", value_set=["AA", "UA"]),
    entry("column_distinct_values_to_be_in_set", column="carrier", value_set=["AA", "UA"]),
    entry("column_distinct_values_to_contain_set", column="carrier", value_set=["AA", "DL"]),
    entry("column_distinct_values_to_equal_set", column="carrier", value_set=["AA", "UA"]),
    entry("column_most_common_value_to_be_in_set", column="carrier", value_set=["DL"]),
    entry("column_values_to_be_unique", column="id"),
    entry("column_values_to_be_increasing", column="id"),
    entry("column_values_to_match_regex", column="carrier", regex="^[A-Z]{2}$"),
    entry("column_value_lengths_to_be_between", column="carrier", max_value=2),
    entry("column_values_to_match_strftime_format", column="carrier", strftime_format="%Y"),
    entry("column_values_to_be_of_type", column="delay", type_="int64"),
    entry("column_mean_to_be_between", column="delay", min_value=0, max_value=60),
    entry("column_median_to_be_between", column="delay", min_value=0, max_value=60),
    entry("column_stdev_to_be_between", column="delay", max_value=60),
    entry("column_max_to_be_between", column="day", max_value="2024-05-02"),
    entry("column_quantile_values_to_be_between", column="delay", quantile_ranges=QUANTILES),
    entry("column_value_z_scores_to_be_less_than", column="delay", threshold=1, double_sided=True),
    entry("column_unique_value_count_to_be_between", column="id", min_value=4),
    entry("column_proportion_of_unique_values_to_be_between", column="id", min_value=1),
    entry("column_pair_values_to_be_equal", column_A="id", column_B="delay"),
    entry("compound_columns_to_be_unique", column_list=["id", "carrier"]),
    entry("multicolumn_sum_to_equal", column_list=["id", "delay"], sum_total=2),
    entry("table_columns_to_match_set", column_set=["id"]),
    entry("table_columns_to_match_ordered_list", column_list=["delay", "id"]),
    entry("table_row_count_to_be_between", min_value=100),
    entry("column_to_exist", column="tail"),
    entry("column_values_to_not_be_null", column="tail"),
    entry("column_values_to_be_between", column="delay", max_value=1, **NOBODY),
    entry("column_values_to_be_between", column="id", max_value="2024-05-01"),
    # Great Expectations itself refuses these.
    entry("column_values_to_be_between", column="delay", max_value="soon"),
    entry("column_values_to_be_between", column="delay", greatest=5),
]


COMPARED = (0, 1, 2, 4, 9, 11, 15, 23, 26, 28)
NAMES = 26
"""The places in the suite of those that Great Expectations counts alike on this table."""


def judged(folder: Path, table: dict[str, Any] = TABLE, suite: Any = SUITE) -> dict[str, Any]:
    """What the gate writes beside its report."""
    pq.write_table(pa.table(table), folder / "data.parquet")
    params = {"suite_parameters": {"most": 9}}
    (folder / "suite.json").write_text(
        json.dumps({"name": "nightly", **params, "expectations": suite})
    )
    request = DataGateRequest(
        dataset="flights",
        version="sha256:9c1e",
        objects=(ObjectFile(key="data.parquet", path=str(folder / "data.parquet")),),
        suite=SuiteFile(path=str(folder / "suite.json"), origin="suite.json"),
    )
    (folder / "request.json").write_text(request.model_dump_json())
    files = [str(folder / name) for name in ("request.json", "report.json", "result.json")]
    gate = (sys.executable, "-P", "-m", "validators.data", *files)
    subprocess.run(gate, check=True, cwd=ROOT, timeout=110)
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    judged(folder)
    return folder


@pytest.fixture(scope="module")
def found(place: Path) -> dict[str, Any]:
    written: dict[str, Any] = json.loads((place / "result.json").read_text())
    return written


@pytest.fixture(scope="module")
def made(place: Path) -> dict[str, Any]:
    """What Great Expectations makes of it."""
    (place / "compared.json").write_text(json.dumps([SUITE[at] for at in COMPARED]))
    reader = (sys.executable, "-m", "tests.validators.data.data_docs", str(place))
    done = subprocess.run(reader, check=True, cwd=ROOT, timeout=110, stdout=subprocess.PIPE)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_great_expectations_reads_it_and_writes_the_same(
    found: dict[str, Any], made: dict[str, Any]
) -> None:
    assert made["again"] == found
    assert (made["asset"], made["severity"]) == ("flights", "critical")


def test_it_counts_like_great_expectations_itself(
    found: dict[str, Any], made: dict[str, Any]
) -> None:
    for at, theirs in zip(COMPARED, made["theirs"], strict=True):
        ours, result = found["results"][at], dict(theirs["result"])
        result.pop("details", None)
        result.pop("partial_unexpected_list", None)  # values
        counted = {key: one for key, one in ours["result"].items() if one != []}
        if at == NAMES:
            assert sorted(counted.pop("observed_value")) == result.pop("observed_value")
        assert counted == pytest.approx(result), SUITE[at]
        assert ours["success"] == theirs["success"]
        assert set(ours) == set(theirs)


def test_an_expectation_has_what_its_author_said_about_it(found: dict[str, Any]) -> None:
    config = found["results"][2]["expectation_config"]
    assert config == {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "delay", "max_value": 1440, "batch_id": "headgate-flights"},
        "meta": {"team": "flights"},
        "severity": "warning",
        "description": "No flight is later than a day.",
    }


def test_the_results_add_up_and_name_what_was_judged(found: dict[str, Any]) -> None:
    statistics = found["statistics"]
    met = sum(one["success"] for one in found["results"])
    assert statistics["evaluated_expectations"] == len(SUITE) - 2
    assert statistics["successful_expectations"] == met > 0
    assert (found["success"], found["suite_name"]) == (False, "nightly")
    assert found["suite_parameters"] == {"most": 9}


def test_it_has_no_value_of_the_data(found: dict[str, Any]) -> None:
    assert MARKER not in json.dumps(found)


def test_what_was_not_evaluated_says_why_where_data_docs_shows_it(found: dict[str, Any]) -> None:
    missing, nothing, misread = found["results"][-3:]
    for one, why in ((missing, "missing"), (nothing, "no row meets"), (misread, "2024-05-01")):
        assert not one["success"]
        assert why in one["exception_info"]["exception_message"]


def test_what_great_expectations_refuses_is_named_apart(found: dict[str, Any]) -> None:
    names = [one["name"] for one in found["meta"]["headgate"]["checks"]]
    assert names == ["delay: values ≤ soon", "suite: expect_column_values_to_be_between"]


def test_data_docs_shows_it(made: dict[str, Any]) -> None:
    assert made["logged"] == []
    text = made["page"]
    assert "Data asset: flights Status: Failed" in text
    assert "1 unexpected values found. ≈33.33% of 4 total rows." in text
    assert "column `tail` is missing from the dataset" in text
    assert "1 distinct value not in the set" in text


def test_what_could_not_be_judged_at_all_is_no_success(tmp_path: Path) -> None:
    empty = judged(tmp_path, {name: values[:0] for name, values in TABLE.items()}, SUITE[:2])
    assert [one["success"] for one in empty["results"]] == [False, False]
    assert "no rows" in empty["results"][0]["exception_info"]["exception_message"]
    assert empty["meta"]["headgate"]["checks"][0]["name"] == "rows"
    broken = judged(tmp_path, suite=[{"kind": "expect_nothing"}])
    assert (broken["success"], broken["results"]) == (False, [])
    assert broken["meta"]["headgate"]["verdict"] == "ERROR"


def test_a_gate_that_passes_is_a_success(tmp_path: Path) -> None:
    passing = judged(tmp_path, suite=[entry("table_row_count_to_equal", value=4)])
    assert passing["success"]
    assert passing["statistics"]["success_percent"] == 100
    report = Report.model_validate_json((tmp_path / "report.json").read_bytes())
    assert report.verdict is Verdict.PASS
