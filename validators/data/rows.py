"""The rows that an expectation is evaluated on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from validators.data.literals import Unfit


@dataclass(frozen=True)
class Rows:
    """A settled table, filtered to the rows that meet the expectation's condition."""

    table: Any
    """A `pyarrow.Table`."""
    names: tuple[str, ...] = ()
    """Every column of the dataset, read or not."""
    types: Mapping[str, Any] = field(default_factory=dict)
    """The Arrow type of each column in the files."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, kwargs: Mapping[str, Any], key: str = "column") -> Any:
        """The column that the kwargs name, with its nulls."""
        return self.table.column(kwargs[key])

    def values(self, kwargs: Mapping[str, Any]) -> Any:
        """The column's values that are not null."""
        return self.column(kwargs).drop_null()

    def with_values(self, names: Sequence[str], ignored: object) -> "Rows":
        """Without the rows that `ignore_row_if` excludes."""
        import pyarrow.compute as pc

        if ignored in ("never", "neither"):
            return self
        every = ignored in ("any_value_is_missing", "either_value_is_missing")
        if not every and ignored not in ("all_values_are_missing", "both_values_are_missing"):
            raise Unfit(f"`ignore_row_if` cannot be `{ignored}`")
        join = pc.and_ if every else pc.or_
        kept = pc.is_valid(self.table.column(names[0]))
        for name in names[1:]:
            kept = join(kept, pc.is_valid(self.table.column(name)))
        return Rows(self.table.filter(kept), self.names, self.types)


def counted(mask: Any) -> int:
    """How many values of a mask are true."""
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)
