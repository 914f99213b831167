"""How the values of a column are spread: for pictures of the columns whose checks fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from validators.data.literals import members
from validators.data.metrics.batch import RowBatch, counted
from validators.data.metrics.metric import OfColumn

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def unit_of(kind: Any) -> str | None:
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
        import numpy as np

        places = np.searchsorted(self.edges, _floats(batch.values(self.column)), side="right")
        return [int(one) for one in np.bincount(places, minlength=len(self.edges) + 1)]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]


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


@dataclass(frozen=True)
class MemberTally(OfColumn):
    """How many values equal each member that a suite lists, and how many there are."""

    listed: tuple[object, ...]

    def of(self, batch: RowBatch) -> list[int]:
        import pyarrow.compute as pc

        values, weights = batch.distinct(self.column)
        each = [members([one], values.type) for one in self.listed]
        found = [counted(pc.is_in(values, value_set=one), weights) for one in each]
        return [*found, int(weights.sum())]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]
