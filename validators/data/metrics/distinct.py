"""Distinct values of texts, and of rows: by value as long as they are few, else by their hashes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from validators.data.metrics.batch import Distinct, RowBatch, added
from validators.data.metrics.metric import ColumnMetric, OfColumn
from validators.data.metrics.tally import MOST_KEPT, Piece, Repetition, SortedCounts, piece_of

MOST: Final = 10_000
"""Distinct values of a column that are told apart by value."""
_SAMPLE: Final = 4 * MOST
_COUNTS: Final = "rows"


@dataclass(frozen=True)
class FewValues(OfColumn):
    """How often each value occurs, as a `Distinct`; None if there are more than `MOST`."""

    def of(self, batch: RowBatch) -> Distinct | None:
        import pyarrow.compute as pc

        encoded = batch.encoded(self.column)
        if encoded is None:
            values = batch.values(self.column)
            if len(values) > _SAMPLE and pc.count_distinct(values[:_SAMPLE]).as_py() > MOST:
                return None
        found = batch.distinct(self.column)
        return found if len(found.values) <= MOST else None

    def merged(self, states: Sequence[Distinct | None]) -> Distinct | None:
        known = [state for state in states if state is not None]
        if len(known) < len(states):
            return None
        found = added(known)
        return found if len(found.values) <= MOST else None

    def dump(self, state: Distinct | None) -> Any:
        import pyarrow as pa

        if state is None:
            return "many"
        kind = state.values.type
        if len(state.values) > MOST_KEPT or not (
            pa.types.is_string(kind) or pa.types.is_large_string(kind)
        ):
            return None
        return [str(kind), state.values.to_pylist(), state.counts.tolist()]

    def load(self, dumped: Any) -> Distinct | None:
        import numpy as np
        import pyarrow as pa

        if dumped == "many":
            return None
        kind, values, counts = dumped
        as_type = pa.string() if kind == "string" else pa.large_string()
        return Distinct(pa.array(values, as_type), np.array(counts, np.int64))


@dataclass(frozen=True)
class AllValues(OfColumn):
    """Every value, as a list of Arrow arrays: for what nothing smaller can answer."""

    def of(self, batch: RowBatch) -> list[Any]:
        return list(batch.values(self.column).chunks)

    def merged(self, states: Sequence[list[Any]]) -> list[Any]:
        return [chunk for state in states for chunk in state]

    def dump(self, state: list[Any]) -> None:
        """Never kept."""


@dataclass(frozen=True)
class _OfRows(ColumnMetric):
    """About the values of several columns together, of the rows that `ignored` leaves."""

    over: tuple[str, ...]
    ignored: str

    @property
    def columns(self) -> tuple[str, ...]:
        return self.over

    def _rows(self, batch: RowBatch) -> Any:
        """A table of those rows."""
        return batch.with_values(self.over, self.ignored).settled(self.over)


@dataclass(frozen=True)
class Hashed(_OfRows):
    """The pieces (see `tally`) of the rows' hashes: equal rows have equal hashes, so a hash that
    occurs once is a row that occurs once. `Alike` tells the others apart."""

    @property
    def is_large(self) -> bool:
        return True

    def of(self, batch: RowBatch) -> list[Piece]:
        found = piece_of(hashes(self._rows(batch)))
        return [] if found is None else [found]

    def merged(self, states: Sequence[list[Piece]]) -> list[Piece]:
        return [piece for state in states for piece in state]

    def seen(self, state: SortedCounts) -> "HashCounts":
        return HashCounts(state.n, state.distinct, state.once, state.repeated)

    def dump(self, state: list[Piece]) -> None:
        """Never kept: the hashes of another version of Polars may be others."""


class HashCounts(NamedTuple):
    """How many rows there are, distinct hashes, hashes that occur once, and all others, sorted."""

    n: int
    distinct: int
    once: int
    repeated: Any


@dataclass(frozen=True)
class Alike(_OfRows):
    """The distinct rows among those whose hash occurs more than once, with their counts."""

    repeated: Any = field(repr=False, compare=False)
    """The hashes, sorted."""

    def of(self, batch: RowBatch) -> Any:
        import numpy as np
        import pyarrow as pa

        rows = self._rows(batch)
        found = hashes(rows)
        places = np.searchsorted(self.repeated, found).clip(max=len(self.repeated) - 1)
        alike = rows.filter(pa.array(self.repeated[places] == found))
        return alike.group_by(list(self.over), use_threads=False).aggregate([([], "count_all")])

    def merged(self, states: Sequence[Any]) -> Any:
        import pyarrow as pa

        every = pa.concat_tables(states)
        groups = every.group_by(list(self.over), use_threads=False)
        return groups.aggregate([("count_all", "sum")]).rename_columns([*self.over, "count_all"])

    def dump(self, state: Any) -> None:
        """Never kept."""


def repetition_of(found: HashCounts, alike: Any) -> Repetition:
    """All distinct rows, given the counts of their hashes and the state of `Alike` for it."""
    import pyarrow.compute as pc

    counts = alike["count_all"]
    once = int(pc.sum(pc.equal(counts, 1)).as_py() or 0)
    return Repetition(found.n, found.once + alike.num_rows, found.once + once)


def hashes(table: Any) -> Any:
    """A hash of 64 bits for each row; equal rows of equal types have equal hashes."""
    import polars as pl
    import pyarrow as pa

    plain = pa.table({
        str(at): column.cast(pa.string()) if pa.types.is_decimal(column.type) else column
        for at, column in enumerate(table.columns)
    })  # fmt: skip
    frame = pl.from_arrow(plain)
    assert isinstance(frame, pl.DataFrame)
    return frame.hash_rows(seed=0).to_numpy()
