"""What a transaction can do with either database."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from controller.store.rows import Row


class StoreSession(Protocol):
    """A transaction that has begun. Blocks; raises the errors of the database's own driver.

    Parameters are question marks, as in `statements`.
    """

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """All that a query finds."""
        ...

    def run(self, query: str, *values: Any) -> int:
        """Run a statement; how many rows it changed."""
        ...

    def each(self, query: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement with each of these rows of parameters."""
        ...
