"""Reads DuckDB files with DuckDB's own reader of Arrow: it streams the rows, and keeps the types
that SQLAlchemy's driver for it gives as Python values, such as nanoseconds.

A file is open to either one process that writes or several that read, so that nobody writes while
rows are read.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

from specs.failures import Failure, NeedsHuman, TryAgain
from specs.figures import duration

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

DUCKDB: Final = "duckdb"
"""The scheme of addresses of DuckDB files."""
GROUP: Final = 122_880
"""Rows of a row group of the Parquet file, which DuckDB chooses as well."""
_TELLING: Final = ("ParserException", "BinderException", "CatalogException", "PermissionException")
"""Errors that say something about the statement; others may quote rows."""


@contextmanager
def duckdb_session(file: str, within: float | None) -> Iterator["DuckDBSession"]:
    """The database in the file. Each statement may take at most `within` seconds.

    Raises `NeedsHuman`, and `TryAgain` while a process has the file open for writing.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise NeedsHuman(
            "the driver for duckdb is not installed beside Headgate: pip install 'headgate[duckdb]'"
        ) from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,  # a statement could read other files
        "temp_directory": tempfile.gettempdir(),  # else beside the file, which is not written
    }
    try:
        with duckdb.connect(file, read_only=True, config=settings) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield DuckDBSession(connection, within)
    except duckdb.Error as error:
        raise _explained(error, within) from None


class DuckDBSession:
    """A DuckDB file that is read."""

    sees_one_state = True

    def __init__(self, connection: "DuckDBPyConnection", within: float | None) -> None:
        self._connection = connection
        self._within = within

    def rows(self, statement: str, most: int) -> Sequence[Sequence[object]]:
        """The first rows of a statement's result."""
        with self._timed():
            return self._select(statement).limit(most).fetchall()

    def fetch(self, statement: str, target: Path, scratch: Path) -> int:  # noqa: ARG002 - in no need
        """Write all rows to a Parquet file, in bounded memory; how many there are."""
        import pyarrow.parquet as pq

        relation = self._select(statement)
        twice = [name for name in relation.columns if relation.columns.count(name) > 1]
        if twice:
            raise NeedsHuman(f"two columns are called {twice[0]}; rename one with AS")
        rows = 0
        with self._timed(), relation.to_arrow_reader(GROUP) as reader:
            schema = _storable(reader.schema)
            with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                for table in _groups(reader, schema):
                    writer.write_table(table, row_group_size=GROUP)
                    rows += table.num_rows
        return rows

    def renew(self) -> None:
        """Not needed, as nobody else can write."""

    def _select(self, statement: str) -> "DuckDBPyRelation":
        import duckdb

        found = self._connection.extract_statements(statement)
        if len(found) > 1:
            raise NeedsHuman("You can only execute one statement at a time")
        if not found or found[0].type != duckdb.StatementType.SELECT:
            raise NeedsHuman("the statement returns no rows: it must be a SELECT")
        return self._connection.sql(found[0].query)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        if self._within is None:
            yield
            return
        timer = Timer(self._within, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _storable(schema: Any) -> Any:
    """The schema with types that Parquet has; raises `NeedsHuman` for others."""
    import pyarrow as pa

    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_dictionary(kind):
            field = field.with_type(kind.value_type)  # noqa: PLW2901 - the same column
        if isinstance(kind, pa.BaseExtensionType) or pa.types.is_interval(kind):
            raise NeedsHuman(
                f"column {field.name} is of a type that a Parquet file does not have; cast it in "
                "the statement, an interval as with epoch(...)"
            )
        fields.append(field)
    return pa.schema(fields)


def _groups(reader: Any, schema: Any) -> Iterator[Any]:
    """The rows in groups of the same size: where DuckDB ends its own depends on its threads."""
    import pyarrow as pa

    waiting = schema.empty_table()
    for batch in reader:
        waiting = pa.concat_tables([waiting, _of_schema(batch, schema)])
        while waiting.num_rows >= GROUP:
            yield waiting.slice(0, GROUP).combine_chunks()
            waiting = waiting.slice(GROUP)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def _of_schema(batch: Any, schema: Any) -> Any:
    import pyarrow as pa

    table = pa.table(batch)
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:  # an integer of 128 bits has up to 39 digits
            raise NeedsHuman(
                f"column {name} has values that do not fit its type; cast it in the statement"
            ) from None
    return table.cast(schema)


def _explained(error: Exception, within: float | None) -> Failure:
    """The failure for an error of DuckDB, without a path or a value of a row."""
    kind, text = type(error).__name__, " ".join(str(error).split())
    if kind == "InterruptException" and within:
        return TryAgain(f"the database did not answer within {duration(within)}")
    if "set lock on file" in text:
        return TryAgain("another process has the DuckDB file open for writing")
    if "does not exist" in text and kind == "IOException":
        return NeedsHuman("the DuckDB file does not exist")
    if "not a valid DuckDB database" in text:
        return NeedsHuman("the file is not a DuckDB database")
    if kind in _TELLING:
        return NeedsHuman(f"the database reports an error: {text[:500]}")
    return NeedsHuman(
        f"the database reports an error: {kind} (its message is omitted here, as it may quote data)"
    )
