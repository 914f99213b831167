"""The gate as the controller starts it: files in, a report out, real Great Expectations between.

The import costs seconds, so one process serves all tests, whichever worker asks first.
"""

import fcntl
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from validators.report import Check, Report
from validators.verdict import Verdict

MARKER = "SECRET-ROW-7f3a"
GATE = [sys.executable, "-m", "validators.data"]
# One process that answers several requests, through the same entry point.
MANY = """
import sys
from validators.data.__main__ import main
sys.exit(max(main([name + "/request.json", name + "/report.json"]) for name in sys.argv[1:]))
"""

GOOD: dict[str, Any] = {
    "flight_id": list(range(100)),
    "carrier": ["AA", "UA"] * 50,
    "dep_delay": [float(at) for at in range(100)],
    "day": pd.date_range("2013-01-01", periods=100).as_unit("us"),
}
Entry = dict[str, Any]


def _expect(kind: str, severity: str = "critical", **kwargs: Any) -> Entry:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


SUITE = [
    _expect("column_values_to_not_be_null", column="carrier"),
    _expect("column_values_to_be_in_set", column="carrier", value_set=["AA", "UA"]),
    _expect(
        "column_values_to_be_between", "warning", column="dep_delay", min_value=-60, max_value=1440
    ),
    _expect("column_values_to_be_unique", column="flight_id"),
    # A day against a column of times; Great Expectations by itself raises on that.
    _expect("column_values_to_be_between", column="day", min_value="2013-01-01"),
    _expect("column_max_to_be_between", "info", column="day", max_value="2014-01-01"),
    _expect("table_row_count_to_be_between", min_value=100),
    _expect(
        "column_quantile_values_to_be_between",
        column="dep_delay",
        quantile_ranges={"quantiles": [0.5], "value_ranges": [[10, 60]]},
    ),
    # Equal to the first: results have to find their own place.
    _expect("column_values_to_not_be_null", "warning", column="carrier"),
]


def _request(
    folder: Path, months: Mapping[str, Mapping[str, Any]], suite: list[Entry] = SUITE
) -> Path:
    folder.mkdir()
    objects = []
    for key, columns in months.items():
        path = folder / key
        pd.DataFrame(columns).to_parquet(path)
        objects.append({"key": key, "path": str(path)})
    text = json.dumps({"name": "flights", "expectations": suite}, indent=1)
    (folder / "suite.json").write_text(text)
    request = {
        "dataset": "flights",
        "version": "sha256:" + "0f" * 32,
        "objects": objects,
        "suite": {"path": str(folder / "suite.json"), "origin": "expectations/flights.json"},
    }
    (folder / "request.json").write_text(json.dumps(request))
    return folder


def _report(folder: Path) -> Report:
    return Report.model_validate_json((folder / "report.json").read_bytes())


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


POISONED: dict[str, Any] = {
    **GOOD,
    "carrier": [None] * 10 + [MARKER] * 5 + ["AA"] * 85,
    "dep_delay": [-500.0, 9000.0, *GOOD["dep_delay"][2:]],
    "flight_id": [7] * 100,
}
POISON_SUITE = [
    *SUITE,
    _expect("column_max_to_be_between", column="carrier", max_value=5),
    _expect("column_values_to_be_between", column="carrier", max_value=5),
    _expect("column_values_to_match_regex", column="carrier", regex="^[A-Z]{2}$"),
    _expect("column_distinct_values_to_be_in_set", column="carrier", value_set=["AA"]),
    _expect("column_distinct_values_to_equal_set", column="carrier", value_set=["AA"]),
    _expect("column_most_common_value_to_be_in_set", column="carrier", value_set=["UA"]),
    _expect("column_values_to_match_strftime_format", column="carrier", strftime_format="%Y"),
    _expect("column_value_lengths_to_equal", column="carrier", value=2),
    _expect("compound_columns_to_be_unique", column_list=["carrier", "flight_id"]),
    _expect("column_pair_values_to_be_equal", column_A="carrier", column_B="flight_id"),
    _expect("column_values_to_be_of_type", column="carrier", type_="int64"),
]


UA = {"row_condition": "carrier == 'UA' and day > '2013-01-01'", "condition_parser": "pandas"}
CONDITIONS = [
    _expect("column_values_to_not_be_null", column="dep_delay", **UA),
    _expect("table_columns_to_match_set", column_set=["carrier", "day"], exact_match=False),
    _expect("column_values_to_be_unique", column="flight_id", row_condition="carier == 'UA'"),
]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder per scenario, each with the report that the gate wrote."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "data-gate"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "done").exists():
            _make(root)
            (root / "done").touch()
    return root


def _make(root: Path) -> None:
    without = {name: values for name, values in GOOD.items() if name != "carrier"}
    grown = {**GOOD, "tail": ["N1"] * 100}
    broken = [
        _expect("column_values_to_be_inset", column="carrier"),
        _expect("column_values_to_be_between", column="dep_delay", min_vlue=0),
        _expect("column_values_to_match_regex", column="carrier"),
        _expect("column_values_to_be_unique", column="flight_id"),
    ]
    advice = [{**entry, "severity": "warning"} for entry in SUITE]
    made = [
        _request(root / "poisoned", {"2013-04.parquet": POISONED}, POISON_SUITE),
        _request(root / "good", {"2013-01.parquet": GOOD}),
        _request(root / "gone", {"2013-01.parquet": without}),
        _request(root / "drifted", {"2013-01.parquet": GOOD, "2013-02.parquet": without}),
        _request(root / "broken-suite", {"2013-01.parquet": GOOD}, broken),
        _request(root / "grown", {"2013-01.parquet": GOOD, "2013-02.parquet": grown}, CONDITIONS),
        _request(root / "advice", {"2013-04.parquet": POISONED}, advice),
    ]
    _run([sys.executable, "-c", MANY, *map(str, made)])


def _about(report: Report, name: str) -> Check:
    (check,) = [check for check in report.checks if check.name == name]
    return check


def test_a_good_month_passes_every_check(runs: Path) -> None:
    report = _report(runs / "good")
    assert [check.verdict for check in report.checks] == [Verdict.PASS] * len(SUITE)
    assert report.verdict is Verdict.PASS
    assert report.enforces
    assert report.provenance["dataset version"] == "sha256:" + "0f" * 32
    assert report.notes == ("100 rows in 1 object.",)


def test_a_poisoned_month_fails_the_gate_and_names_the_column(runs: Path) -> None:
    report = _report(runs / "poisoned")
    assert report.verdict is Verdict.FAIL
    nulls = _about(report, "carrier: no nulls")
    assert nulls.message == "`carrier`: 10 of 100 values are null (10 %), none allowed"
    assert nulls.where is not None
    text = (runs / "poisoned" / "suite.json").read_text().splitlines()
    assert "{" in text[(nulls.where.line or 0) - 1]
    assert "expect_column_values_to_not_be_null" in text[nulls.where.line or 0]
    assert "5 of 90 values are not in AA, UA" in _about(report, "carrier: only AA, UA").message
    assert _about(report, "flight_id: unique values").observed == "100 (100 %)"


def test_a_warning_never_blocks_and_says_how_far_values_went(runs: Path) -> None:
    check = _about(_report(runs / "poisoned"), "dep_delay: values -60 to 1,440")
    assert (check.verdict, check.blocks) == (Verdict.WARN, False)
    assert check.message.endswith("found -500 to 9,000")


def test_results_find_their_place_even_where_expectations_are_equal(runs: Path) -> None:
    report = _report(runs / "poisoned")
    first, second = (
        _about(report, name) for name in ("carrier: no nulls", "carrier: no nulls (2)")
    )
    assert (first.verdict, second.verdict) == (Verdict.FAIL, Verdict.WARN)
    assert first.where != second.where


def test_an_expectation_that_does_not_suit_the_column_is_an_error(runs: Path) -> None:
    report = _report(runs / "poisoned")
    check = _about(report, "carrier: maximum ≤ 5")
    assert check.verdict is Verdict.ERROR
    assert check.message == (
        "not evaluated: `max_value`: `5` is a number, not text: put it in quotes; "
        "`carrier` holds string"
    )
    assert _about(report, "carrier: values ≤ 5").verdict is Verdict.ERROR


def test_no_value_of_a_row_is_in_the_report(runs: Path) -> None:
    for folder in ("poisoned", "advice"):
        assert MARKER not in (runs / folder / "report.json").read_text()


def test_a_lost_column_fails_what_is_about_it_and_nothing_else(runs: Path) -> None:
    report = _report(runs / "gone")
    about = [check for check in report.checks if check.subject == "carrier"]
    assert {check.message for check in about} == {"column `carrier` is missing from the dataset"}
    assert [check.verdict for check in about] == [Verdict.FAIL, Verdict.FAIL, Verdict.WARN]
    others = [check for check in report.checks if check.subject != "carrier"]
    assert {check.verdict for check in others} == {Verdict.PASS}
    assert any("`carrier` is missing: 3 checks" in note for note in report.notes)


def test_a_column_lost_in_one_object_names_the_object(runs: Path) -> None:
    report = _report(runs / "drifted")
    check = _about(report, "same columns everywhere: carrier")
    assert check.verdict is Verdict.FAIL
    assert "missing in `2013-02.parquet`" in check.message
    assert _about(report, "carrier: no nulls").observed == "100 (50 %)"


def test_a_condition_does_not_make_a_new_column_stop_the_newest_month(runs: Path) -> None:
    new, condition, names, misspelt = _report(runs / "grown").checks
    assert (new.verdict, new.blocks) == (Verdict.WARN, False)
    assert new.subject == "tail"
    assert condition.verdict is names.verdict is Verdict.PASS
    assert condition.n == 100
    assert misspelt.verdict is Verdict.FAIL
    assert misspelt.message == (
        "column `carier`, which its condition names, is missing from the dataset"
    )
    assert "`carrier`" in (misspelt.next_step or "")


def test_a_wrong_entry_of_the_suite_is_an_error_on_its_line_with_the_right_name(
    runs: Path,
) -> None:
    report = _report(runs / "broken-suite")
    unknown, argument, default, good = report.checks
    assert [c.verdict for c in (unknown, argument, default)] == [Verdict.ERROR] * 3
    assert "did you mean `expect_column_values_to_be_in_set`?" in unknown.message
    assert "`min_vlue`, did you mean `min_value`?" in argument.message
    # It would match everything: a check that cannot fail.
    assert "`regex` is missing" in default.message
    lines = [check.where.line or 0 for check in report.checks if check.where]
    assert lines == sorted(set(lines))
    assert good.verdict is Verdict.PASS
    assert not report.verdict.passes


def test_a_suite_of_advice_only_says_that_it_cannot_stop_anything(runs: Path) -> None:
    report = _report(runs / "advice")
    assert report.verdict is Verdict.WARN
    assert not report.enforces


# What follows needs no Great Expectations, and must not wait for its import.


def _quick(folder: Path) -> Report:
    loaded = "import sys\n" + MANY + "assert 'great_expectations' not in sys.modules\n"
    loaded = loaded.replace("sys.exit(max(", "assert not (max(")
    _run([sys.executable, "-c", loaded, str(folder)])
    return _report(folder)


def test_a_suite_without_expectations_is_an_error(tmp_path: Path) -> None:
    report = _quick(_request(tmp_path / "a", {"a.parquet": GOOD}, []))
    assert report.verdict is Verdict.ERROR
    assert "checks nothing" in report.checks[0].message


def test_a_dataset_without_rows_fails_and_says_so(tmp_path: Path) -> None:
    empty = {name: values[:0] for name, values in GOOD.items()}
    report = _quick(_request(tmp_path / "a", {"a.parquet": empty}))
    assert report.verdict is Verdict.FAIL
    assert "no rows" in report.checks[0].message


def test_a_corrupt_object_fails_by_its_name(tmp_path: Path) -> None:
    folder = _request(tmp_path / "a", {"2013-01.parquet": GOOD})
    (folder / "2013-01.parquet").write_bytes(b"PAR1" + MARKER.encode() + b"PAR1")
    report = _quick(folder)
    assert report.verdict is Verdict.FAIL
    assert report.checks[0].subject == "2013-01.parquet"
    assert report.notes == ("1 object; no expectation was evaluated.",)
    assert MARKER not in (folder / "report.json").read_text()


def test_a_request_that_cannot_be_read_is_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"dataset": 3}')
    report = _quick(tmp_path)
    assert report.verdict is Verdict.ERROR
    assert "the request is not valid: dataset" in report.checks[0].message
    (tmp_path / "request.json").unlink()
    _run([*GATE, str(tmp_path / "request.json"), str(tmp_path / "report.json")])
    assert "cannot be read" in _report(tmp_path).checks[0].message


def test_only_a_report_that_cannot_be_written_is_a_failure_of_the_process(tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "report.json"
    command = [*GATE, str(tmp_path / "request.json"), str(nowhere)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"the report cannot be written to {nowhere}: No such file or directory\n"
