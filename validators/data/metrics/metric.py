"""What is measured about columns, batch by batch, and how parts are put together."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from validators.data.metrics.batch import RowBatch
from validators.data.values.literals import Position

State = Any
"""What a metric knows about some rows."""


class Footer(Protocol):
    """What a file says about a group of its rows, where that can be believed."""

    @property
    def rows(self) -> int:
        """How many rows the group has."""

    def nulls(self, column: str) -> int | None:
        """How many values are null or NaN; None if that is not known."""

    def extremes(self, column: str) -> tuple[Position, Position] | None:
        """The exact least and greatest value; None if they are not known."""


@dataclass(frozen=True)
class ColumnMetric(ABC):
    """A question about some columns. Its fields, and nothing else, are what it depends on.

    `merged` must give the same state in whatever way consecutive rows are divided into batches,
    apart from the rounding of floats.
    """

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns to read."""

    @abstractmethod
    def of(self, batch: RowBatch) -> State:
        """The state of these rows. Raises `Unfit` if the suite does not fit the column."""

    def of_footer(self, footer: Footer) -> State | None:  # noqa: ARG002 - most cannot use it
        """The state of a group of rows by the file's own account; None if it must be read."""
        return None

    @abstractmethod
    def merged(self, states: Sequence[State]) -> State:
        """The state of all rows, given at least one state, in the order of the rows."""

    @property
    def source(self) -> "ColumnMetric":
        """What is measured: several metrics may be views of one that is too large to be held."""
        return self

    @property
    def is_large(self) -> bool:
        """Whether the state takes up to eight bytes a row."""
        return False

    def seen(self, state: State) -> Any:
        """What is said of the state of the source, of all rows."""
        return state

    def dump(self, state: State) -> Any:
        """The state of an object in JSON's types, to be kept for the object's next judgement; None
        if it is too large for that."""
        return state

    def load(self, dumped: Any) -> State:
        """The state that was dumped."""
        return dumped


@dataclass(frozen=True)
class OfColumn(ColumnMetric):
    """A question about one column."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class RowCount(ColumnMetric):
    """How many rows there are."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def of(self, batch: RowBatch) -> int:
        return batch.rows

    def of_footer(self, footer: Footer) -> int:
        return footer.rows

    def merged(self, states: Sequence[int]) -> int:
        return sum(states)


@dataclass(frozen=True)
class Nulls(OfColumn):
    """How many rows there are, and in how many the column is null."""

    def of(self, batch: RowBatch) -> list[int]:
        encoded = batch.encoded(self.column)
        if encoded is not None:
            return [batch.rows, batch.rows - int(encoded.counts.sum())]
        return [batch.rows, batch.column(self.column).null_count]

    def of_footer(self, footer: Footer) -> list[int] | None:
        nulls = footer.nulls(self.column)
        return None if nulls is None else [footer.rows, nulls]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]


@dataclass(frozen=True)
class Extremes(OfColumn):
    """[least, greatest] value, by position (see `literals.Position`); empty without values."""

    def of(self, batch: RowBatch) -> list[Any]:
        return [kept(at) for at in batch.extremes(self.column) or ()]

    def of_footer(self, footer: Footer) -> list[Any] | None:
        found = footer.extremes(self.column)
        return None if found is None else [kept(at) for at in found]

    def merged(self, states: Sequence[list[Any]]) -> list[Any]:
        known = [state for state in states if state]
        return known and [
            min((one[0] for one in known), key=position_of),
            max((one[1] for one in known), key=position_of),
        ]


def kept(at: Any) -> Any:
    """A position of a value in JSON's types."""
    if isinstance(at, bytes):
        return {"bytes": at.hex()}
    return at if isinstance(at, float | str) else int(at)


def position_of(kept: Any) -> Any:
    """The position that was kept: an int, float, str or bytes."""
    return bytes.fromhex(kept["bytes"]) if isinstance(kept, dict) else kept
