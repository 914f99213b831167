"""Backups: one file of SQLite with all that a state has, whichever database it was in.

A table more than a state says what it is: the schema it was made of, and the counts and the digest
of all rows. A backup of an older version is brought to the present schema when it is restored.
"""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from controller.store.addresses import Address
from controller.store.copying import copy, snapshot
from controller.store.faults import newer
from controller.store.migrations import HEAD
from controller.store.sqlite_transfer import SqliteTransfer, writing_file
from controller.store.transfer import TABLES, StoredTable, Transferred, carry, digested
from specs.failures import NeedsHuman

FORMAT = 1
"""Of the table that says what a backup is."""


def back_up(source: Address, file: Path) -> Transferred:
    """Write a backup of a state as it is at this moment, also beside a controller.

    The file appears when it is whole. Raises `NeedsHuman` if there is one of that name.
    """
    if file.exists():
        raise NeedsHuman(f"{file} exists already; name another file.")
    if not file.parent.is_dir():
        raise NeedsHuman(f"the folder {file.parent} does not exist.")
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with snapshot(source) as reading, writing_file(partial) as writing:
            carried = carry(reading, writing, str(file), replace=False)
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.execute("CREATE TABLE backup (said TEXT NOT NULL)")
            connection.execute("INSERT INTO backup VALUES (?)", (_said(carried),))
        os.link(partial, file)  # fails if another one was made meanwhile
    except FileExistsError:
        raise NeedsHuman(f"{file} exists already; name another file.") from None
    finally:
        partial.unlink(missing_ok=True)
    return carried


def restore(file: Path, target: Address, *, replace: bool) -> Transferred:
    """Put a backup into a state that no controller holds.

    Raises `NeedsHuman` for a file that is none, or was changed, or is of a newer version; and for a
    state that is not empty, unless it is to be replaced.
    """
    with _checked(file) as checked:
        return copy(checked, target, replace=replace)


def _said(carried: Transferred) -> str:
    about = {
        "format": FORMAT,
        "schema": HEAD,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tables": [table._asdict() for table in TABLES],
        **carried._asdict(),
    }
    return json.dumps(about)


@contextmanager
def _checked(file: Path) -> Iterator[Path]:
    """A copy of the file in this version's schema, after everything in it was compared with its
    digest."""
    if not file.is_file():
        raise NeedsHuman(f"there is no file {file}.")
    with TemporaryDirectory(prefix="headgate-restore-") as folder:
        scratch = Path(folder) / "backup.db"
        shutil.copyfile(file, scratch)
        scratch.chmod(0o600)
        about = _read(scratch, file)
        if about["schema"] > HEAD:
            raise newer(about["schema"], HEAD, file)
        tables = [StoredTable(**table) for table in about["tables"]]
        try:
            with closing(sqlite3.connect(scratch)) as connection:
                found = digested(SqliteTransfer(connection), tables)
        except sqlite3.Error as error:
            raise NeedsHuman(f"{file} is damaged ({error}); take another backup.") from error
        if found != Transferred(about["counts"], about["digest"]):
            raise NeedsHuman(
                f"{file} was changed or is damaged: it has {found}, and was written with the "
                f"digest {about['digest']}; take another backup."
            )
        with writing_file(scratch):  # brings it to this version's schema
            pass
        yield scratch


def _read(scratch: Path, file: Path) -> dict[str, Any]:
    try:
        with closing(sqlite3.connect(scratch)) as connection:
            ((said,),) = connection.execute("SELECT said FROM backup").fetchall()
        about: dict[str, Any] = json.loads(said)
        if about["format"] != FORMAT:
            raise NeedsHuman(f"{file}: a newer Headgate wrote this backup; restore it with that.")
    except (sqlite3.Error, ValueError, KeyError, TypeError):
        raise NeedsHuman(f"{file} is no backup of `headgate backup`, or is damaged.") from None
    return about
