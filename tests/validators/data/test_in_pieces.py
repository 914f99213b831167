"""However small the pieces are that an object is read in, its columns have the types and values of
the object as a whole; and what is wrong with it is told in the same words."""

import gzip
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import orc

from specs.csv_files import CsvFiles
from tests.validators.data.generated import tables
from validators.data.metrics.kept import KeptMetrics
from validators.data.reading.by_object import ByObject
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.formats import json_lines, streams
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.tables import load

SLOWLY = settings(
    max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
ALL: Any = frozenset()


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Texts are read in blocks of so many bytes, as long as their rows are no longer."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streams, "BLOCKS", (size, 4 * size, 1 << 20))
        patched.setattr(json_lines, "BLOCK", size)
        patched.setattr("validators.data.reading.object_part._FEW", 1)
        yield


def stored(folder: Path, key: str, content: bytes) -> list[ObjectFile]:
    path = folder / "content"
    path.write_bytes(content)
    return [ObjectFile(key=key, path=str(path), digest="0")]


def in_pieces(
    objects: Sequence[ObjectFile], reading: DatasetReading, size: int, held: int = 0
) -> OpenedDataset | None:
    """The dataset, as it is opened with such blocks; only what is `held` is not read again."""
    with blocks_of(size), pytest.MonkeyPatch.context() as patched:
        patched.setattr("validators.data.reading.object_part.HeldContents._room", held)
        return ByObject(objects, None, ALL, reading, KeptMetrics()).dataset()


def assert_as_whole(
    objects: Sequence[ObjectFile], reading: DatasetReading, size: int
) -> OpenedDataset | None:
    """The dataset in pieces, if it can be read in such; it is what it is as a whole."""
    whole = load(objects, None, ALL, reading)
    found = in_pieces(objects, reading, size)
    if found is None:
        return None
    assert (found.checks, found.notes) == (whole.checks, whole.notes)
    assert found.is_readable is (whole.table is not None)
    if found.is_readable:
        assert (found.columns, found.rows) == (whole.columns, whole.table.num_rows)
        assert found.clashing == whole.clashing
        for name in found.columns:
            with blocks_of(size):
                batches = list(found.parts[0].read(0, [name]))
            values = [value for one in batches for value in one.table[name].to_pylist()]
            assert found.types[name] == whole.table[name].type
            assert repr(values) == repr(whole.table[name].to_pylist())
    return found


TEXTS = (
    "1", "-20", "02134", "1.5", ".5", "12e4", "1e-07", "1e+20", "9007199254740993", "0.25", "7.",
    "1234567890123456.5", "1234567890123456e-10", "123456789012345678901", "9" * 39,
    "true", "False", "2024-05-01", "1500-01-01", "2024-13-45", "2024-05-01 12:30:00",
    "2024-05-01T12:30:00Z", "2024-05-01 12:30:00.1234567", "1500-01-01T00:00", "NA", "null", "",
    "abc", "NaN", " 7 ", "ä€𝄞", "1,5", "1.234,5", "01.02.2024",
)  # fmt: skip
READINGS = (
    *(DatasetReading() for _ in range(4)),
    *(
        DatasetReading.model_validate({"types": {"x": kind}})
        for kind in ("decimal", "timestamp", "string", "int64", "double", "bool", "date")
    ),
    DatasetReading(nulls=("", "NA")),
    DatasetReading(csv=CsvFiles(delimiter=";", decimal=",", thousands=".", dates=("%d.%m.%Y",))),
    DatasetReading.model_validate({
        "types": {"x": "decimal"}, "csv": {"delimiter": ";", "decimal": ",", "thousands": "."},
    }),
    DatasetReading(csv=CsvFiles(comment="#", skip_rows=1)),
)  # fmt: skip


@st.composite
def columns(draw: st.DrawFn) -> list[str]:
    """Texts of few sorts, of which later ones may differ from earlier ones."""
    some = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True)
    parts = draw(st.lists(some, min_size=1, max_size=3))
    return [text for sorts in parts for text in draw(st.lists(st.sampled_from(sorts), max_size=5))]


QUOTED = ('"a,b;c"', '"line\nbreak"', '"line\r\nbreak"', '"a ""b"""', '""', '"#"', "ö")


@given(
    columns(),
    st.lists(st.sampled_from(QUOTED), min_size=1, max_size=3),
    st.sampled_from(READINGS),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(8, 120),
    st.sampled_from(["a.csv", "a.csv.gz", "k=1/a.csv"]),
)
@example(["12e4", "12e4", "1.5"], ["b"], DatasetReading(), "\n", 8, "a.csv")
@example(["1234567890123456e-10", "1e+20", "1e+20"], ["b"], DatasetReading(), "\n", 8, "a.csv")
@example(["1"] * 9 + ["NA"] * 3 + ["1.5"] * 9, ["b"], DatasetReading(), "\n", 8, "a.csv")
@SLOWLY
def test_delimited_text_in_blocks_is_what_it_is_as_a_whole(
    texts: list[str], others: list[str], reading: DatasetReading, end: str, size: int, key: str
) -> None:
    csv = reading.csv or CsvFiles()
    mark = csv.delimiter or ","
    quoted = [f'"{text}"' if mark in text else text for text in texts]
    rows = [f"{text}{mark}{others[at % len(others)]}" for at, text in enumerate(quoted)]
    start = ["to be skipped"] * csv.skip_rows
    lines = [*start, f"x{mark}y", *(["# a comment"] if csv.comment else []), *rows]
    content = (end.join(lines) + end).encode()
    with tempfile.TemporaryDirectory() as folder:
        packed = gzip.compress(content) if key.endswith(".gz") else content
        found = assert_as_whole(stored(Path(folder), key, packed), reading, size)
    undecided = csv.has_notation or reading.types.get("x") in ("decimal", "timestamp")
    assert found is not None or undecided


NESTED = st.one_of(
    st.none(),
    st.lists(st.sampled_from([1, 2.5, None]), max_size=2),
    st.fixed_dictionaries({}, optional={"a": st.just(1), "b": st.sampled_from(["t", None])}),
)


@st.composite
def json_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of which later ones may have other keys, and values of other kinds."""
    values: list[Any] = [
        1,
        2.5,
        2**53 + 1,
        10**20,
        True,
        "t",
        "2024-05-01",
        "2024-05-01 12:30",
        "ä",
    ]
    rows: list[dict[str, Any]] = []
    nested = draw(st.one_of(st.none(), st.integers(0, 1)))
    for _ in range(draw(st.integers(1, 3))):
        some = draw(st.lists(st.sampled_from([None, *values]), min_size=1, max_size=2))
        for value in draw(st.lists(st.sampled_from(some), max_size=6)):
            row = {"k": len(rows), "x": value}
            if nested is not None:
                row["y"] = draw(
                    NESTED.filter(lambda of: not of or isinstance(of, (list, dict)[nested]))
                )
            rows.append({key: row[key] for key in draw(st.permutations(list(row)))[: len(row)]})
            if draw(st.integers(0, 3)) == 0:
                rows[-1].pop("x")
    return rows


@given(
    json_rows(),
    st.sampled_from(READINGS[:12]),
    st.integers(1, 80),
    st.sampled_from(["a.jsonl", "a.json.gz"]),
)
@SLOWLY
def test_json_lines_in_blocks_are_what_they_are_as_a_whole(
    rows: list[dict[str, Any]], reading: DatasetReading, size: int, key: str
) -> None:
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    with tempfile.TemporaryDirectory() as folder:
        packed = gzip.compress(content) if key.endswith(".gz") else content
        assert_as_whole(stored(Path(folder), key, packed), reading, size)


def test_whole_numbers_and_then_fractions_are_read_in_blocks(tmp_path: Path) -> None:
    rows = [{"x": at if at < 50 else at + 0.5, "when": "2024-05-01"} for at in range(100)]
    objects = stored(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    found = assert_as_whole(objects, DatasetReading(types={"when": "timestamp"}), 64)
    assert found is not None
    assert [str(kind) for kind in found.types.values()] == ["double", "timestamp[us]"]


def columnar(table: pa.Table, suffix: str, rows: int) -> bytes:
    """The table in pieces of so many rows."""
    sink = io.BytesIO()
    if suffix == ".orc":
        with orc.ORCWriter(sink, stripe_size=1, batch_size=rows) as writer:
            writer.write(table)
    elif suffix == ".parquet":
        pq.write_table(table, sink, row_group_size=rows)
    else:
        opened = pa.ipc.new_stream if suffix == ".arrows" else pa.ipc.new_file
        options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
        with opened(sink, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


@given(tables(), st.sampled_from([".arrow", ".arrows", ".parquet"]), st.integers(1, 5))
@SLOWLY
def test_batches_and_row_groups_are_read_apart(table: pa.Table, suffix: str, rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        objects = stored(Path(folder), f"a{suffix}", columnar(table, suffix, rows))
        assert assert_as_whole(objects, DatasetReading(), 8) is not None


@pytest.mark.parametrize("name", ["x", "a.b"])
@pytest.mark.parametrize("reading", [DatasetReading(), DatasetReading(types={"x": "double"})])
def test_rows_of_orc_are_read_apart(name: str, reading: DatasetReading, tmp_path: Path) -> None:
    many = range(40_000)
    x = [None if at % 7 == 0 else at for at in many]
    table = pa.table({name: x, "y": [str(at) for at in many], "z": [[at, None] for at in many]})
    content = columnar(table, ".orc", 1024)
    assert orc.ORCFile(io.BytesIO(content)).nstripes > 1
    objects = stored(tmp_path, "a.orc", content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("validators.data.reading.formats.orc.ROWS", 1000)
        found = assert_as_whole(objects, reading, 8)
        assert found is not None
        with blocks_of(8):
            assert len(list(found.parts[0].read(0, ["y"]))) > 10


BROKEN: Mapping[str, tuple[str, bytes]] = {
    "an open quote": ("a.csv", b'x,y\n1,"two\n' + b"3,4\n" * 50),
    "an open quote at the end": ("a.csv", b"x,y\n" + b"3,4\n" * 50 + b'1,"two\n'),
    "a row of too many fields": ("a.csv", b"x,y\n" + b"3,4\n" * 50 + b"3,4,5\n"),
    "a row of too few fields": ("a.csv", b"x,y\n" + b"3,4\n" * 50 + b"3\n" + b"3,4\n" * 9),
    "two encodings": ("a.csv", b"x,y\n" + "ä,ö\n".encode() * 50 + "ä,ö\n".encode("latin-1")),
    "a cut gzip": ("a.csv.gz", gzip.compress(b"x,y\n" + bytes(range(48, 58)) * 999 + b",4\n")[:40]),
    "a damaged zstd": ("a.csv.zst", b"\x28\xb5\x2f\xfd" + bytes(40)),
    "a broken line of JSON": ("a.jsonl", b'{"x": 1}\n' * 50 + b'{"x": ]}\n' + b'{"x": 1}\n' * 9),
    "a column of two kinds": ("a.jsonl", b'{"x": 1}\n' * 50 + b'{"x": "t"}\n' * 9),
    "kinds within an object": (
        "a.jsonl",
        b'{"x": {"a": [1]}}\n' * 50 + b'{}\n{"x": {"a": ["t"]}}\n',
    ),
    "a key twice": ("a.jsonl", b'{"x": 1}\n' * 50 + b'{"x": 1, "x": 2}\n'),
    "a cut file of Arrow": ("a.arrow", columnar(pa.table({"x": [1, 2, 3]}), ".arrow", 1)[:-20]),
    "a cut stream of Arrow": ("a.arrows", columnar(pa.table({"x": [1, 2, 3]}), ".arrows", 1)[:-8]),
    "a cut ORC": ("a.orc", columnar(pa.table({"x": [1, 2, 3]}), ".orc", 1)[:-9]),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("size", [16, 64])
def test_what_is_wrong_is_told_in_the_same_words(name: str, size: int, tmp_path: Path) -> None:
    key, content = BROKEN[name]
    objects = stored(tmp_path, key, content)
    found = in_pieces(objects, DatasetReading(), size)
    assert found is not None
    assert found.checks == load(objects, None, ALL).checks != ()
    assert not found.is_readable
