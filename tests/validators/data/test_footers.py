"""What a footer says is believed only where it is right: with footers and without, a suite gets the
same answers, whoever wrote the file."""

import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from tests.validators.data.generated import KINDS, tables, written
from tests.validators.data.test_streaming import SLOWLY, answered, assert_same, opened
from validators.data.metrics.footers import RowGroup
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.objects import ObjectFile
from validators.data.reading.stream import ParquetPart
from validators.data.suites.suite import Expectation

_NOT_IN_POLARS = {"widest", "nothing"}
_NOT_IN_DELTA = {
    *_NOT_IN_POLARS, "uint8", "uint16", "uint32", "uint64", "seconds", "nanos", "clock", "span",
    "category",
}  # fmt: skip
STATISTICS: list[Any] = [True, False, "full", {"min": True, "max": True, "null_count": False}]


class WithoutFooter(ParquetPart):
    """A file whose footer says nothing about values."""

    def footer(self, group: int) -> RowGroup | None:  # type: ignore[override]  # noqa: ARG002
        return None


def without_footers(dataset: OpenedDataset) -> OpenedDataset:
    """The dataset, with its rows as the only witness."""
    parts = []
    for part in dataset.parts:
        assert isinstance(part, ParquetPart)
        parts.append(WithoutFooter(**{one.name: getattr(part, one.name) for one in fields(part)}))
    return replace(dataset, parts=tuple(parts))


def asked(table: pa.Table) -> list[Expectation]:
    """Everything that a footer could answer, about each column, with limits that it may hold."""
    suite = [Expectation("expect_table_row_count_to_equal", {"value": table.num_rows})]
    for name in table.column_names:
        held = [written(one) for one in table.column(name).to_pylist() if one is not None]
        limits = {"min_value": held[0], "max_value": held[-1]} if held else {"min_value": 0}
        suite += [
            Expectation(f"expect_column_{kind}", {"column": name, **more})
            for kind, more in (
                ("values_to_be_null", {}),
                ("values_to_not_be_null", {}),
                ("proportion_of_non_null_values_to_be_between", {"min_value": 0.5}),
                ("values_to_be_between", limits),
                ("min_to_be_between", limits),
                ("max_to_be_between", limits),
            )
        ]
    return suite


def believes_only_what_is_right(folder: Path, files: Sequence[Path], table: pa.Table) -> None:
    objects = [ObjectFile(key=one.name, path=str(one)) for one in files]
    dataset, suite = opened(objects, table), asked(table)
    assert dataset.is_readable, dataset.checks
    assert_same(answered(dataset, suite), answered(without_footers(dataset), suite), suite)


@given(tables(), st.integers(1, 6), st.booleans(), st.booleans(), st.sampled_from(["1.0", "2.6"]))
@SLOWLY
def test_of_a_file_by_arrow(
    table: pa.Table, group: int, statistics: bool, coded: bool, version: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "a.parquet")
        pq.write_table(
            table,
            file,
            row_group_size=group,
            write_statistics=statistics,
            use_dictionary=coded,
            version=version,
            use_deprecated_int96_timestamps=not coded,
        )
        believes_only_what_is_right(Path(name), [file], table)


@given(
    tables([kind for kind in KINDS if kind not in _NOT_IN_POLARS]),
    st.integers(1, 6),
    st.sampled_from(STATISTICS),
)
@SLOWLY
def test_of_a_file_by_polars(table: pa.Table, group: int, statistics: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "p.parquet")
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        frame.write_parquet(file, row_group_size=group, statistics=statistics)
        believes_only_what_is_right(Path(name), [file], table)


@given(tables([kind for kind in KINDS if kind not in _NOT_IN_DELTA]))
@SLOWLY
def test_of_the_files_of_a_delta_table(table: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_deltalake(name, table)
        files = sorted(Path(name).glob("*.parquet"))
        if files:
            believes_only_what_is_right(Path(name), files, table)
