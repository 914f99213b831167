"""The contents of one object of a dataset version, whatever its format."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from specs.csv_files import CsvFiles
from validators.verdict import Verdict

Source = Literal["typed", "text", "quoted"]
"""How a file gives the type of a column: `typed`, it does; `text`, it does not; `quoted`, as a
string, which in JSON may be a date or time."""


@dataclass(frozen=True)
class ColumnValues:
    """The values of a column in one object."""

    values: Any
    """A `pyarrow.ChunkedArray`, of strings unless `source` is `typed`."""
    source: Source = "typed"
    written: CsvFiles | None = None
    """How its texts write numbers, dates and booleans, if in a way that the dataset declares."""


@dataclass(frozen=True)
class ObjectContents:
    """The contents of one object, or of some of its rows."""

    header: tuple[str, ...]
    """All its columns, each once."""
    rows: int
    columns: Mapping[str, ColumnValues]
    """The requested ones."""
    doubled: tuple[str, ...] = ()
    """Columns that occur more than once and were not requested."""
    leaves_out: bool = False
    """Whether rows may leave out a column, which is then null."""
    stored: Mapping[str, Any] = field(default_factory=dict)
    """The Arrow types to read the columns as, where a part of the file does not tell them."""


def joined(pieces: Iterable[ObjectContents]) -> ObjectContents:
    """The pieces of an object, of which each has the same columns, as one."""
    import pyarrow as pa

    several = list(pieces)
    first = several[0]
    columns = {
        name: replace(
            column,
            values=pa.chunked_array(
                [chunk for one in several for chunk in one.columns[name].values.chunks],
                column.values.type,
            ),
        )
        for name, column in first.columns.items()
    }
    return replace(first, rows=sum(one.rows for one in several), columns=columns)


class Unreadable(Exception):  # noqa: N818 - becomes a check, is never shown
    """Why an object cannot be read, as a predicate: `is an empty file`."""

    def __init__(self, why: str, verdict: Verdict = Verdict.FAIL) -> None:
        super().__init__(why)
        self.why = why
        self.verdict = verdict


def pick(names: Sequence[str], wanted: frozenset[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """The columns to read, and the repeated columns, which are not read.

    Raises `Unreadable` if one of the latter is wanted, as it is ambiguous.
    """
    doubled = tuple(name for name, count in Counter(names).items() if count > 1)
    meant = [name for name in doubled if wanted is None or name in wanted]
    if meant:
        raise Unreadable(f"has more than one column {', '.join(f'`{name}`' for name in meant)}")
    return [name for name in names if wanted is None or name in wanted], doubled


class NotInParts(Exception):  # noqa: N818 - no error: the object is read at once
    """What the values of an object are does not follow from parts of it."""
