"""Sums and spread: exact for whole numbers, decimals, days and times; floats for floats.

Moments of parts are put together by Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances" (1979).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import fsum
from typing import Any, Final

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.metric import OfColumn
from validators.data.values.literals import Unfit, decimal_of, steps

_PIECE: Final = 1 << 20
_ROOM: Final = 2**63


def is_countable(kind: Any) -> bool:
    """Whether the type holds whole numbers or decimals."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def numbers_of(batch: RowBatch, column: str) -> Any:
    """The values, with true as 1 and false as 0."""
    import pyarrow as pa

    values = batch.values(column)
    return values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values


@dataclass(frozen=True)
class Total(OfColumn):
    """The sum of the values in steps of the column's type, as an int, or a float for floats.

    `what` is the word for it if the column has none: "sum" or "mean".
    """

    what: str

    def of(self, batch: RowBatch) -> int | float:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = numbers_of(batch, self.column)
        kind = values.type
        if pa.types.is_floating(kind):
            return float(pc.sum(values).as_py() or 0.0)
        if not (is_countable(kind) or pa.types.is_temporal(kind)):
            raise Unfit(f"a column of {kind} has no {self.what}")
        return _exact_sum(batch, self.column, values)

    def merged(self, states: Sequence[int | float]) -> int | float:
        if any(isinstance(state, float) for state in states):
            try:
                return fsum(states)
            except (OverflowError, ValueError):  # infinities of both signs, or beyond all floats
                return sum(map(float, states))
        return sum(states)


def _exact_sum(batch: RowBatch, column: str, values: Any) -> int:
    """In steps of the type; it may not fit in 64 bits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    extremes = batch.extremes(column)
    if extremes is None:
        return 0
    largest = max(abs(int(at)) for at in extremes)
    if not pa.types.is_decimal(values.type) and largest * len(values) < _ROOM:
        whole = pa.int32() if values.type.bit_width == 32 else pa.int64()
        plain = values.cast(whole) if pa.types.is_temporal(values.type) else values
        return int(pc.sum(plain).as_py())
    exact = sum((Fraction(pc.sum(_wide(piece)).as_py()) for piece in _pieces(values)), Fraction(0))
    return int(exact * steps(values.type))


def _pieces(column: Any) -> Iterator[Any]:
    """The column in pieces small enough to be cast to wider types."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _PIECE):
            yield chunk.slice(start, _PIECE)


def _wide(piece: Any) -> Any:
    """Whole numbers and decimals as a type with room for sums and differences."""
    import pyarrow as pa

    kind = piece.type
    if pa.types.is_temporal(kind):
        piece = piece.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    return piece.cast(pa.decimal256(75, kind.scale if pa.types.is_decimal(kind) else 0))


def away_from(values: Any, centre: Fraction | float) -> Any:
    """The distances of the values from a centre as a numpy array of float64.

    The centre is subtracted before anything becomes a float, so that large numbers that are close
    together keep their differences.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_floating(kind):
        with np.errstate(invalid="ignore"):
            return values.cast(pa.float64()).to_numpy() - float(centre)
    at = Fraction(centre) * steps(kind)
    middle = round(at)
    rest = float((at - middle) / steps(kind))
    if pa.types.is_integer(kind) and _are_small(values, middle):
        return (values.cast(pa.int64()).to_numpy() - middle).astype(np.float64) - rest
    scale = kind.scale if pa.types.is_decimal(kind) else 0
    base = pa.scalar(decimal_of(middle, scale), pa.decimal256(75, scale))
    parts = [
        pc.subtract(_wide(piece), base).cast(pa.float64()).to_numpy(zero_copy_only=False)
        for piece in _pieces(values)
    ]
    return (np.concatenate(parts) if parts else np.array([])) - rest


def _are_small(values: Any, middle: int) -> bool:
    """Whether differences fit in 64 bits."""
    import pyarrow.compute as pc

    ends = [at.as_py() for at in pc.min_max(values).values()]
    return all(at is None or abs(at) < _ROOM // 2 for at in (*ends, middle))


@dataclass(frozen=True)
class Moments(OfColumn):
    """[n, mean, sum of squared distances from the mean]; the mean is exact, the text of a
    fraction, or a float for floats."""

    def of(self, batch: RowBatch) -> list[Any]:
        import numpy as np
        import pyarrow as pa

        values = numbers_of(batch, self.column)
        n = len(values)
        if not (is_countable(values.type) or pa.types.is_floating(values.type)):
            raise Unfit(f"a column of {values.type} has no standard deviation")
        if n == 0:
            return [0, 0.0, 0.0]
        with np.errstate(invalid="ignore", over="ignore"):
            if pa.types.is_floating(values.type):
                doubles = values.cast(pa.float64()).to_numpy()
                mean = float(doubles.mean())
                away = doubles - mean
                return [n, mean, float(np.dot(away, away))]
            centre = _exact_sum(batch, self.column, values) / steps(values.type) / n
            away = away_from(values, centre)
            return [n, str(centre), float(np.dot(away, away))]

    def merged(self, states: Sequence[list[Any]]) -> list[Any]:
        known = [state for state in states if state[0]]
        if not known:
            return list(states[0])
        first, *others = known
        n, mean, squares = first[0], _mean_of(first), first[2]
        for state in others:
            m, other = state[0], _mean_of(state)
            gap = other - mean
            squares += state[2] + float(gap) ** 2 * n * m / (n + m)
            mean = (mean * n + other * m) / (n + m)
            n += m
        return [n, mean if isinstance(mean, float) else str(mean), squares]


def _mean_of(state: list[Any]) -> Any:
    return Fraction(state[1]) if isinstance(state[1], str) else state[1]


@dataclass(frozen=True)
class _AboutMean(OfColumn):
    """A number of values, by their distance from the mean, which is given as in `Moments`."""

    mean: str | float

    def _away(self, batch: RowBatch) -> Any:
        centre = Fraction(self.mean) if isinstance(self.mean, str) else self.mean
        return away_from(numbers_of(batch, self.column), centre)

    def merged(self, states: Sequence[int]) -> int:
        return sum(states)


@dataclass(frozen=True)
class BelowScore(_AboutMean):
    """How many values have a z-score below a threshold."""

    deviation: float
    threshold: float
    double_sided: bool

    def of(self, batch: RowBatch) -> int:
        import numpy as np

        scores = self._away(batch) / self.deviation
        if self.double_sided:
            return int(np.count_nonzero(abs(scores) < abs(self.threshold)))
        return int(np.count_nonzero(scores < self.threshold))


@dataclass(frozen=True)
class NearMean(_AboutMean):
    """How many values lie between two distances from the mean."""

    low: float
    high: float
    closed: bool
    """Whether the ends count."""

    def of(self, batch: RowBatch) -> int:
        import numpy as np

        away = self._away(batch)
        if self.closed:
            return int(np.count_nonzero((away >= self.low) & (away <= self.high)))
        return int(np.count_nonzero((away > self.low) & (away < self.high)))
