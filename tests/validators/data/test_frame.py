"""Every column that Arrow can hold becomes one that can be compared, and loses nothing."""

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from validators.data.answering.answers import answers
from validators.data.reading.dataset import in_memory
from validators.data.suites.suite import Expectation
from validators.data.values.frame import frame_of, settled
from validators.report import GREAT_EXPECTATIONS

WHEN = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
HELD: list[tuple[Any, list[Any]]] = [
    *((getattr(pa, f"{sign}int{bits}")(), [1, 2])
      for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *((kind, [0.5, -1.5]) for kind in (pa.float16(), pa.float32(), pa.float64())),
    *((kind, [Decimal("1.10"), Decimal("-0.01")]) for kind in (
        pa.decimal32(9, 2), pa.decimal64(18, 2), pa.decimal128(38, 2), pa.decimal256(76, 2))),
    *((kind, ["a", "b"]) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *((kind, [b"ab", b"cd"]) for kind in (
        pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2))),
    *((kind, [date(2024, 5, 1), date(1, 1, 1)]) for kind in (pa.date32(), pa.date64())),
    *((pa.timestamp(unit, zone), [WHEN, datetime(1970, 1, 1, tzinfo=UTC)])
      for unit in ("s", "ms", "us", "ns") for zone in ("UTC", "Asia/Kathmandu", "+05:30")),
    *((kind, [time(1), time(23, 59)]) for kind in (
        pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))),
    (pa.duration("us"), [timedelta(1), timedelta(2)]),
    (pa.bool_(), [True, False]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b"]),
    (pa.dictionary(pa.int16(), pa.int64()), [2**53 + 1, 2]),
    (pa.run_end_encoded(pa.int32(), pa.int64()), [2**53 + 1, 2]),
    (pa.uuid(), [uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes]),
    (pa.list_(pa.int64()), [[1], [2]]),
    (pa.struct([("a", pa.int64())]), [{"a": 1}, {"a": 2}]),
]  # fmt: skip


def _array(kind: Any, values: list[Any]) -> Any:
    if pa.types.is_run_end_encoded(kind):
        ends = pa.array(range(1, len(values) + 1), kind.run_end_type)
        return pa.RunEndEncodedArray.from_arrays(ends, pa.array(values, kind.value_type))
    return pa.array(values, kind)


@pytest.mark.parametrize(("kind", "values"), HELD, ids=[str(kind) for kind, _ in HELD])
def test_a_column_keeps_its_values_and_their_nulls(kind: Any, values: list[Any]) -> None:
    table = pa.table({"x": _array(kind, [*values, None, values[0]])})
    column = settled(table).column("x")
    assert column.to_pylist() == [*values, None, values[0]]
    frame = frame_of(settled(table))
    assert frame["x"].isna().tolist() == [False, False, True, False]
    assert frame["x"].dtype.kind != "f" or pa.types.is_floating(kind)


@pytest.mark.parametrize(("kind", "values"), HELD, ids=[str(kind) for kind, _ in HELD])
def test_every_column_can_be_looked_at_for_nulls_and_repeats(kind: Any, values: list[Any]) -> None:
    table = pa.table({"x": _array(kind, [*values, None, values[0]])})
    asked = {
        at: Expectation(f"expect_column_values_to_{what}", {"column": "x"})
        for at, what in enumerate(["not_be_null", "be_unique"])
    }
    nulls, repeats = answers(in_memory(table, ("x",)), asked)
    assert (nulls.success, nulls.unexpected) == (False, 1)
    if isinstance(values[0], list | dict):
        assert repeats.engine == GREAT_EXPECTATIONS  # Arrow compares no lists and structs
    else:
        assert (repeats.raised, repeats.unexpected) == (None, 2)


def test_what_is_not_a_number_is_null_and_a_negative_zero_is_zero() -> None:
    table = settled(pa.table({"x": pa.array([float("nan"), -0.0, None, 0.0])}))
    assert table.column("x").to_pylist() == [None, 0.0, None, 0.0]
    assert [str(one) for one in table.column("x").to_pylist()] == ["None", "0.0", "None", "0.0"]
