"""Reads the version of a query's rows from its database."""

from typing import TYPE_CHECKING, Any

from specs.digests import canonical_json
from specs.failures import NeedsHuman

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

MAX_ROWS = 100
"""The most rows that a `version` statement may return; it should be cheap."""


def rows_of(connection: "Connection", statement: str, streamed: int = 0) -> "CursorResult[Any]":
    """Run a statement literally, without parameters. With `streamed`, that many rows are requested
    at a time. Raises `NeedsHuman` for a statement that returns no rows."""
    options: dict[str, Any] = {"no_parameters": True}
    if streamed:
        options |= {"stream_results": True, "max_row_buffer": streamed}
    result = connection.exec_driver_sql(statement, execution_options=options)
    if not result.returns_rows:
        raise NeedsHuman("the statement returns no rows: it must be a SELECT")
    return result


def version_of(connection: "Connection", statement: str) -> bytes:
    """The canonical text of the statement's result, whose digest is the version. Raises
    `NeedsHuman` for an unusable result."""
    rows = rows_of(connection, statement).fetchmany(MAX_ROWS + 1)
    if not rows:
        raise NeedsHuman("`version` returns no row; let it return one, such as a count")
    if len(rows) > MAX_ROWS:
        raise NeedsHuman(f"`version` returns more than {MAX_ROWS} rows; let it return a few values")
    return canonical_json([[_plain(value) for value in row] for row in rows])


def _plain(value: object) -> list[str] | None:
    """Distinguishes 1 from '1' and true."""
    return None if value is None else [type(value).__name__, str(value)]
