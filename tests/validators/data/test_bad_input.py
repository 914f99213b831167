"""Bad input gets a clear verdict: what is wrong, where, and nothing that is not so."""

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, orc

from tests.validators.data.asking import ask
from validators.data.answering.answers import answers
from validators.data.gate import judge
from validators.data.reading.files import Unreadable
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.opening import open_dataset
from validators.data.request import DataGateRequest, SuiteFile
from validators.data.suites.suite import Expectation
from validators.report import Report
from validators.verdict import Verdict

WHOLE: list[Mapping[str, Any]] = [
    {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "x"}}
]


def judged(folder: Path, files: Mapping[str, bytes], suite: Any = WHOLE) -> Report:
    """The report on files with these contents."""
    objects = []
    for at, (key, content) in enumerate(files.items()):
        path = folder / str(at)
        path.write_bytes(content)
        objects.append(ObjectFile(key=key, path=str(path), digest=f"{key} {len(content)}"))
    place = folder / "suite.json"
    place.write_text(json.dumps({"name": "s", "expectations": suite}))
    told = SuiteFile(path=str(place), origin="suite.json")
    return judge(DataGateRequest(dataset="d", version="v", objects=tuple(objects), suite=told))


def parquet(columns: Mapping[str, Any], **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), sink, **how)
    return sink.getvalue()


NUMBERS = parquet({"x": list(range(50_000))}, use_dictionary=False, compression="none")
FOOTER = int.from_bytes(NUMBERS[-8:-4], "little") + 8


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(NUMBERS[:-3], id="in its last mark"),
        pytest.param(NUMBERS[: -FOOTER // 2], id="in its footer"),
        pytest.param(NUMBERS[: len(NUMBERS) // 2], id="before its footer"),
        pytest.param(NUMBERS[:1000] + NUMBERS[9000:], id="in its rows, with the footer intact"),
        pytest.param(NUMBERS[-FOOTER:], id="of all rows"),
    ],
)
def test_a_parquet_file_that_lost_a_part_fails_by_its_name(content: bytes, tmp_path: Path) -> None:
    report = judged(tmp_path, {"good.parquet": NUMBERS, "cut.parquet": content})
    (check,) = report.checks
    assert check.verdict is Verdict.FAIL
    assert check.message.startswith("`cut.parquet` is not readable as Parquet")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.csv": b'x,y\n1,"two\n3,4\n'}, "`a.csv` has a quote in line 2 that is not closed"),
        ({"a.csv": "x\nä\n".encode(), "b.csv": "x\nä\n".encode("latin-1")}, "`b.csv` is not"),
        ({"a.csv": "x\nä\n".encode() + "ö\n".encode("latin-1")}, "it is not UTF-8"),
    ],
    ids=["a broken quote", "files in two encodings", "a file in two encodings"],
)
def test_a_broken_csv_fails_by_its_name(
    files: Mapping[str, bytes], said: str, tmp_path: Path
) -> None:
    (check,) = judged(tmp_path, files).checks
    assert check.verdict is Verdict.FAIL
    assert said in check.message


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"x": list(range(1, 50_001))}, id="of the same form"),
        pytest.param({"x": [1, 2]}, id="that is shorter"),
        pytest.param({"y": ["a"] * 60_000}, id="with other columns"),
    ],
)
def test_a_file_that_is_replaced_while_it_is_read_gives_no_verdict(
    other: Mapping[str, Any], tmp_path: Path
) -> None:
    file, new = tmp_path / "x.parquet", tmp_path / "new"
    file.write_bytes(NUMBERS)
    new.write_bytes(parquet(other, use_dictionary=False, compression="none"))
    objects = [ObjectFile(key="x.parquet", path=str(file))]
    dataset = open_dataset(objects, frozenset({"x"}), frozenset(), DatasetReading())
    unique = Expectation("expect_column_values_to_be_unique", {"column": "x"})
    new.replace(file)
    with pytest.raises(Unreadable, match=r"`x.parquet` changed while it was read") as told:
        list(answers(dataset, {0: unique}))
    assert told.value.verdict is Verdict.ERROR


CUT_WHILE_READ = """
import os, sys
from validators.data.reading.files import Unreadable
from validators.data.reading.object_part import HeldContents
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.opening import open_dataset

HeldContents._room = 0
path = sys.argv[1]
objects = [ObjectFile(key=path, path=path)]
dataset = open_dataset(objects, frozenset("x"), frozenset(), DatasetReading())
batches = dataset.parts[0].read(0, ["x"])
next(batches)
os.truncate(path, 5000)
try:
    print(sum(batch.rows for batch in batches))
except Unreadable as error:
    print(error.verdict.value, error.why)
"""


@pytest.mark.parametrize("suffix", [".parquet", ".orc", ".arrow", ".arrows", ".csv", ".jsonl"])
def test_a_file_that_is_cut_off_in_place_ends_no_process(suffix: str, tmp_path: Path) -> None:
    """Mapped into memory, what is missing of it would be a SIGBUS."""
    file, rows = tmp_path / f"x{suffix}", 2_200_000 if suffix == ".parquet" else 300_000
    table = pa.table({"x": np.arange(rows, dtype=np.int32)})
    match suffix:
        case ".parquet":
            pq.write_table(table, file, row_group_size=rows, use_dictionary=False)
        case ".orc":
            orc.write_table(table, str(file))
        case ".csv":
            csv.write_csv(table, file)
        case ".jsonl":
            file.write_text("".join(f'{{"x": {at}}}\n' for at in range(rows)))
        case _:
            opened = pa.ipc.new_file if suffix == ".arrow" else pa.ipc.new_stream
            with opened(str(file), table.schema) as writer:
                writer.write_table(table, max_chunksize=10_000)
    program = [sys.executable, "-c", CUT_WHILE_READ, str(file)]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "ERROR changed while it was read\n"), (
        ended.stderr
    )


def test_ten_thousand_columns_are_read_by_few_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [f"c{at}" for at in range(10_000)]
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({name: [0.5, 1.5] for name in columns}), file)
    opened: list[Path] = []

    class Counted(pq.ParquetFile):  # type: ignore[misc]
        def __init__(self, path: Path, **how: Any) -> None:
            opened.append(path)
            super().__init__(path, **how)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    objects = [ObjectFile(key="x.parquet", path=str(file))]
    dataset = open_dataset(objects, frozenset(columns), frozenset(), DatasetReading())
    suite = {
        at: Expectation("expect_column_values_to_not_be_null", {"column": name})
        for at, name in enumerate(columns)
    }
    assert all(one.success for one in answers(dataset, suite))
    assert len(opened) == 2  # for the footer, and for the rows


def test_a_column_of_nested_lists_is_judged_where_that_means_something(tmp_path: Path) -> None:
    nested = pa.array([[[1], []], None, [[2, None]]], pa.list_(pa.list_(pa.int64())))
    suite = [
        {"type": f"expect_column_{kind}", "kwargs": {"column": "x", **more}}
        for kind, more in (
            ("to_exist", {}),
            ("values_to_not_be_null", {"mostly": 0.6}),
            ("values_to_be_null", {}),
            ("values_to_be_between", {"min_value": 1}),
            ("values_to_be_in_set", {"value_set": [1]}),
            ("mean_to_be_between", {"min_value": 1}),
        )
    ]
    checks = judged(tmp_path, {"x.parquet": parquet({"x": nested})}, suite).checks
    assert [check.verdict.value for check in checks] == [
        "PASS", "PASS", "FAIL", "ERROR", "ERROR", "ERROR",
    ]  # fmt: skip
    assert all("list" in check.message for check in checks[3:])


def test_a_misspelt_column_and_an_unknown_type_are_named_with_the_nearest(tmp_path: Path) -> None:
    suite = [
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "carier"}},
        {"type": "expect_column_values_to_be_uniqe", "kwargs": {"column": "carrier"}},
    ]
    text = json.dumps({"name": "s", "expectations": suite})
    checks = ask(tmp_path, {"carrier": ["AA"]}, text, "suite.json").checks
    assert [check.verdict for check in checks] == [Verdict.FAIL, Verdict.ERROR]
    assert "`carrier`" in f"{checks[0].message} {checks[0].next_step}"
    assert "expect_column_values_to_be_unique" in f"{checks[1].message} {checks[1].next_step}"


def test_a_suite_of_nothing_is_an_error(tmp_path: Path) -> None:
    (check,) = judged(tmp_path, {"x.parquet": NUMBERS}, []).checks
    assert check.verdict is Verdict.ERROR


def test_a_footer_of_other_rows_is_found_by_whatever_reads_them(tmp_path: Path) -> None:
    """How many rows there are and where is what the format reads by; a range is only a statistic,
    which nobody can doubt without reading the rows."""
    fewer, more, other = (
        parquet({"x": values}, compression="none", use_dictionary=False)
        for values in ([1, 2, 3], [1, 2, 3, 4], [1, 2, 9])
    )
    of_more = judged(tmp_path, {"x.parquet": with_footer(fewer, more)})
    of_fewer = judged(tmp_path, {"x.parquet": with_footer(more, fewer)})
    for report in (of_more, of_fewer):
        (check,) = report.checks
        assert check.verdict is Verdict.FAIL
        assert "`x.parquet` is not readable as Parquet" in check.message
    between = {"type": "expect_column_values_to_be_between"}
    suite = [{**between, "kwargs": {"column": "x", "min_value": 1, "max_value": 3}}]
    believed = judged(tmp_path, {"x.parquet": with_footer(other, fewer)}, suite)
    assert [check.verdict for check in believed.checks] == [Verdict.PASS]


def with_footer(of_rows: bytes, of_footer: bytes) -> bytes:
    """The rows of one file and the footer of another."""

    def rows(content: bytes) -> int:
        return len(content) - 8 - int.from_bytes(content[-8:-4], "little")

    return of_rows[: rows(of_rows)] + of_footer[rows(of_footer) :]


@pytest.mark.parametrize(
    ("kind", "kwargs", "said"),
    [
        ("column_values_to_be_in_set", {"column": "c", "value_set": []}, "`value_set` lists"),
        ("column_values_to_be_in_set", {"column": "c", "value_set": [None]}, "`value_set` lists"),
        ("column_values_to_not_be_in_set", {"column": "c", "value_set": []}, "`value_set` lists"),
        ("table_columns_to_match_set", {"column_set": []}, "`column_set` lists nothing"),
        ("table_columns_to_match_set", {"column_set": None}, "`column_set` is missing"),
        ("table_columns_to_match_ordered_list", {"column_list": None}, "`column_list` is missing"),
        ("table_row_count_to_equal_other_table", {"other_table_name": "t"}, "needs a database"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # the import of Great Expectations has many
def test_an_expectation_that_nothing_could_fail_is_an_error_and_the_others_are_judged(
    kind: str, kwargs: dict[str, Any], said: str, tmp_path: Path
) -> None:
    suite = [
        {"type": f"expect_{kind}", "kwargs": kwargs},
        {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "c", "value": 2}},
    ]
    refused, failed = judged(tmp_path, {"t.parquet": parquet({"c": ["a", "b"]})}, suite).checks
    assert (refused.verdict, failed.verdict) == (Verdict.ERROR, Verdict.FAIL)
    assert said in refused.message


def test_what_illustrates_a_failure_never_costs_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr("validators.data.answering.pictures.pictures", broken)
    suite = [{"type": "expect_column_max_to_be_between", "kwargs": {"column": "c", "max_value": 1}}]
    (check,) = judged(tmp_path, {"t.parquet": parquet({"c": [1, 2]})}, suite).checks
    assert check.verdict is Verdict.FAIL
    assert check.histogram is None


AT_LEAST_ONE = {"type": "comparison", "column": {"name": "c"}, "operator": ">", "parameter": 1}


@pytest.mark.parametrize(
    "condition",
    [
        {**AT_LEAST_ONE, "column": {"name": 1.5}},
        {**AT_LEAST_ONE, "column": {"name": ["c"]}},
        {**AT_LEAST_ONE, "parameter": [1]},
        {**AT_LEAST_ONE, "operator": "IN", "parameter": "12"},
        {"type": "and", "conditions": [AT_LEAST_ONE, {**AT_LEAST_ONE, "column": {"name": True}}]},
        {"type": "or", "conditions": []},
    ],
)
@pytest.mark.filterwarnings("ignore")  # as above
def test_a_condition_that_is_none_is_an_error_and_the_others_are_judged(
    condition: dict[str, Any], tmp_path: Path
) -> None:
    suite = [
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "c", **more}}
        for more in ({"row_condition": condition}, {})
    ]
    refused, passed = judged(tmp_path, {"t.parquet": parquet({"c": [1, 2]})}, suite).checks
    assert (refused.verdict, passed.verdict) == (Verdict.ERROR, Verdict.PASS)
    assert "`row_condition` is not a condition of Great Expectations" in refused.message
