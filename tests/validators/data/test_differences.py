"""How the objects of a dataset differ in their columns is told by name, and briefly."""

from pathlib import Path
from typing import Any

import pytest

from tests.validators.data.reading import read
from validators.data.reading.differences import Among, missing_columns
from validators.verdict import Verdict

DAYS = [f"day={day:03}/a.parquet" for day in range(300)]


def _days(**columns: Any) -> dict[str, Any]:
    return {key: {name: [value] for name, value in columns.items()} for key in DAYS}


def test_three_files_that_differ_are_each_named(tmp_path: Path) -> None:
    files = {"a.parquet": {"x": [1], "y": [1]}, "b.parquet": {"x": ["a"]}, "c.parquet": {"x": [3]}}
    y, x = read(tmp_path, files, frozenset({"x"})).checks
    assert (y.message, y.verdict) == (
        "column `y` is only in `a.parquet` (1 of 3 objects have it)",
        Verdict.WARN,
    )
    assert "`x` is int64 in `a.parquet`, `c.parquet`; string in `b.parquet`" in x.message


def test_a_type_that_changed_one_day_says_which(tmp_path: Path) -> None:
    files = _days(x=1) | {key: {"x": ["a"]} for key in DAYS[200:]}
    (check,) = read(tmp_path, files).checks
    assert check.message == (
        f"column `x` is int64 in `{DAYS[0]}` to `{DAYS[199]}` (200 objects); string in "
        f"`{DAYS[200]}` to `{DAYS[299]}` (100 objects), and no single type holds all these values"
    )


def test_the_type_of_most_objects_comes_first(tmp_path: Path) -> None:
    files = _days(x=1) | {DAYS[0]: {"x": ["a"]}}
    (check,) = read(tmp_path, files).checks
    assert f"(299 objects); string in `{DAYS[0]}`, and" in check.message


def test_columns_that_the_same_objects_lack_are_told_together() -> None:
    headers = {"a": ["x", *(f"c{n}" for n in range(10_000))], "b": ["x"], "c": ["x"], "d": ["y"]}
    x, many, y = missing_columns(headers, frozenset({"x"}))
    assert x.message == "column `x` is missing in `d` (3 of 4 objects have it)"
    assert many.message == (
        "columns `c0`, `c1`, `c2` and 9,997 more are only in `a` (1 of 4 objects have them)"
    )
    assert y.message == "column `y` is only in `d` (1 of 4 objects have it)"
    assert [check.blocks for check in (x, many, y)] == [True, False, False]


@pytest.mark.parametrize(("wanted", "verdict"), [(frozenset[str](), "WARN"), (None, "FAIL")])
def test_columns_that_each_object_lacks_differently_are_told_in_bounds(
    wanted: frozenset[str] | None, verdict: str
) -> None:
    headers = {f"{n}": [f"c{at}" for at in range(n)] for n in range(1, 300)}
    checks = missing_columns(headers, wanted)
    assert len(checks) == 11
    assert {check.verdict.value for check in checks} == {verdict}
    assert checks[-1].message == (
        "columns `c11`, `c12`, `c13` and 285 more are missing in some objects as well"
    )


def test_a_column_that_the_suite_names_has_a_check_of_its_own_among_many() -> None:
    headers = {f"{n}": [f"c{at}" for at in range(n)] for n in range(1, 300)}
    checks = missing_columns(headers, frozenset({"c200"}))
    assert [check.subject for check in checks if check.blocks] == ["c200"]
    assert checks[0].message == (
        "column `c200` is only in `201` to `299` (99 of 299 objects have it)"
    )


def test_another_order_of_columns_is_a_note(tmp_path: Path) -> None:
    files = {"a.parquet": {"x": [1], "y": [2]}, "b.parquet": {"y": [3], "z": [1], "x": [4]}}
    loaded = read(tmp_path, files, frozenset({"x", "y"}))
    assert loaded.notes == (
        "The order of columns in `b.parquet` is not that in `a.parquet`; they are matched by name.",
    )
    assert loaded.table.to_pydict() == {"x": [1, 4], "y": [2, 3]}
    same = {"a.parquet": {"x": [1], "y": [2]}, "b.parquet": {"x": [3], "z": [1], "y": [4]}}
    assert read(tmp_path, same, frozenset({"x"})).notes == ()
    lines = {"a.jsonl": '{"x": 1, "y": 2}\n', "b.jsonl": '{"y": 1, "x": 2}\n'}
    assert read(tmp_path, lines).notes == ()


def test_objects_that_do_not_follow_each_other_are_the_first_and_a_number() -> None:
    among = Among([*"abcdef"])
    assert among.named([*"abcde"]) == "`a` to `e`"
    assert among.named([*"abcde"], counted=True) == "`a` to `e` (5 objects)"
    assert among.named([*"abcdf"]) == "`a`, `b`, `c` and 2 more"
    assert among.named([*"ba"]) == "`a`, `b`"
