"""Carries a whole state from one database to another: all of it, or nothing.

What is read is one snapshot; what is written is one transaction, which is compared with the
snapshot by counts and digest before it is committed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple, Protocol

from controller.store.rows import Row
from specs.failures import NeedsHuman

BATCH = 1000
"""Rows that are held in memory at a time."""


class StoredTable(NamedTuple):
    """A table of the store: all columns that are not computed, and those that order it."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def all_rows(self) -> str:
        """The query for all its rows, in order."""
        columns, key = ", ".join(self.columns), ", ".join(self.key)
        return f"SELECT {columns} FROM {self.name} ORDER BY {key}"  # noqa: S608 - our own names


TABLES: Final = (
    StoredTable(
        "objects", ("kind", "name", "revision", "body", "updated", "live"), ("kind", "name")
    ),
    StoredTable(
        "outbox",
        ("number", "id", "owner_kind", "owner_name", "lane", "action", "attempts", "not_before",
         "error"),
        ("number",),
    ),
    StoredTable(
        "messages",
        ("number", "to_kind", "to_name", "id", "type", "body", "at", "consumed", "set_aside",
         "reason"),
        ("number",),
    ),
)  # fmt: skip
NUMBERED: Final = ("outbox", "messages")
"""Tables whose numbers are never given twice."""


class Transferred(NamedTuple):
    """What was carried over."""

    counts: Mapping[str, int]
    """Rows by table."""
    digest: str

    def __str__(self) -> str:
        rows = self.counts
        return (
            f"{rows['objects']:,} objects, {rows['outbox']:,} actions, "
            f"{rows['messages']:,} messages ({self.digest})"
        )


class TransferSource(Protocol):
    """A snapshot of a database."""

    def stream(self, query: str) -> Iterator[Row]:
        """The rows that a query finds, a few at a time."""
        ...

    def last_number(self, table: str) -> int:
        """The last number that was given to a row of a table; 0 if none was."""
        ...


class TransferTarget(TransferSource, Protocol):
    """A transaction that writes a database."""

    def clear(self, table: str) -> None:
        """Delete all rows."""
        ...

    def insert(self, table: StoredTable, rows: Iterable[Row]) -> None:
        """Insert rows."""
        ...

    def number_from(self, table: str, last: int) -> None:
        """The next row gets a number after that."""
        ...


def carry(
    reading: TransferSource, writing: TransferTarget, where: str, *, replace: bool
) -> Transferred:
    """Write all that is read. Raises `NeedsHuman` for a target that has something already, unless
    it is to be replaced, and if something else is found there afterwards."""
    if not replace and any(True for table in TABLES for _ in islice(_all(writing, table), 1)):
        raise NeedsHuman(f"{where} is not empty.")
    seen = Digesting()
    for table in TABLES:
        writing.clear(table.name)
        rows = seen.through(table.name, _all(reading, table))
        while batch := [*islice(rows, BATCH)]:
            writing.insert(table, batch)
    for name in NUMBERED:
        writing.number_from(name, reading.last_number(name))
    carried, found = seen.result(), digested(writing, TABLES)
    if carried != found:
        raise NeedsHuman(f"{where} differs from what was written: {found} instead of {carried}.")
    return carried


def digested(source: TransferSource, tables: Sequence[StoredTable]) -> Transferred:
    """The counts and the digest of all that a database holds in these tables."""
    seen = Digesting()
    for table in tables:
        for _ in seen.through(table.name, _all(source, table)):
            pass
    return seen.result()


class Digesting:
    """Takes the digest of rows as they pass by; it is the same for either database."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._counts: dict[str, int] = {}

    def through(self, table: str, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows of a table."""
        self._counts[table] = 0
        for row in rows:
            # SQLite has no booleans.
            plain = [int(each) if isinstance(each, bool) else each for each in row]
            self._hash.update(json.dumps([table, *plain]).encode() + b"\n")
            self._counts[table] += 1
            yield row

    def result(self) -> Transferred:
        """Of all that has passed by."""
        return Transferred(dict(self._counts), f"sha256:{self._hash.hexdigest()}")


def _all(source: TransferSource, table: StoredTable) -> Iterator[Row]:
    return source.stream(table.all_rows)
