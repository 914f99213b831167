"""A dataset version as it is measured: its columns, and its rows in parts that are read apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from validators.data.metrics.batch import Kinds, RowBatch
from validators.data.metrics.metric import Footer
from validators.data.values.frame import settled_kind
from validators.report import Check

ROWS: Final = 1 << 20
"""Rows that are looked at together, at most."""


class Part(Protocol):
    """Rows of a dataset, in groups that can be read apart from each other."""

    @property
    def key(self) -> str:
        """The object that they are from; empty if they are from several."""

    @property
    def digest(self) -> str | None:
        """The digest of the object, if what is measured about it may be kept."""

    @property
    def groups(self) -> int:
        """How many groups there are."""

    @property
    def is_read_through(self) -> bool:
        """Whether reading few columns of it costs about as much as reading all."""

    def footer(self, group: int) -> Footer | None:
        """What the file says about a group."""

    def read(self, group: int, columns: Sequence[str]) -> Iterator[RowBatch]:
        """The columns of a group, in batches that depend on nothing but the object. Raises
        `Unreadable`."""


@dataclass(frozen=True)
class OpenedDataset:
    """What was found when its objects were opened."""

    parts: tuple[Part, ...] = ()
    rows: int = 0
    columns: tuple[str, ...] = ()
    """Every column of any object, read or not."""
    types: Mapping[str, Any] = field(default_factory=dict)
    """The Arrow type of each column that can be read, as it is stored."""
    clashing: frozenset[str] = frozenset()
    """Columns without a common type over all objects."""
    checks: tuple[Check, ...] = ()
    """The problems of the objects themselves."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how they were read."""
    objects: int = 0
    """How many there are, without the log of a table."""
    is_readable: bool = True
    """If not, `checks` say why."""

    @property
    def kinds(self) -> Kinds:
        """The Arrow type of each column once it is settled (see `frame.settled`)."""
        return {name: settled_kind(kind) for name, kind in self.types.items()}


@dataclass(frozen=True)
class TableInMemory:
    """Rows that had to be read as a whole, for example to find the types of their columns."""

    table: Any
    """A `pyarrow.Table`."""
    key: str = ""

    @property
    def digest(self) -> None:
        """What is measured is not kept: the values of its columns depend on other objects."""

    @property
    def is_read_through(self) -> bool:
        return False

    @property
    def groups(self) -> int:
        return max(1, -(-int(self.table.num_rows) // ROWS))

    def footer(self, group: int) -> None:
        """A table has none."""

    def read(self, group: int, columns: Sequence[str]) -> Iterator[RowBatch]:
        piece = self.table.slice(group * ROWS, ROWS)
        yield RowBatch.of(piece.select(list(columns)), piece.num_rows)


def in_memory(table: Any, columns: Sequence[str]) -> OpenedDataset:
    """A dataset that has been read; `columns` are all of its columns, the table has some."""
    return OpenedDataset(
        parts=(TableInMemory(table),),
        rows=table.num_rows,
        columns=tuple(columns),
        types={one.name: one.type for one in table.schema},
    )
