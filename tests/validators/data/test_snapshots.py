"""The gate judges the rows of a table according to its log."""

import datetime as dt
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from specs.snapshot import DELTA_KEY, LiveFile, TableSnapshot
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.tables import LoadedDataset, load
from validators.data.request import DataGateRequest, SuiteFile
from validators.report import Report
from validators.verdict import Verdict

Files = Mapping[str, tuple[pa.Table, Mapping[str, str | None]]]
"""The contents of each file, and the values of its partition, by key."""


def _objects(
    folder: Path, fields: Mapping[str, Any], files: Files, partitions: tuple[str, ...] = ()
) -> tuple[ObjectFile, ...]:
    live = {}
    for number, (key, (table, partition)) in enumerate(files.items()):
        path = folder / str(number)
        pq.write_table(table, path)
        live[key] = LiveFile(path.stat().st_size, partition)
    columns = tuple({"name": name, "type": kind} for name, kind in fields.items())
    log = folder / "log"
    log.write_bytes(TableSnapshot("t", columns, partitions, live).written())
    data = [ObjectFile(key=key, path=str(folder / str(n))) for n, key in enumerate(files)]
    return (ObjectFile(key=DELTA_KEY, path=str(log)), *data)


def _load(
    folder: Path,
    fields: Mapping[str, Any],
    files: Files,
    partitions: tuple[str, ...] = (),
    wanted: frozenset[str] | None = None,
    **reading: Any,
) -> LoadedDataset:
    return load(
        _objects(folder, fields, files, partitions), wanted, reading=DatasetReading(**reading)
    )


def test_columns_that_older_files_lack_are_null_and_dropped_ones_are_not_there(
    tmp_path: Path,
) -> None:
    files: Files = {
        "old.parquet": (pa.table({"a": pa.array([1], pa.int32()), "gone": ["x"]}), {}),
        "new.parquet": (pa.table({"b": ["y"], "a": pa.array([2], pa.int64())}), {}),
    }
    loaded = _load(tmp_path, {"a": "long", "b": "string"}, files)
    assert loaded.checks == ()
    assert loaded.table.to_pydict() == {"a": [1, 2], "b": [None, "y"]}
    assert loaded.columns == ("a", "b")
    assert [str(kind) for kind in loaded.table.schema.types] == ["int64", "string"]


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("string", "01", "01"),
        ("long", "7", 7),
        ("short", "-7", -7),
        ("double", "1.5", 1.5),
        ("boolean", "true", True),
        ("date", "2024-02-29", dt.date(2024, 2, 29)),
        ("timestamp", "2024-02-29T01:02:03.5Z", pd.Timestamp("2024-02-29 01:02:03.5", tz="UTC")),
        ("timestamp_ntz", "2024-02-29 01:02:03", dt.datetime(2024, 2, 29, 1, 2, 3)),  # noqa: DTZ001
        ("decimal(10,2)", "1.10", Decimal("1.10")),
        ("binary", "ab", b"ab"),
        ("string", None, None),
        ("date", None, None),
    ],
)
def test_a_partition_has_the_value_and_the_type_of_the_log_and_not_of_its_folder(
    tmp_path: Path, kind: str, written: str | None, value: object
) -> None:
    files: Files = {"p=other/f.parquet": (pa.table({"a": [1, 2]}), {"p": written})}
    loaded = _load(tmp_path, {"a": "long", "p": kind}, files, ("p",))
    assert loaded.checks == ()
    assert loaded.table["p"].to_pylist() == [value, value]


def test_a_time_that_spark_wrote_as_96_bits_is_the_same_moment(tmp_path: Path) -> None:
    written = [dt.datetime(2024, 1, 1, 12), dt.datetime(9999, 12, 31)]  # noqa: DTZ001
    moments = pa.array(written, pa.timestamp("us"))
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / "int96"
    pq.write_table(pa.table({"t": moments}), path, use_deprecated_int96_timestamps=True)
    log = tmp_path / "log"
    fields = ({"name": "t", "type": "timestamp"},)
    log.write_bytes(TableSnapshot("t", fields, (), {"a.parquet": LiveFile(1, {})}).written())
    objects = (
        ObjectFile(key=DELTA_KEY, path=str(log)),
        ObjectFile(key="a.parquet", path=str(path)),
    )
    loaded = load(objects, None)
    assert str(loaded.table["t"].type) == "timestamp[us, tz=UTC]"
    assert loaded.table["t"].to_pylist() == [one.replace(tzinfo=dt.UTC) for one in written]


def test_a_file_whose_values_are_not_of_the_tables_type_is_named(tmp_path: Path) -> None:
    files: Files = {"f.parquet": (pa.table({"a": [1.5]}), {})}
    (check,) = _load(tmp_path, {"a": "long"}, files).checks
    assert check.message == "`f.parquet` has `a` as double, and not every value fits int64"
    assert check.verdict is Verdict.FAIL


def test_types_of_the_spec_go_over_those_of_the_table(tmp_path: Path) -> None:
    files: Files = {"f.parquet": (pa.table({"a": ["07"]}), {})}
    loaded = _load(tmp_path, {"a": "string"}, files, types={"a": "int64"})
    assert loaded.table.to_pydict() == {"a": [7]}


def test_only_the_wanted_columns_are_read(tmp_path: Path) -> None:
    files: Files = {"f.parquet": (pa.table({"a": [1], "b": [2]}), {"p": "x"})}
    fields = {"a": "long", "b": "long", "p": "string"}
    loaded = _load(tmp_path, fields, files, ("p",), frozenset({"b", "p"}))
    assert loaded.table.to_pydict() == {"b": [2], "p": ["x"]}
    assert loaded.columns == ("a", "b", "p")


def _judged(folder: Path, objects: tuple[ObjectFile, ...], most: int) -> Report:
    suite = folder / "suite.yaml"
    suite.write_text(
        f"""name: trips
expectations:
  - {{type: expect_table_row_count_to_be_between, kwargs: {{min_value: 1, max_value: {most}}}}}
  - {{type: expect_column_values_to_be_of_type, kwargs: {{column: p, type_: date}}}}
"""
    )
    asked = DataGateRequest(
        dataset="trips",
        version="v",
        objects=objects,
        suite=SuiteFile(path=str(suite), origin="suite.yaml"),
    )
    request, report = folder / "request.json", folder / "report.json"
    request.write_text(asked.model_dump_json())
    command = [sys.executable, "-m", "validators.data", str(request), str(report)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
    return Report.model_validate_json(report.read_bytes())


def test_the_report_counts_the_rows_and_files_of_the_snapshot(tmp_path: Path) -> None:
    files: Files = {"f.parquet": (pa.table({"a": [1, 2]}), {"p": "2024-01-01"})}
    objects = _objects(tmp_path, {"a": "long", "p": "date"}, files, ("p",))
    report = _judged(tmp_path, objects, 2)
    assert report.verdict is Verdict.PASS
    assert report.notes[0] == "2 rows in 1 object."


def test_a_table_without_rows_fails_as_one(tmp_path: Path) -> None:
    report = _judged(tmp_path, _objects(tmp_path, {"a": "long", "p": "date"}, {}), 2)
    assert report.verdict is Verdict.FAIL
    assert "the dataset has no rows" in report.checks[0].message
