"""Some rows of a dataset: the columns that are needed, in the form that is compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from validators.data.values.frame import settled_column
from validators.data.values.literals import Position, Unfit, of_value


class Distinct(NamedTuple):
    """Distinct values of a column and how often each occurs, in any order, without null."""

    values: Any
    """A `pyarrow.Array`."""
    counts: Any
    """A numpy array of int64, as long as `values`."""


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Rows that are looked at together. Everything that is derived is computed once."""

    table: Any
    """A `pyarrow.Table` whose columns have the dataset's types, encoded in any way."""
    rows: int
    _found: dict[Any, Any]

    @classmethod
    def of(cls, table: Any, rows: int | None = None) -> "RowBatch":
        """The batch of a table; `rows` if it may have no columns."""
        return cls(table, table.num_rows if rows is None else rows, {})

    def _once(self, key: tuple[object, ...], compute: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = compute()
        return self._found[key]

    def column(self, name: str) -> Any:
        """The settled column, with its nulls (see `frame.settled`)."""
        return self._once(("column", name), lambda: settled_column(self.table.column(name)))

    def values(self, name: str) -> Any:
        """The column's values that are not null."""
        return self._once(("values", name), lambda: self.column(name).drop_null())

    def settled(self, names: Sequence[str]) -> Any:
        """A table of settled columns."""
        import pyarrow as pa

        return pa.table({name: self.column(name) for name in names})

    def encoded(self, name: str) -> Distinct | None:
        """The distinct values, if the column is dictionary-encoded, so that they cost nothing."""
        found: Distinct | None = self._once(
            ("encoded", name), lambda: _of_dictionary(self.table.column(name))
        )
        return found

    def distinct(self, name: str) -> Distinct:
        """The distinct values, whatever that costs."""
        return self.encoded(name) or self._once(
            ("distinct", name), lambda: counted_values(self.values(name))
        )

    def extremes(self, name: str) -> tuple[Position, Position] | None:
        """Least and greatest value; None if there are no values, or they have no order."""
        found: tuple[Position, Position] | None = self._once(
            ("extremes", name), lambda: self._extremes(name)
        )
        return found

    def _extremes(self, name: str) -> tuple[Position, Position] | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        encoded = self.encoded(name)
        try:
            both = pc.min_max(self.values(name) if encoded is None else encoded.values)
        except pa.ArrowNotImplementedError:
            return None
        low, high = of_value(both["min"]), of_value(both["max"])
        return None if low is None or high is None else (low, high)

    def filtered(self, key: object, mask: Callable[["RowBatch"], Any]) -> "RowBatch":
        """The rows for which the mask is true; `key` identifies the mask."""
        found: RowBatch = self._once(("filtered", key), lambda: self._filtered(mask(self)))
        return found

    def _filtered(self, mask: Any) -> "RowBatch":
        """Texts stay encoded; other columns are settled, as Arrow cannot filter every type."""
        import pyarrow as pa

        names = self.table.column_names
        encoded = {name: self.table.column(name) for name in names if self.encoded(name)}
        settled = {name: self.column(name) for name in names if name not in encoded}
        table = pa.table({**encoded, **settled}).filter(mask)
        known = {("column", name): table.column(name) for name in settled}
        return RowBatch(table, table.num_rows, known)

    def with_values(self, names: Sequence[str], ignored: object) -> "RowBatch":
        """Without the rows that `ignore_row_if` excludes. Raises `Unfit` for an unknown rule."""
        if ignored in ("never", "neither"):
            return self
        every = ignored in ("any_value_is_missing", "either_value_is_missing")
        if not every and ignored not in ("all_values_are_missing", "both_values_are_missing"):
            raise Unfit(f"`ignore_row_if` cannot be `{ignored}`")
        return self.filtered((tuple(names), every), lambda batch: batch._valid(names, every))

    def _valid(self, names: Sequence[str], every: bool) -> Any:
        import pyarrow.compute as pc

        join = pc.and_ if every else pc.or_
        kept = pc.is_valid(self.column(names[0]))
        for name in names[1:]:
            kept = join(kept, pc.is_valid(self.column(name)))
        return kept


def counted(mask: Any, weights: Any = None) -> int:
    """How many values of a mask are true; with weights, the sum of those."""
    import pyarrow.compute as pc

    if weights is None:
        return int(pc.sum(mask).as_py() or 0)
    return int(weights[mask.to_numpy(zero_copy_only=False).astype(bool)].sum())


def counted_values(column: Any) -> Distinct:
    """The distinct values of a column without nulls."""
    import pyarrow.compute as pc

    counts = pc.value_counts(column)
    return Distinct(counts.field("values"), counts.field("counts").to_numpy())


def added(several: Sequence[Distinct]) -> Distinct:
    """Each distinct value of several batches once, with the sum of its counts."""
    import numpy as np
    import pyarrow as pa

    both = pa.table({
        "values": pa.concat_arrays([one.values for one in several]),
        "counts": pa.array(np.concatenate([one.counts for one in several])),
    }).group_by("values", use_threads=False).aggregate([("counts", "sum")])  # fmt: skip
    return Distinct(both["values"].combine_chunks(), both["counts_sum"].to_numpy())


def _of_dictionary(column: Any) -> Distinct | None:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_dictionary(kind) or not _is_text(kind.value_type):
        return None
    parts = []
    for chunk in column.chunks:
        valid = chunk.indices.drop_null().to_numpy()
        counts = np.bincount(valid, minlength=len(chunk.dictionary))
        used = counts > 0
        plain = settled_column(pa.chunked_array([chunk.dictionary])).combine_chunks()
        seen = Distinct(plain.filter(pa.array(used)), counts[used])
        if seen.values.null_count:  # null may be written as an entry of the dictionary
            there = seen.values.is_valid()
            seen = Distinct(seen.values.drop_null(), seen.counts[there.to_numpy(False)])
        parts.append(seen)
    if not parts:
        empty = settled_column(pa.chunked_array([], kind.value_type)).combine_chunks()
        return Distinct(empty, np.array([], np.int64))
    return added(parts)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


Kinds = Mapping[str, Any]
"""The Arrow type of each column once it is settled."""
