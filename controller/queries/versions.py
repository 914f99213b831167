"""What version a database says that its rows have."""

from typing import TYPE_CHECKING, Any

from specs.digests import canonical_json
from specs.failures import NeedsHuman

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

MOST_ROWS = 100
"""Of a version's statement: it is to be cheap, and few values tell versions apart."""


def rows_of(connection: "Connection", statement: str, streamed: int = 0) -> "CursorResult[Any]":
    """The result of a statement as it stands: nothing in it is a parameter. With `streamed`, the
    database is asked for so many rows at a time. Raises NeedsHuman for one without rows."""
    options: dict[str, Any] = {"no_parameters": True}
    if streamed:
        options |= {"stream_results": True, "max_row_buffer": streamed}
    result = connection.exec_driver_sql(statement, execution_options=options)
    if not result.returns_rows:
        raise NeedsHuman("the statement gives no rows: it has to be a SELECT")
    return result


def version_of(connection: "Connection", statement: str) -> bytes:
    """The statement's result, as one text for equal results; its digest is the version. Raises
    NeedsHuman for one of no use."""
    rows = rows_of(connection, statement).fetchmany(MOST_ROWS + 1)
    if not rows:
        raise NeedsHuman("`version` gives no row; let it give one, such as a count")
    if len(rows) > MOST_ROWS:
        raise NeedsHuman(f"`version` gives more than {MOST_ROWS} rows; let it give a few values")
    return canonical_json([[_plain(value) for value in row] for row in rows])


def _plain(value: object) -> list[str] | None:
    """Tells 1 from '1' and true."""
    return None if value is None else [type(value).__name__, str(value)]
