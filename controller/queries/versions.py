"""Reads the version of a query's rows from its database."""

from controller.queries.session import Session
from specs.digests import canonical_json
from specs.failures import NeedsHuman

MAX_ROWS = 100
"""The most rows that a `version` statement may return; it should be cheap."""


def version_of(session: Session, statement: str) -> bytes:
    """The canonical text of the statement's result, whose digest is the version. Raises
    `NeedsHuman` for an unusable result."""
    rows = session.rows(statement, MAX_ROWS + 1)
    if not rows:
        raise NeedsHuman("`version` returns no row; let it return one, such as a count")
    if len(rows) > MAX_ROWS:
        raise NeedsHuman(f"`version` returns more than {MAX_ROWS} rows; let it return a few values")
    return canonical_json([[_plain(value) for value in row] for row in rows])


def _plain(value: object) -> list[str] | None:
    """Distinguishes 1 from '1' and true."""
    return None if value is None else [type(value).__name__, str(value)]
