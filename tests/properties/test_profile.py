"""Whatever a dataset holds: it passes the suite that is proposed from it."""

import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from tests.validators.data.profile.profiling import judged, objects_in, proposed
from validators.verdict import Verdict

NAMES = st.sampled_from(
    [
        "x",
        "order_id",
        "email",
        "no",
        "Größe",
        "a b",
        "1",
        "month",
        "year",
        'quote"d',
        "line\nbreak",
        "bell\x07\u2028",
    ]
)
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64()]
TEXTS = st.text(max_size=8) | st.from_regex(r"[A-Z]{2}-[0-9]{1,4}", fullmatch=True)
TIMES = st.datetimes(
    datetime.datetime(1678, 1, 1),  # noqa: DTZ001 - Arrow adds the zone
    datetime.datetime(2261, 1, 1),  # noqa: DTZ001
)


def integers(kind: Any) -> st.SearchStrategy[int]:
    most = 2**kind.bit_width - 1
    half = 0 if pa.types.is_unsigned_integer(kind) else -(-most // 2)
    low, high = -half, most - half
    return st.integers(low, high) | st.integers(max(low, -3), 12)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an Arrow type, extreme ones included."""
    types = pa.types
    if types.is_dictionary(kind):
        return values_of(kind.value_type)
    if types.is_list(kind):
        return st.lists(values_of(kind.value_type), max_size=2)
    if types.is_struct(kind):
        return st.fixed_dictionaries({"a": values_of(pa.int64())})
    if types.is_integer(kind):
        return integers(kind)
    if types.is_floating(kind):
        return st.floats(width=kind.bit_width) | st.floats(0, 1, width=kind.bit_width)
    if types.is_decimal(kind):
        return st.decimals(-999, 999, places=2)
    if types.is_timestamp(kind):
        return TIMES
    return {
        pa.bool_(): st.booleans(),
        pa.binary(): st.binary(max_size=4),
        pa.date32(): st.dates(),
        pa.time64("us"): st.times(),
        pa.duration("us"): st.timedeltas(datetime.timedelta(-9), datetime.timedelta(9)),
        pa.null(): st.none(),
    }.get(kind, TEXTS)


KINDS = [
    *INTEGERS, pa.float16(), pa.float32(), pa.float64(), pa.decimal128(5, 2), pa.bool_(),
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.date32(), pa.time64("us"),
    pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ms", "Europe/Berlin"),
    pa.duration("us"), pa.null(), pa.list_(pa.int64()), pa.struct({"a": pa.int64()}),
    pa.dictionary(pa.int32(), pa.string()),
]  # fmt: skip


IN_CSV = [pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.date32(), pa.timestamp("us")]


@st.composite
def tables(draw: st.DrawFn, kinds: list[Any]) -> Any:
    """A table of a few columns; some values occur often, so that sets are worth proposing."""
    rows = draw(st.sampled_from([1, 2, 25, 120]))
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(kinds))
        some = draw(st.lists(values_of(kind), min_size=1, max_size=30))
        every = [some[at % len(some)] for at in range(rows)]
        for at in draw(st.lists(st.integers(0, rows - 1), max_size=3)):
            every[at] = None
        columns[name] = pa.array(every, kind)
    return pa.table(columns)


def check(write: Callable[[Any, Path], object], table: Any, key: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(table, folder / key)
        objects = objects_in(folder, key)
        found = proposed(objects)
        assert found.problems == ()
        assert found.text is not None
        report = judged(folder, objects, found.text)
    assert {check.verdict for check in report.checks} == {Verdict.PASS}, found.text
    assert len(report.checks) == found.expectations


@settings(max_examples=150, deadline=None)
@given(tables(KINDS))
def test_a_dataset_passes_the_suite_that_is_proposed_from_it(table: Any) -> None:
    check(lambda table, path: pq.write_table(table, path, row_group_size=50), table, "a.parquet")


@settings(max_examples=60, deadline=None)
@given(tables(IN_CSV))
def test_so_does_one_whose_types_are_read_from_text(table: Any) -> None:
    whole = table.append_column("row", [list(range(len(table)))])  # an empty line is no row
    check(csv.write_csv, whole, "a.csv")
