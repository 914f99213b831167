"""Rows of a database by SQLAlchemy, as one Parquet file. Equal rows in the same order give equal
bytes.

The rows are first spooled to a temporary file, as the types of columns are known only after the
last row.
"""

import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from controller.queries.columns import QueryColumn, declared_by_postgresql, declared_by_sqlite
from controller.queries.database import SNAPSHOTS
from specs.failures import NeedsHuman

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

BATCH = 10_000
"""Rows that are requested, spooled and written at once."""


class SqlSession:
    """A database that SQLAlchemy reaches, in a read transaction."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.sees_one_state = connection.dialect.name in SNAPSHOTS

    def rows(self, statement: str, most: int) -> Sequence[Sequence[object]]:
        """The first rows of a statement's result."""
        with closing(_run(self._connection, statement)) as result:
            return [tuple(row) for row in result.fetchmany(most)]

    def fetch(self, statement: str, target: Path, scratch: Path) -> int:
        """Write all rows to a Parquet file, in bounded memory; how many there are."""
        with TemporaryFile(dir=scratch) as spool:
            declared = _declared(self._connection, statement)
            with closing(_run(self._connection, statement, BATCH)) as result:
                columns = _columns(self._connection, result, declared)
                rows = _spool(result, columns, spool)
            _write(columns, spool, target)
        return rows

    def renew(self) -> None:
        """Begin again: otherwise the transaction may still see the old state."""
        self._connection.rollback()


def _run(connection: "Connection", statement: str, streamed: int = 0) -> "CursorResult[Any]":
    """Run a statement literally, without parameters. With `streamed`, that many rows are requested
    at a time. Raises `NeedsHuman` for a statement that returns no rows."""
    options: dict[str, Any] = {"no_parameters": True}
    if streamed:
        options |= {"stream_results": True, "max_row_buffer": streamed}
    result = connection.exec_driver_sql(statement, execution_options=options)
    if not result.returns_rows:
        raise NeedsHuman("the statement returns no rows: it must be a SELECT")
    return result


def _columns(
    connection: "Connection", result: "CursorResult[Any]", declared: dict[str, str]
) -> list[QueryColumn]:
    names = list(result.keys())
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise NeedsHuman(f"two columns are called {twice[0]}; rename one with AS")
    cursor = result.cursor
    assert cursor is not None, "the statement returns rows"
    match connection.dialect.name:
        case "postgresql":
            said = map(declared_by_postgresql, cursor.description)
            return [QueryColumn(name, one) for name, one in zip(names, said, strict=True)]
        case "sqlite":
            return [
                QueryColumn(n, declared_by_sqlite(declared.get(n, "")), loose=True) for n in names
            ]
    return [QueryColumn(name) for name in names]


def _declared(connection: "Connection", statement: str) -> dict[str, str]:
    """The declared types of the columns in SQLite, which it tells only about a view."""
    if connection.dialect.name != "sqlite":
        return {}
    from sqlalchemy.exc import SQLAlchemyError

    with suppress(SQLAlchemyError):  # the error is reported when the statement itself is run
        rows_of_view = "SELECT name, type FROM pragma_table_info('headgate_rows')"
        options = {"no_parameters": True}
        connection.exec_driver_sql(
            f"CREATE TEMP VIEW headgate_rows AS {statement}", execution_options=options
        )
        found = connection.exec_driver_sql(rows_of_view).all()
        return {str(name): str(type_) for name, type_ in found}
    return {}


def _spool(result: "CursorResult[Any]", columns: list[QueryColumn], file: IO[bytes]) -> int:
    rows = 0
    for part in result.partitions(BATCH):
        values = [list(each) for each in zip(*part, strict=True)]
        for column, some in zip(columns, values, strict=True):
            column.observe(some)
        pickle.dump([[*map(_picklable, some)] for some in values], file, pickle.HIGHEST_PROTOCOL)
        rows += len(part)
    return rows


def _picklable(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def _parts(file: IO[bytes]) -> Iterator[list[list[Any]]]:
    file.seek(0)
    for _ in count():
        try:
            yield pickle.load(file)  # noqa: S301 - written by this process
        except EOFError:
            return


def _write(columns: list[QueryColumn], file: IO[bytes], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = [column.type() for column in columns]
    named = zip(columns, types, strict=True)
    schema = pa.schema([pa.field(column.name, type_) for column, type_ in named])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for part in _parts(file):
            together = zip(columns, part, types, strict=True)
            arrays = [column.array(values, type_) for column, values, type_ in together]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
