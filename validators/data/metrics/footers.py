"""What the footer of a Parquet file says, as far as it can be believed.

Not believed are the statistics of floats (writers leave out NaN, which counts as null here), of
texts and bytes (writers cut them, at 64 or 256 characters, and few say so), of decimals and of
96-bit times (old writers compared their bytes), and of columns inside lists and structs (whose
null counts mix empty, null and inner null). Seen with pyarrow 26.0.1, polars 2.1.0,
deltalake 1.6.6 and duckdb 2.0.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from validators.data.values.literals import Position


@dataclass(frozen=True)
class RowGroup:
    """The footer's account of one row group."""

    rows: int
    chunks: Mapping[str, Any]
    """The metadata of the plain columns, by name."""
    kinds: Mapping[str, Any]
    """Their settled types in this file."""
    units: Mapping[str, str | None]
    """The unit in which the file stores times."""

    def nulls(self, column: str) -> int | None:
        """How many values are null; None if the footer does not say."""
        import pyarrow as pa

        found = self._statistics(column)
        if found is None or not found.has_null_count or pa.types.is_floating(self.kinds[column]):
            return None
        return int(found.null_count)

    def extremes(self, column: str) -> tuple[Position, Position] | None:
        """Least and greatest value; None if the footer does not say."""
        found = self._statistics(column)
        if found is None or not found.has_min_max or not self._is_whole(column):
            return None
        if False in (_is_exact(found, "min"), _is_exact(found, "max")):
            return None
        low, high = (self._position(at, column) for at in (found.min_raw, found.max_raw))
        return (low, high) if low <= high else None

    def _statistics(self, column: str) -> Any:
        chunk = self.chunks.get(column)
        return None if chunk is None or not chunk.is_stats_set else chunk.statistics

    def _is_whole(self, column: str) -> bool:
        """Whether the file stores the values as the whole numbers that are their positions."""
        import pyarrow as pa

        kind = self.kinds[column]
        if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
            return self.units[column] == str(kind.unit)
        plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        return bool(plain or pa.types.is_date32(kind)) and isinstance(
            self._statistics(column).min_raw, int
        )

    def _position(self, raw: int, column: str) -> Any:
        """Statistics are signed; a column may not be."""
        import pyarrow as pa

        kind = self.kinds[column]
        negative = raw < 0 and pa.types.is_unsigned_integer(kind)
        return int(raw) + (2 ** (64 if kind.bit_width == 64 else 32) if negative else 0)


def _is_exact(statistics: Any, end: str) -> bool | None:
    """What the footer says about that; None if it says nothing (or pyarrow does not show it)."""
    found: bool | None = getattr(statistics, f"is_{end}_value_exact", None)
    return found
