"""The keys of rows as hashes of 64 bits, so that rows of different versions and datasets can be
compared: equal keys have equal hashes.

Two different keys share a hash with a probability of 2**-64: among 100 million keys against 100
million others, one pair in about two thousand such comparisons. That is far below any limit on a
share of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.distinct import hashes
from validators.data.metrics.metric import ColumnMetric
from validators.data.values.literals import Unfit

HASHED_BY: Final = f"polars {version('polars')}"
"""What hashes: another version of it may hash otherwise."""
SAMPLED: Final = 1 << 13
"""Keys in a sample of them."""


class KeyCounts(NamedTuple):
    """Distinct hashes, sorted, and how many rows have each; two numpy arrays."""

    hashes: Any
    counts: Any

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.counts.sum())

    def rows_in(self, others: Any) -> int:
        """How many rows have a hash that is in a sorted array."""
        import numpy as np

        if not len(others) or not len(self.hashes):
            return 0
        places = np.searchsorted(others, self.hashes).clip(max=len(others) - 1)
        return int(self.counts[others[places] == self.hashes].sum())

    def up_to(self, greatest: int) -> "KeyCounts":
        """Those with a hash of at most `greatest`."""
        import numpy as np

        several = int(np.searchsorted(self.hashes, np.uint64(greatest), side="right"))
        return KeyCounts(self.hashes[:several], self.counts[:several])


@dataclass(frozen=True)
class RowKeys(ColumnMetric):
    """How many rows have each key; rows with a null in it have none, unless `with_nulls` and one of
    their values is not null."""

    over: tuple[str, ...]
    types: tuple[str, ...]
    """The Arrow types that are hashed, by their names: equal values of other types have other
    hashes."""
    with_nulls: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.over

    @property
    def is_large(self) -> bool:
        return True

    def of(self, batch: RowBatch) -> KeyCounts:
        import numpy as np

        ignored = "all_values_are_missing" if self.with_nulls else "any_value_is_missing"
        rows = batch.with_values(self.over, ignored).settled(self.over)
        return KeyCounts(*np.unique(hashes(_cast(rows, self.types)), return_counts=True))

    def merged(self, states: Sequence[KeyCounts]) -> KeyCounts:
        if len(states) == 1:
            return states[0]
        import numpy as np

        every = np.concatenate([one.hashes for one in states])
        counts = np.concatenate([one.counts for one in states])
        order = np.argsort(every, kind="stable")
        every, counts = every[order], counts[order]
        if not len(every):
            return KeyCounts(every, counts)
        first = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]]))
        return KeyCounts(every[first], np.add.reduceat(counts, first))

    @property
    def empty(self) -> KeyCounts:
        """The keys of no rows."""
        import numpy as np

        return KeyCounts(np.array([], np.uint64), np.array([], np.int64))

    def dump(self, state: KeyCounts) -> None:
        """Never kept."""


@dataclass(frozen=True)
class SampledKeys(RowKeys):
    """The keys with the `SAMPLED` least hashes, and how many rows have each; and whether these are
    all keys. Which they are depends on the keys only, not on their order or number."""

    @property
    def is_large(self) -> bool:
        return False

    def of(self, batch: RowBatch) -> KeyCounts:
        return _least(super().of(batch))

    def merged(self, states: Sequence[KeyCounts]) -> KeyCounts:
        return _least(super().merged(states))


def _least(found: KeyCounts) -> KeyCounts:
    """One more than is wanted, which tells whether there are more."""
    return KeyCounts(found.hashes[: SAMPLED + 1], found.counts[: SAMPLED + 1])


def _cast(table: Any, types: Sequence[str]) -> Any:
    import pyarrow as pa

    columns = {}
    for name, wanted in zip(table.column_names, types, strict=True):
        column = table.column(name)
        kind = type_named(wanted) or column.type
        try:
            columns[name] = column if column.type == kind else column.cast(kind)
        except pa.ArrowInvalid:
            raise Unfit(f"`{name}` has values that do not fit {wanted}") from None
    return pa.table(columns)


def key_type(kind: Any) -> str:
    """The name of the type that a settled column is hashed as. Raises `Unfit` for nested types."""
    import pyarrow as pa

    if pa.types.is_nested(kind):
        raise Unfit(f"a column of {kind} cannot be compared by value")
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return "int64"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "large_string"
    return str(kind)


def common_type(one: Any, other: Any) -> str | None:
    """The name of a type in which equal values of both settled types are equal; None if there is
    none. Raises `Unfit` for nested types."""
    import pyarrow as pa

    names = {key_type(one), key_type(other)}
    if len(names) == 1:
        return names.pop()
    if names == {"int64", "double"}:
        return "double"
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        units = ("s", "ms", "us", "ns")
        finer = max(one.unit, other.unit, key=units.index)
        zone = ", tz=UTC" if one.tz or other.tz else ""
        return f"timestamp[{finer}{zone}]"
    return None


def type_named(name: str) -> Any:
    """The type with a name that `key_type` or `common_type` gave; None for one that is hashed as it
    is stored."""
    import pyarrow as pa

    known: Mapping[str, Any] = {
        "int64": pa.int64(),
        "double": pa.float64(),
        "large_string": pa.large_string(),
        **{f"timestamp[{unit}]": pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")},
        **{
            f"timestamp[{unit}, tz=UTC]": pa.timestamp(unit, "UTC")
            for unit in ("s", "ms", "us", "ns")
        },
    }
    return known.get(name)
