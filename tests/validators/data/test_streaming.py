"""However the rows lie in files and row groups, and whatever was measured before, a suite gets the
answers that it gets from one table in memory."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.validators.data.generated import expectations, tables
from validators.data.answering.answers import answers
from validators.data.answering.measure import Work
from validators.data.metrics.kept import KeptMetrics
from validators.data.reading.dataset import OpenedDataset, in_memory
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.opening import open_dataset
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation

SLOWLY = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[pa.Table, list[Expectation], list[int], int]:
    """A table, a suite, the rows at which a new file begins, and the rows of a group."""
    table = draw(tables())
    suite = draw(st.lists(expectations(table), min_size=1, max_size=6))
    cuts = draw(st.lists(st.integers(0, table.num_rows), max_size=2))
    return table, suite, sorted(cuts), draw(st.integers(1, 6))


def write(folder: Path, table: pa.Table, cuts: Sequence[int], group: int) -> list[ObjectFile]:
    """The table in several files; the content of a file is its digest."""
    objects = []
    for at, (start, end) in enumerate(zip([0, *cuts], [*cuts, table.num_rows], strict=True)):
        path = folder / f"part-{at}.parquet"
        pq.write_table(table.slice(start, end - start), path, row_group_size=group)
        objects.append(
            ObjectFile(key=path.name, path=str(path), digest=f"{at} {path.stat().st_size}")
        )
    return objects


def opened(objects: Sequence[ObjectFile], table: pa.Table) -> OpenedDataset:
    """The dataset of these objects; every column of the table is read."""
    return open_dataset(objects, frozenset(table.column_names), frozenset(), DatasetReading())


def answered(
    dataset: OpenedDataset,
    suite: Sequence[Expectation],
    kept: KeptMetrics | None = None,
) -> list[ExpectationOutcome]:
    """The outcomes in the order of the suite."""
    found = answers(dataset, dict(enumerate(suite)), Work(kept or KeptMetrics()))
    return sorted(found, key=lambda one: one.place)


def same(one: ExpectationOutcome, other: ExpectationOutcome) -> bool:
    """Whether two outcomes are equal, apart from the rounding of sums of floats. One table has no
    objects that could be named."""
    mine, theirs = ({**vars(each), "objects": ()} for each in (one, other))
    near = all(
        isinstance(value, float) and not math.isnan(value)
        for value in (mine["observed"], theirs["observed"])
    ) and math.isclose(mine["observed"], theirs["observed"], rel_tol=1e-9, abs_tol=1e-9)
    if near or repr(mine["observed"]) == repr(theirs["observed"]):
        mine["observed"] = theirs["observed"] = None
    return repr(mine) == repr(theirs)


def assert_same(
    found: Sequence[ExpectationOutcome], expected: Sequence[ExpectationOutcome], suite: Any
) -> None:
    for one, other, of in zip(found, expected, suite, strict=True):
        assert same(one, other), (of, one, other)


@given(cases())
@SLOWLY
def test_files_and_row_groups_answer_as_one_table(case: Any) -> None:
    table, suite, cuts, group = case
    with tempfile.TemporaryDirectory() as folder:
        streamed = opened(write(Path(folder), table, cuts, group), table)
        whole = in_memory(_as_stored(table, Path(folder)), table.column_names)
        assert_same(answered(streamed, suite), answered(whole, suite), suite)


def _as_stored(table: pa.Table, folder: Path) -> pa.Table:
    """With the types that Parquet has: no seconds, and other names inside of lists."""
    pq.write_table(table, folder / "whole.parquet")
    return pq.read_table(folder / "whole.parquet")


@given(cases())
@SLOWLY
def test_what_was_measured_before_changes_no_answer(case: Any) -> None:
    table, suite, cuts, group = case
    with tempfile.TemporaryDirectory() as name:
        folder, kept = Path(name), KeptMetrics()
        objects = write(folder, table, cuts, group)
        cold = answered(opened(objects, table), suite)
        answered(opened(objects[:-1] or objects, table), suite, kept)
        kept.write(folder / "known.json")
        first = KeptMetrics(folder / "known.json")
        assert_same(answered(opened(objects, table), suite, first), cold, suite)
        first.write(folder / "known.json")
        again = KeptMetrics(folder / "known.json")
        assert_same(answered(opened(objects, table), suite, again), cold, suite)
