"""The objects of a dataset version become one table, or a check that names the object."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from validators.data.reading.objects import ObjectFile
from validators.data.reading.tables import LoadedDataset, load
from validators.report import Check
from validators.verdict import Verdict


def _parquet(folder: Path, key: str, **columns: list[object]) -> ObjectFile:
    path = folder / key.replace("/", "_")
    pq.write_table(pa.table(columns), path)
    return ObjectFile(key=key, path=str(path))


def _text(folder: Path, key: str, content: str | bytes) -> ObjectFile:
    # Stored under its digest, as in a content-addressed cache: only the key tells the format.
    path = folder / f"object-{key.replace('.', '-')}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return ObjectFile(key=key, path=str(path))


def _only(loaded: LoadedDataset) -> Check:
    (check,) = loaded.checks
    return check


def test_all_formats_give_the_same_table(tmp_path: Path) -> None:
    csv = "carrier,delay\nAA,1\nUA,\n"
    lines = '{"carrier": "AA", "delay": 1}\n{"carrier": "UA", "delay": null}\n'
    objects = [
        _parquet(tmp_path, "a.parquet", carrier=["AA", "UA"], delay=[1, None]),
        _text(tmp_path, "b.csv", csv),
        _text(tmp_path, "c.csv.gz", gzip.compress(csv.encode())),
        _text(tmp_path, "d.jsonl", lines),
        _text(tmp_path, "e.ndjson.gz", gzip.compress(lines.encode())),
    ]
    tables = [load([one], frozenset({"carrier", "delay"})).table for one in objects]
    assert all(table.to_pylist() == tables[0].to_pylist() for table in tables)
    whole = load(objects, None)
    assert whole.table.num_rows == 10
    assert whole.checks == ()


def test_only_the_wanted_columns_are_read_but_all_are_known(tmp_path: Path) -> None:
    one = _parquet(tmp_path, "a.parquet", a=[1], b=[2], c=[3])
    loaded = load([one], frozenset({"b", "z"}))
    assert loaded.table.column_names == ["b"]
    assert loaded.columns == ("a", "b", "c")
    assert load([one], frozenset({"z"})).table.num_rows == 1


def test_a_column_missing_in_one_object_names_that_object(tmp_path: Path) -> None:
    objects = [
        _parquet(tmp_path, "2013/01.parquet", carrier=["AA"], extra=[1]),
        _parquet(tmp_path, "2013/02.parquet", extra=[1]),
        _parquet(tmp_path, "2013/03.parquet", carrier=["AA"]),
    ]
    carrier, extra = load(objects, frozenset({"carrier"})).checks
    assert carrier.verdict is Verdict.FAIL
    assert carrier.message == (
        "column `carrier` is missing in `2013/02.parquet` (2 of 3 objects have it)"
    )
    assert extra.verdict is Verdict.WARN  # the suite says nothing about it
    assert "2013/03.parquet" in extra.message


def test_numbers_of_different_width_are_one_column(tmp_path: Path) -> None:
    objects = [_parquet(tmp_path, "a.parquet", x=[1]), _parquet(tmp_path, "b.parquet", x=[1.5])]
    loaded = load(objects, None)
    assert loaded.checks == ()
    assert loaded.table.column("x").to_pylist() == [1.0, 1.5]


def test_objects_that_disagree_about_a_type_are_named(tmp_path: Path) -> None:
    objects = [
        _parquet(tmp_path, "a.parquet", x=[1], y=[1]),
        _parquet(tmp_path, "b.parquet", x=["MARKER"], y=[2]),
    ]
    loaded = load(objects, None)
    assert _only(loaded).message == (
        "column `x` is int64 in `a.parquet`; string in `b.parquet`, and no single type holds all "
        "these values"
    )
    assert loaded.clashing == {"x"}
    assert loaded.table.to_pydict() == {"x": [None, None], "y": [1, 2]}


def test_a_broken_object_is_named_and_nothing_is_judged(tmp_path: Path) -> None:
    good = _parquet(tmp_path, "a.parquet", x=[1])
    torn = Path(good.path).read_bytes()[:-9]
    loaded = load([good, _text(tmp_path, "b.parquet", torn)], None)
    assert loaded.table is None
    check = _only(loaded)
    assert check.verdict is Verdict.FAIL
    assert (
        check.message
        == "`b.parquet` is not readable as Parquet (it is cut off, or of another format)"
    )


def test_a_broken_row_is_counted_and_not_quoted(tmp_path: Path) -> None:
    check = _only(load([_text(tmp_path, "a.csv", "x,y\n1,2\nMARKER\n")], None))
    assert "MARKER" not in check.model_dump_json()
    assert "1 field instead of 2" in check.message


def test_a_row_of_json_that_differs_is_told_by_its_place(tmp_path: Path) -> None:
    rows = '{"x": 1}\n{"x": 2}\n{"x": "MARKER"}\n'
    check = _only(load([_text(tmp_path, "a.jsonl", rows)], None))
    assert "(row 3, `x` changes from number to string)" in check.message
    assert "MARKER" not in check.model_dump_json()


def test_what_cannot_be_read_at_all_says_why(tmp_path: Path) -> None:
    gone = ObjectFile(key="gone.csv", path=str(tmp_path / "gone"))
    objects = [gone, _text(tmp_path, "a.xlsx", "x"), _text(tmp_path, "b.csv", "")]
    first, second, third = load(objects, None).checks
    assert first.verdict is second.verdict is Verdict.ERROR
    assert "not fetched" in first.message
    assert ".parquet" in second.message
    assert third.message == "`b.csv` is an empty file"


def test_a_dataset_without_objects_fails() -> None:
    assert _only(load([], None)).verdict is Verdict.FAIL
