"""What is known about the columns of a dataset before anything is proposed about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from validators.data.answering.measure import Work, measure, rows_of
from validators.data.metrics.distinct import FewValues
from validators.data.metrics.lengths import LengthExtremes
from validators.data.metrics.measured import MetricNeed
from validators.data.metrics.metric import ColumnMetric, Extremes, Nulls, position_of
from validators.data.metrics.tally import SortedCounts, Tallied, has_keys
from validators.data.reading.dataset import OpenedDataset, in_memory
from validators.data.values.common_types import is_text
from validators.data.values.literals import steps

SAMPLE: Final = 500_000
"""Rows that are looked at twice, at most."""
_CELLS: Final = 20_000_000
"""Values of the sample over all columns, at most."""
_GROUPS: Final = 16
"""Groups of rows that a sample is taken from."""
_TEXTS: Final = 5_000
"""Rows whose texts show what the texts of a column look like."""
_IN_1000: Final = 1

Span = tuple[Fraction | float, Fraction | float]
"""Numbers as they are written; days and times in steps of the type."""


@dataclass(frozen=True)
class ColumnFacts:
    """What is known about one column. Nothing but `few` and `looks` has values of it as text."""

    name: str
    kind: Any
    """Its Arrow type, once it is settled."""
    stored: Any
    """Its Arrow type in the files."""
    rows: int
    nulls: int
    span: Span | None = None
    """Least and greatest value."""
    core: Span | None = None
    """Between them lie 99.8 % of the values of the sample."""
    few: tuple[tuple[Any, int], ...] | None = None
    """Every value with how often it occurs, in ascending order; None if there are many."""
    lengths: tuple[int, int] | None = None
    """The shortest and the longest text, in characters."""
    looks: tuple[str, ...] = ()
    """Some of its texts."""

    @property
    def values(self) -> int:
        """How many values are not null."""
        return self.rows - self.nulls

    @property
    def few_distinct(self) -> int | None:
        """How many different values there are; None if there are many."""
        return None if self.few is None else len(self.few)


def sample_of(dataset: OpenedDataset, columns: Sequence[str]) -> OpenedDataset:
    """All rows if there are few, else some of up to 16 groups all over the dataset."""
    most = max(1_000, min(SAMPLE, _CELLS // max(1, len(columns))))
    if dataset.rows <= most:
        return in_memory(rows_of(dataset, None, columns), dataset.columns)
    import pyarrow as pa

    groups = [(part, at) for part in dataset.parts for at in range(part.groups)]
    chosen = groups[:: -(-len(groups) // _GROUPS)]
    share = -(-most // len(chosen))
    pieces = []
    for part, group in chosen:
        left = share
        for batch in part.read(group, columns):
            piece = batch.settled(columns).slice(0, left)
            pieces.append(piece)
            left -= piece.num_rows
            if left == 0:
                break
    return in_memory(pa.concat_tables(pieces), dataset.columns)


def facts_of(
    dataset: OpenedDataset, sample: OpenedDataset, columns: Sequence[str]
) -> list[ColumnFacts]:
    """What is known about each of these columns, from one pass over the rows."""
    kinds = dataset.kinds
    whole = _measured(dataset, [one for name in columns for one in _of_all(name, kinds[name])])
    tallied = [Tallied(name) for name in columns if _is_number(kinds[name])]
    some = _measured(sample, tallied)
    return [_facts(dataset, sample, name, whole, some) for name in columns]


def _measured(dataset: OpenedDataset, metrics: Sequence[ColumnMetric]) -> dict[ColumnMetric, Any]:
    """The states of the metrics, without those that the column's type does not have."""
    needs = [MetricNeed(None, one) for one in metrics]
    found = measure(dataset, needs, Work())
    return {need.metric: state for need, state in found.items() if not isinstance(state, Exception)}


def _of_all(name: str, kind: Any) -> Iterator[ColumnMetric]:
    import pyarrow as pa

    yield Nulls(name)
    if has_keys(kind) or pa.types.is_decimal(kind):
        yield Extremes(name)
    if is_text(kind):
        yield LengthExtremes(name)
    if is_text(kind) or pa.types.is_integer(kind):
        yield FewValues(name)


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return number and has_keys(kind)


def _facts(
    dataset: OpenedDataset,
    sample: OpenedDataset,
    name: str,
    whole: Mapping[ColumnMetric, Any],
    some: Mapping[ColumnMetric, Any],
) -> ColumnFacts:
    kind = dataset.kinds[name]
    rows, nulls = whole[Nulls(name)]
    ends = whole.get(Extremes(name))
    counts = some.get(Tallied(name))
    return ColumnFacts(
        name=name,
        kind=kind,
        stored=dataset.types[name],
        rows=rows,
        nulls=nulls,
        span=_written(ends, kind) if ends else None,
        core=_core(counts, kind) if counts is not None and counts.n else None,
        few=_counted(whole.get(FewValues(name))),
        lengths=tuple(whole.get(LengthExtremes(name)) or ()) or None,
        looks=_looks(sample, name) if is_text(kind) else (),
    )


def _written(ends: Sequence[Any], kind: Any) -> Span:
    low, high = (_as_written(position_of(end), kind) for end in ends)
    return low, high


def _as_written(at: float, kind: Any) -> Fraction | float:
    return Fraction(at) / steps(kind) if isinstance(at, int) else at


def _core(tally: SortedCounts, kind: Any) -> Span:
    cut = tally.n * _IN_1000 // 1000
    low, high = (_as_written(tally.at(place), kind) for place in (cut, tally.n - 1 - cut))
    return low, high


def _counted(found: Any) -> tuple[tuple[Any, int], ...] | None:
    if found is None:
        return None
    return tuple(sorted(zip(found.values.to_pylist(), found.counts.tolist(), strict=True)))


def _looks(sample: OpenedDataset, name: str) -> tuple[str, ...]:
    import pyarrow.compute as pc

    table = rows_of(sample, None, [name])
    every = -(-table.num_rows // _TEXTS)
    places = list(range(0, table.num_rows, every))
    return tuple(pc.unique(table.column(name).take(places).drop_null()).to_pylist())
