"""What a database error means for the one who called, and the fix."""

import sqlite3
from pathlib import Path

from specs.failures import Failure, NeedsHuman, TryAgain

_FIXES = {
    sqlite3.SQLITE_FULL: "The disk is full. Free some space there; nothing that was saved is lost.",
    sqlite3.SQLITE_READONLY: "It cannot be written. Give the user that runs Headgate the right to "
    "write the file and its folder (SQLite keeps -wal and -shm beside it).",
    sqlite3.SQLITE_CANTOPEN: "It cannot be opened. Look whether the folder exists, whether the "
    "user that runs Headgate may read and write there, and whether the disk is full.",
    sqlite3.SQLITE_IOERR: "The disk answers with an error. Look at the system's log and at the "
    "free space.",
}
_DAMAGED = (
    "It is damaged, or no database. Stop the controller, move the file aside together with those "
    "that end in -wal and -shm, and put a backup in its place; without a backup Headgate begins "
    "anew and knows nothing of former runs."
)


def explained(error: BaseException | None, path: Path) -> Failure:
    """The failure that an error of SQLite is, with the file and the fix in its text."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & 0xFF  # the rest of the code tells finer shades
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return TryAgain(f"State file {path}: another process is writing it ({error}).")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        fix = _DAMAGED
    else:
        fix = _FIXES.get(primary, "SQLite refuses it, which is an internal error of Headgate.")
    return NeedsHuman(f"State file {path}: {error}. {fix} `headgate doctor` checks it.")


def newer(found: str, known: str, path: Path) -> NeedsHuman:
    """The failure of a file that a newer Headgate wrote."""
    return NeedsHuman(
        f"State file {path}: a newer Headgate wrote it (its schema is {found}; this one knows "
        f"{known} at the newest). Install that version again, or move the file aside together "
        "with those that end in -wal and -shm to begin anew. `headgate doctor` checks it."
    )


def older(path: Path) -> TryAgain:
    """The failure of a file that this version has not brought to its schema yet."""
    return TryAgain(
        f"State file {path}: an older Headgate wrote it, or none has yet. `headgate up` brings it "
        "to this version."
    )
