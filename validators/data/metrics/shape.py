"""How the values of a column are spread: for pictures of the columns whose checks fail, and of the
same columns of the version that is shown beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp
from typing import Any, Final, Literal

from validators.data.metrics.batch import RowBatch, counted, counted_values
from validators.data.metrics.bins import Steps
from validators.data.metrics.metric import OfColumn
from validators.data.values.literals import members

SAMPLE: Final = 1 << 12
"""Rows of a batch from which it is estimated how the values of all are spread."""
CELLS: Final = 96
"""Cells with values that are told apart, at most."""
_FINEST: Final = 20
"""Cells that are told apart if the values are close to each other: so many powers of two."""
_LEAST: Final = -1000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def unit_of(kind: Any) -> Literal["number", "day", "second"] | None:
    """What the values of a type are drawn in; None if they are not drawn."""
    import pyarrow as pa

    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_date(kind):
        return "day"
    return "second" if types.is_timestamp(kind) else None


def per_unit(kind: Any) -> int:
    """How many steps of the type (see `literals.Position`) make one of its unit."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return int(10**kind.scale)
    return _PER_SECOND[kind.unit] if pa.types.is_timestamp(kind) else 1


@dataclass(frozen=True)
class Binned(OfColumn):
    """How many values are below the first edge, from each edge to the next, and above the last, in
    the unit of the column. Values are rounded to floats: this is for a picture."""

    edges: tuple[float, ...]

    def of(self, batch: RowBatch) -> list[int]:
        return _binned(self.edges, _floats(batch.values(self.column)))

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]


@dataclass(frozen=True)
class BinnedLengths(Binned):
    """The same of the lengths of texts, in characters."""

    def of(self, batch: RowBatch) -> list[int]:
        return _binned(self.edges, *_lengths(batch, self.column))


def _binned(edges: Sequence[float], floats: Any, weights: Any = None) -> list[int]:
    import numpy as np

    places = np.searchsorted(edges, floats, side="right")
    return [int(one) for one in np.bincount(places, weights, minlength=len(edges) + 1)]


def _floats(values: Any) -> Any:
    """The values as floats, in the unit of their type."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_date(kind):
        values = values.cast(pa.date32()).cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        values = values.cast(pa.int64())
    floats = values.cast(pa.float64(), safe=False).to_numpy()
    return floats / _PER_SECOND[kind.unit] if pa.types.is_timestamp(kind) else floats


def _lengths(batch: RowBatch, column: str) -> tuple[Any, Any]:
    """The lengths of texts as floats, and how often each occurs; None: once."""
    import pyarrow.compute as pc

    encoded = batch.encoded(column)
    values = batch.values(column) if encoded is None else encoded.values
    lengths = pc.utf8_length(values).to_numpy().astype(float)
    return lengths, None if encoded is None else encoded.counts


@dataclass(frozen=True)
class MemberTally(OfColumn):
    """How many values equal each member that a suite lists, and how many there are."""

    listed: tuple[object, ...]

    def of(self, batch: RowBatch) -> list[int]:
        return _tally(self.listed, *batch.distinct(self.column))

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]


def _tally(listed: Sequence[object], values: Any, weights: Any) -> list[int]:
    import pyarrow.compute as pc

    each = [members([one], values.type) for one in listed]
    found = [counted(pc.is_in(values, value_set=one), weights) for one in each]
    return [*found, int(weights.sum())]


def _sample(batch: RowBatch, column: str) -> tuple[Any, int]:
    """Values of some rows of a batch, and for how many rows each of these stands. They are spread
    evenly over the batch but for a little, so that no order of its rows is in step with them."""
    import numpy as np

    found = batch.column(column)
    share = -(-batch.rows // SAMPLE)
    if share > 1:
        number = np.arange(batch.rows // share)
        aside = (number.astype(np.uint64) * np.uint64(2654435761) >> np.uint64(8)) % np.uint64(
            share
        )
        found = _taken(found, number * share + aside.astype(np.int64))
    return found.drop_null(), max(share, 1)


def _taken(column: Any, places: Any) -> Any:
    """The values at rising places of a column, of which nothing else is copied."""
    import numpy as np
    import pyarrow as pa

    starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
    cuts = np.searchsorted(places, starts)
    parts = zip(column.chunks, starts, cuts, cuts[1:], strict=False)
    return pa.chunked_array(
        [chunk.take(pa.array(places[first:last] - start)) for chunk, start, first, last in parts],
        column.type,
    )


@dataclass(frozen=True)
class Sketched(OfColumn):
    """About how many values there are in each cell: [exponent, [[place, count] ...], estimated].

    A cell begins at `by` after `place` times two to the exponent units. There are as many as it
    takes to tell `CELLS` apart. The counts are exact for batches of few rows, and otherwise
    estimated from a sample, which depends on the batches.
    """

    by: Steps

    def of(self, batch: RowBatch) -> list[Any]:
        values, share = _sample(batch, self.column)
        return self._cells(_floats(values), share, share > 1)

    def _cells(self, floats: Any, weights: Any, estimated: bool) -> list[Any]:
        import numpy as np

        weights = np.broadcast_to(np.asarray(weights), floats.shape)
        finite = np.isfinite(floats)
        units = (floats[finite] - self.by.anchor) / self.by.unit
        if not len(units):
            return [_LEAST, [], estimated]
        reach = max(float(np.ptp(units)), float(np.abs(units).max()) * 2.0**-32, 2.0**-900)
        exponent = frexp(reach)[1] - _FINEST
        places = np.floor(units / 2.0**exponent).astype(np.int64)
        weights = weights[finite]
        if np.ptp(weights):  # of texts that are told apart; else the order of the places will do
            order = np.argsort(places, kind="stable")
            places, weights = places[order], weights[order]
        else:
            places.sort()
        while np.count_nonzero(np.diff(places)) >= CELLS:
            exponent, places = exponent + 1, places >> 1
        each, first = np.unique(places, return_index=True)
        counts = np.add.reduceat(weights, first)
        cells = [[int(at), int(n)] for at, n in zip(each, counts, strict=True)]
        return [exponent, cells, estimated]

    def merged(self, states: Sequence[list[Any]]) -> list[Any]:
        exponent = max(state[0] for state in states)
        cells: dict[int, int] = {}
        for of, several, _ in states:
            for place, count in several:
                at = place >> (exponent - of)
                cells[at] = cells.get(at, 0) + count
        return _coarser(exponent, cells, any(state[2] for state in states))


def _coarser(exponent: int, cells: dict[int, int], estimated: bool) -> list[Any]:
    """The state with so few cells as are told apart."""
    while len(cells) > CELLS:
        exponent += 1
        wider: dict[int, int] = {}
        for place, count in cells.items():
            wider[place >> 1] = wider.get(place >> 1, 0) + count
        cells = wider
    return [exponent, [[place, cells[place]] for place in sorted(cells)], estimated]


@dataclass(frozen=True)
class SketchedLengths(Sketched):
    """The same of the lengths of texts, in characters."""

    def of(self, batch: RowBatch) -> list[Any]:
        if batch.encoded(self.column) is not None:
            lengths, counts = _lengths(batch, self.column)
            return self._cells(lengths, counts, estimated=False)
        import pyarrow.compute as pc

        values, share = _sample(batch, self.column)
        return self._cells(pc.utf8_length(values).to_numpy().astype(float), share, share > 1)


@dataclass(frozen=True)
class SketchedTally(OfColumn):
    """About how many values equal each member that a suite lists, how many there are, and whether
    that is estimated."""

    listed: tuple[object, ...]

    def of(self, batch: RowBatch) -> list[int]:
        encoded = batch.encoded(self.column)
        if encoded is not None:
            return [*_tally(self.listed, *encoded), False]
        values, share = _sample(batch, self.column)
        counts = _tally(self.listed, *counted_values(values))
        return [*(share * one for one in counts), share > 1]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        *counts, estimated = zip(*states, strict=True)
        return [*map(sum, counts), any(estimated)]
