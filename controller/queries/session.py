"""What reading from a database needs of it, whichever library reaches it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Session(Protocol):
    """A database in one read-only transaction. Its methods raise `NeedsHuman`, and `TryAgain` for a
    database that is unreachable."""

    sees_one_state: bool
    """Whether all statements see the same state of the database."""

    def rows(self, statement: str, most: int) -> Sequence[Sequence[object]]:
        """The first rows of a statement's result."""

    def fetch(self, statement: str, target: Path, scratch: Path) -> int:
        """Write all rows to a Parquet file, in bounded memory; how many there are."""

    def renew(self) -> None:
        """Begin again, to see the present state."""
