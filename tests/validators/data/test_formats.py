"""Arrow, Feather and ORC: what comes out of each, and what is said of broken ones."""

import base64
import io
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather

from tests.validators.data.reading import column, packed, read, written
from validators.data.reading.tables import LoadedDataset
from validators.report import Check
from validators.verdict import Verdict

TYPED = ("a.parquet", "a.orc", "a.arrow", "a.arrows", "a.ipc", "a.feather")
ROWS = pa.table({"name": ["a, b", None], "n": pa.array([1, 2], pa.int32())})


def _only(loaded: LoadedDataset) -> Check:
    (check,) = loaded.checks
    return check


def _feather_1(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        feather.write_feather(table, sink, version=1)
    return sink.getvalue()


def _stream(table: pa.Table, rows: int = 1, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


@pytest.mark.parametrize("key", TYPED)
def test_every_typed_format_gives_the_same_rows(key: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, {key: ROWS})
    assert loaded.checks == ()
    assert loaded.table.equals(ROWS)
    assert read(tmp_path, {key: ROWS}, frozenset({"n"})).table.column_names == ["n"]


@pytest.mark.parametrize("key", TYPED)
def test_rows_count_where_no_column_is_wanted(key: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, {key: ROWS}, frozenset())
    assert (loaded.table.num_rows, loaded.columns) == (2, ("name", "n"))


def test_what_a_file_is_decides_among_the_suffixes_of_arrow(tmp_path: Path) -> None:
    for key in ("a.arrow", "a.feather", "a.ipc", "a.arrows"):
        for content in (written(ROWS, "a.arrow"), written(ROWS, "a.arrows"), _feather_1(ROWS)):
            assert read(tmp_path, {key: content}).table.equals(ROWS)


def test_a_column_is_one_whatever_the_formats_of_its_files(tmp_path: Path) -> None:
    files: dict[str, Any] = {key: {"x": [1]} for key in TYPED}
    files |= {"b.csv": "x\n2\n", "b.jsonl": '{"x": 2}\n', "b.tsv.zst": "x\n2\n"}
    assert column(read(tmp_path, files)) == ("int64", [1] * len(TYPED) + [2, 2, 2])


def test_dictionaries_that_grow_or_change_from_batch_to_batch_are_followed(tmp_path: Path) -> None:
    parts = [pa.array(texts).dictionary_encode() for texts in (["a", "b"], ["c", "a"])]
    table = pa.table({"x": pa.chunked_array(parts)})
    for grows in (False, True):
        loaded = read(tmp_path, {"a.arrows": _stream(table, 2, emit_dictionary_deltas=grows)})
        assert loaded.table["x"].to_pylist() == ["a", "b", "c", "a"]


def test_times_and_zones_come_out_of_orc_as_they_went_in(tmp_path: Path) -> None:
    noon = datetime(2024, 7, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "local": pa.array([noon.replace(tzinfo=None)], pa.timestamp("us")),
            "zoned": pa.array([noon], pa.timestamp("us", "Europe/Berlin")),
            "day": pa.array([date(9999, 12, 31)]),
            "price": pa.array([Decimal("1.10")], pa.decimal128(10, 2)),
        }
    )
    loaded = read(tmp_path, {"a.orc": table})
    assert loaded.table.to_pylist() == table.to_pylist()
    assert str(loaded.table["zoned"].type) == "timestamp[ns, tz=UTC]"


IN_NEW_YORK = base64.b64decode(
    "T1JDCgYSBAgCUAAKHgoEAAAAABIWCAJKEBiX0LGIuhEggKjU4o1kMAFQAHYBI7v8YM0H851OAQAvCgYIBhAAGAgK"
    "BggGEAEYIAoGCAEQARgKCgYIBRABGAQSBAgAEAASBAgCEAAaEEFtZXJpY2EvTmV3X1lvcmsKHgoECAJQAAoWCAJK"
    "EBiX0LGIuhEggKjU4o1kMAFQAAgDEHQaCggDECgYDiA+KAIiDggMEgEBGgFhIAAoADAAIggICSAAKAAwADACOgQI"
    "AlAAOhYIAkoQGJfQsYi6ESCAqNTijWQwAVAAQJBOSAFiBTIuMy4xCFYQABiAgAQiAgAMKCAwBoL0AwNPUkMX"
)
"""Noon of 1 July 2024 and an older time, as pyorc 0.12 writes them in America/New_York."""


def test_a_time_of_orc_is_what_the_clock_of_its_writer_showed(tmp_path: Path) -> None:
    kind, values = column(read(tmp_path, {"a.orc": IN_NEW_YORK}), "a")
    assert kind == "timestamp[ns]"
    assert values == [
        datetime(2024, 7, 1, 12),  # noqa: DTZ001 - as the column
        datetime(1960, 7, 1, 12, 0, 0, 500000),  # noqa: DTZ001
    ]


def test_a_zone_that_this_machine_does_not_know_is_named(tmp_path: Path) -> None:
    nowhere = IN_NEW_YORK.replace(b"America/New_York", b"America/Nowhere_")
    check = _only(read(tmp_path, {"a.orc": nowhere}))
    assert check.verdict is Verdict.ERROR
    assert "the time zone America/Nowhere_, which this machine does not have" in check.message


def test_a_time_beyond_nanoseconds_in_orc_is_told_if_its_column_is_wanted(tmp_path: Path) -> None:
    far = pa.array([datetime(9999, 1, 1)], pa.timestamp("us"))  # noqa: DTZ001
    files = {"a.orc": {"x": far, "y": [1]}}
    assert read(tmp_path, files, frozenset({"y"})).checks == ()
    check = _only(read(tmp_path, files, frozenset({"x"})))
    assert check.message.startswith("`a.orc` has times before 1677 or after 2262")


def test_a_column_of_orc_with_a_dot_in_its_name_is_not_a_field_of_another(tmp_path: Path) -> None:
    table = {"a.b": [1], "a": [{"b": 2, "c": 3}]}
    loaded = read(tmp_path, {"a.orc": table}, frozenset({"a.b"}))
    assert loaded.table.to_pydict() == {"a.b": [1]}


@pytest.mark.parametrize("key", ["a.orc", "a.arrow", "a.arrows", "a.feather"])
def test_a_column_that_occurs_twice_is_told(key: str, tmp_path: Path) -> None:
    twice = pa.table([[1], [2], [3]], names=["id", "x", "x"])
    check = _only(read(tmp_path, {key: twice}))
    assert check.message == f"`{key}` has more than one column `x`"
    loaded = read(tmp_path, {key: twice}, frozenset({"id"}))
    assert loaded.table.to_pydict() == {"id": [1]}
    assert _only(loaded).message == f"there is more than one column `x` in `{key}`"


# -- broken ----------------------------------------------------------------------------------------

MANY = pa.table({"x": range(1000), "text": [str(n) for n in range(1000)]})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*TYPED, "v1.feather", "a.csv.zst", "a.csv.gz"]), st.floats(0, 1))
def test_a_file_that_is_cut_off_is_named_wherever_it_ends(
    tmp_path_factory: pytest.TempPathFactory, key: str, part: float
) -> None:
    if key == "v1.feather":
        whole = _feather_1(MANY)
    elif key in TYPED:
        whole = _stream(MANY, 100) if key == "a.arrows" else written(MANY, key)
    else:
        whole = packed("".join(["x\n", *(f"{n}\n" for n in range(1000))]).encode(), key)
    cut = whole[: min(int(part * len(whole)), len(whole) - 1)]
    check = _only(read(tmp_path_factory.mktemp("cut"), {key: cut}))
    assert check.verdict is Verdict.FAIL
    assert check.message.startswith(f"`{key}` ")
    assert check.subject == key


def test_a_stream_that_ends_between_two_batches_is_cut_off(tmp_path: Path) -> None:
    whole = _stream(ROWS)
    check = _only(read(tmp_path, {"a.arrows": whole[:-8]}))
    assert "lacks the mark at the end of an Arrow stream" in check.message


def test_two_streams_in_one_file_are_not_read_as_one(tmp_path: Path) -> None:
    check = _only(read(tmp_path, {"a.arrows": _stream(ROWS) * 2}))
    assert "goes on after the end of its Arrow stream" in check.message


def test_a_stream_of_an_old_arrow_needs_no_mark(tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.arrows": _stream(ROWS, use_legacy_format=True)})
    assert loaded.table.equals(ROWS)


@pytest.mark.parametrize("key", ["a.parquet", "a.orc", "a.arrow", "a.csv.zst", "a.csv.gz"])
def test_a_file_of_another_format_than_its_name_says_is_named(key: str, tmp_path: Path) -> None:
    for content in (
        b"MARKER,b\n1,2\n",
        written(ROWS, "a.parquet") if key != "a.parquet" else b"PK",
    ):
        check = _only(read(tmp_path, {"good.csv": "x\n1\n", key: content}))
        assert check.verdict is Verdict.FAIL
        assert check.message.startswith(f"`{key}` is not readable as ")
        assert "MARKER" not in check.model_dump_json()


def test_offsets_that_lead_out_of_their_buffer_are_a_broken_file(tmp_path: Path) -> None:
    table = pa.table({"x": ["MARKER", "MARKER2"]})
    whole = _stream(table, 2)
    offsets = bytes(pa.array(["MARKER", "MARKER2"]).buffers()[1])[:12]
    assert whole.count(offsets) == 1
    broken = whole.replace(offsets, offsets[:8] + (2**30).to_bytes(4, "little"))
    check = _only(read(tmp_path, {"a.arrows": broken}))
    assert check.message.startswith("`a.arrows` is not readable as Arrow or Feather")
    assert "MARKER" not in check.model_dump_json()


def test_a_duration_has_a_format_that_keeps_it(tmp_path: Path) -> None:
    spans = pa.array([timedelta(1)])
    assert column(read(tmp_path, {"a.arrow": {"x": spans}})) == ("duration[us]", [timedelta(1)])
