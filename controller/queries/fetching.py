"""Fetches the rows of a statement and their version."""

from pathlib import Path

from controller.queries.sessions import open_session
from controller.queries.versions import version_of
from specs.failures import TryAgain


class RowsChanged(TryAgain):
    """The rows changed while they were fetched."""


def fetch(
    address: str, statement: str, version: str | None, target: Path, scratch: Path
) -> tuple[int, bytes | None]:
    """Write the rows to `target`; how many there are, and their version.

    Raises `NeedsHuman`, `TryAgain` for an unreachable database, and `RowsChanged`.
    """
    with open_session(address) as session:
        found = version_of(session, version) if version is not None else None
        rows = session.fetch(statement, target, scratch)
        if version is not None and not session.sees_one_state:
            session.renew()
            if version_of(session, version) != found:
                raise RowsChanged("the rows changed while they were fetched")
    return rows, found
