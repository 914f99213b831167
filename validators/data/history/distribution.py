"""How the values of a column are distributed, in a form that is small and can be kept: numbers by
bins that are quantiles of the reference, other values by their hashes, the most frequent ones."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, nextafter
from typing import Any, Final, Literal

from validators.data.answering.measure import Work, measure
from validators.data.metrics.batch import RowBatch
from validators.data.metrics.distinct import FewValues
from validators.data.metrics.measured import MetricNeed
from validators.data.metrics.metric import Extremes, Nulls, OfColumn, position_of
from validators.data.metrics.tally import Neighbours, has_keys, keys_of
from validators.data.reading.dataset import OpenedDataset
from validators.data.values.literals import Unfit
from validators.report import GateValue

BINS: Final = 10
MOST_VALUES: Final = 100
"""Values that are told apart; the others count together."""
_SHARES: Final = tuple(Fraction(at, BINS) for at in range(1, BINS))


class Distribution(GateValue):
    """The distribution of a column."""

    form: Literal["number", "value"]
    unit: str
    """What its values are, if they are no plain numbers: only equal units can be compared."""
    nulls: int
    counts: tuple[int, ...]
    """Of the bins, or of `values` and then of all others together."""
    cuts: tuple[float, ...] = ()
    """Between the bins of numbers; each bin begins with its lower cut."""
    low: float = 0.0
    high: float = 0.0
    """The least and the greatest number."""
    spread: float = 1.0
    """What distances are measured in: from the first to the last decile of the reference, or its
    whole range if these are one number."""
    values: tuple[str, ...] = ()
    """The hashes of the values: no value is kept."""

    @property
    def n(self) -> int:
        """How many values are not null."""
        return sum(self.counts)


@dataclass(frozen=True)
class BinCounts(OfColumn):
    """How many values are in each bin between `cuts`."""

    cuts: tuple[float, ...]

    def of(self, batch: RowBatch) -> list[int]:
        import numpy as np

        keys = keys_of(batch.values(self.column)).astype(np.float64)
        bins = np.searchsorted(np.array(self.cuts), keys, side="right")
        found: list[int] = np.bincount(bins, minlength=len(self.cuts) + 1).tolist()
        return found

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(each) for each in zip(*states, strict=True)]


def form_of(kind: Any) -> Literal["number", "value"]:
    """How a settled column is summarised. Raises `Unfit` for one that cannot be."""
    import pyarrow as pa

    types = pa.types
    if types.is_boolean(kind) or types.is_string(kind) or types.is_large_string(kind):
        return "value"
    if has_keys(kind):
        return "number"
    raise Unfit(f"a column of {kind} has no distribution that could be compared")


def has_form(kind: Any) -> bool:
    """Whether a settled column can be summarised."""
    try:
        form_of(kind)
    except Unfit:
        return False
    return True


def unit_of(kind: Any) -> str:
    """What the positions of a column's values are; see `Distribution.unit`."""
    import pyarrow as pa

    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return "" if plain else "text" if text else str(kind)


def summarised(dataset: OpenedDataset, columns: Iterable[str]) -> dict[str, Distribution]:
    """The distributions of columns; those without a value, of a type that has none, and texts of
    which more than 10,000 differ, have none. Raises `Unfit`, `Unreadable`."""
    names = [name for name in columns if has_form(dataset.kinds[name])]
    forms = {name: form_of(dataset.kinds[name]) for name in names}
    numbers = [name for name in names if forms[name] == "number"]
    wanted: list[OfColumn] = [Neighbours(name, _SHARES) for name in numbers]
    wanted += [Extremes(name) for name in numbers]
    known = _measured(dataset, wanted) if dataset.rows else {}
    bins: dict[str, Distribution] = {}
    for name in names:
        empty = Distribution(
            form=forms[name], unit=unit_of(dataset.kinds[name]), nulls=0, counts=()
        )
        if forms[name] == "value":
            bins[name] = empty
        elif extremes := known.get(Extremes(name)):
            bins[name] = _binned(empty, known[Neighbours(name, _SHARES)], extremes)
    return counted(dataset, bins)


def counted(
    dataset: OpenedDataset, reference: Mapping[str, Distribution]
) -> dict[str, Distribution]:
    """The distributions in the bins, and of the values, of a reference; one without values takes
    the most frequent ones of the dataset. Raises `Unfit`, `Unreadable`."""
    if not dataset.rows:
        return {}
    wanted: list[OfColumn] = [Nulls(name) for name in reference]
    for name, of in reference.items():
        wanted += (
            [BinCounts(name, of.cuts), Extremes(name)] if of.form == "number" else [FewValues(name)]
        )
    known = _measured(dataset, wanted)
    found = {}
    for name, of in reference.items():
        nulls = known[Nulls(name)][1]
        if of.form == "number":
            extremes = known[Extremes(name)]
            if extremes:
                low, high = (float(position_of(each)) for each in extremes)
                counts = tuple(known[BinCounts(name, of.cuts)])
                update = {"nulls": nulls, "counts": counts, "low": low, "high": high}
                found[name] = of.model_copy(update=update)
        elif (distinct := known[FewValues(name)]) is not None and len(distinct.values):
            counts_of = dict(zip(map(_hash, distinct.values.to_pylist()),
                                 distinct.counts.tolist(), strict=True))  # fmt: skip
            values = of.values or _most_frequent(counts_of)
            rest = sum(counts_of.values()) - sum(counts_of.get(one, 0) for one in values)
            counts = (*(counts_of.get(one, 0) for one in values), rest)
            update = {"nulls": nulls, "counts": counts, "values": values}
            found[name] = of.model_copy(update=update)
    return found


def _most_frequent(counts: Mapping[str, int]) -> tuple[str, ...]:
    ranked = sorted(counts, key=lambda one: (-counts[one], one))
    return tuple(ranked[:MOST_VALUES])


def _hash(value: object) -> str:
    return hashlib.blake2b(str(value).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _binned(
    empty: Distribution, neighbours: Sequence[tuple[Fraction, Any, Any]], extremes: Sequence[Any]
) -> Distribution:
    """The bins between the deciles, each once: a value that is many of them is a bin of its own.
    What is below all values, or above them, has a bin on either side."""
    deciles = [float(below) for _, below, _ in neighbours]
    low, high = (float(position_of(each)) for each in extremes)
    cuts = tuple(sorted({low, *deciles, nextafter(high, inf)}))
    return empty.model_copy(
        update={"cuts": cuts, "spread": deciles[-1] - deciles[0] or high - low or 1.0}
    )


def _measured(dataset: OpenedDataset, metrics: Sequence[OfColumn]) -> dict[OfColumn, Any]:
    needs = [MetricNeed(None, metric) for metric in metrics]
    states = measure(dataset, needs, Work())
    for state in states.values():
        if isinstance(state, Exception):
            raise (
                state
                if isinstance(state, Unfit)
                else Unfit(f"its distribution cannot be measured ({type(state).__name__})")
            )
    return {need.metric: states[need] for need in needs}  # type: ignore[misc]
