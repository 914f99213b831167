"""What earlier listings found in local folders, on disk: digests of files, and whole listings.

All of it can be found again: if the database is deleted, every file is hashed once more.
"""

import marshal
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from controller.buckets.folder_scan import ScannedFolder, unpacked

Digests = list[bytes | None]
"""The SHA-256 of each file of a folder, in their order; None for one that is not known."""

_SIZE = 32
"""The size of a digest, in bytes."""
_UNKNOWN = bytes(_SIZE)

_AT_ONCE = 2**23
"""Bytes that are written together at least, which bounds memory and what a crash can lose."""

_TABLES = """
CREATE TABLE IF NOT EXISTS folder (root BLOB, below BLOB, stamp BLOB, files BLOB, digests BLOB,
  PRIMARY KEY (root, below));
CREATE TABLE IF NOT EXISTS listing (asked TEXT PRIMARY KEY, stamp BLOB, manifest TEXT,
  newest INTEGER, last TEXT);
"""


class KnownListing(NamedTuple):
    """What was listed when nothing was being written."""

    stamp: bytes
    """The stamp of the scan."""
    manifest: str
    """Its digest."""
    newest: int
    """When the newest object was written, in nanoseconds since the epoch; 0 if there is none."""
    last: str
    """That object's key."""


class KnownFiles:
    """The database. Blocking; may be used by several processes."""

    def __init__(self, path: Path) -> None:
        self._fresh: list[tuple[bytes, bytes, bytes, bytes, bytes]] = []
        self._size = 0
        try:
            self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_TABLES)
        # Headgate 0.1 had a row for each file here.
        one = "SELECT 1 FROM sqlite_master WHERE name = 'version'"
        self._has_rows = self._db.execute(one).fetchone() is not None

    def listing(self, asked: str) -> KnownListing | None:
        """The last listing of a dataset."""
        found = self._db.execute(
            "SELECT stamp, manifest, newest, last FROM listing WHERE asked = ?", (asked,)
        ).fetchone()
        return KnownListing(*found) if found else None

    def digests(self, root: str, folder: ScannedFolder) -> tuple[Digests, bool]:
        """The digests of a folder's files, and whether all of it is stored like this."""
        found = self._db.execute(
            "SELECT stamp, files, digests FROM folder WHERE root = ? AND below = ?",
            (os.fsencode(root), os.fsencode(folder.below)),
        ).fetchone()
        if found is None:
            return self._from_rows(root, folder), False
        stamp, files, digests = found
        if stamp == folder.stamp:
            return list(_cut(digests)), True
        known = dict(zip(unpacked(marshal.loads(files)), _cut(digests), strict=True))  # noqa: S302
        return [known.get(row) for row in folder.rows()], False

    def update(self, root: str, folder: ScannedFolder, digests: Digests) -> None:
        """Replace the digests of a folder's files. They are written with others, by `flush` at the
        latest."""
        files = marshal.dumps(folder.blocks)
        packed = b"".join(each or _UNKNOWN for each in digests)
        row = (os.fsencode(root), os.fsencode(folder.below), folder.stamp, files, packed)
        self._fresh.append(row)
        self._size += len(files) + len(packed)
        if self._size > _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what was updated."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?)", self._fresh
            )
        self._fresh, self._size = [], 0

    def remember(self, asked: str, listing: KnownListing) -> None:
        """Replace the last listing of a dataset."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?)", (asked, *listing)
            )

    def forget_others(self, root: str, folders: Sequence[ScannedFolder]) -> None:
        """Forget the folders that are gone."""
        there = {os.fsencode(each.below) for each in folders}
        at = os.fsencode(root)
        known = self._db.execute("SELECT below FROM folder WHERE root = ?", (at,)).fetchall()
        gone = [(at, below) for (below,) in known if below not in there]
        with self._db:
            self._db.executemany("DELETE FROM folder WHERE root = ? AND below = ?", gone)
            if self._has_rows and _is_text(root):
                self._db.execute("DELETE FROM version WHERE folder = ?", (root,))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _from_rows(self, root: str, folder: ScannedFolder) -> Digests:
        """The digests as an older controller stored them."""
        if not self._has_rows or not _is_text(root + folder.below):
            return list(repeat(None, folder.files))
        rows = self._db.execute(
            "SELECT key, identity, digest FROM version WHERE folder = ? AND key >= ? AND key < ?",
            (root, folder.below, f"{folder.below}\U0010ffff"),
        )
        known = {(key, identity): digest for key, identity, digest in rows}
        asked = ((f"{folder.below}{row[0]}", "-".join(map(str, row[1:]))) for row in folder.rows())
        found = (known.get(one, "").partition(":")[2] for one in asked)
        return [bytes.fromhex(each) or None for each in found]


def _is_text(path: str) -> bool:
    """Whether it has no bytes that are not UTF-8."""
    return path.isascii() or not any("\udc80" <= each <= "\udcff" for each in path)


def _cut(digests: bytes) -> Iterator[bytes | None]:
    each = (digests[at : at + _SIZE] for at in range(0, len(digests), _SIZE))
    return (one if one != _UNKNOWN else None for one in each)
