"""Finds the files of a folder and below, with their identities, in one pass and in little memory.

A `Scan` holds what was found in packed form, and its stamp: while nothing changes, another scan has
the same stamp.
"""

import errno
import hashlib
import marshal
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from controller.buckets.roots import is_within
from specs.failures import NeedsHuman

FileRow = tuple[str, int, int, int, int, int]
"""A file's name, and its identity: device, inode, size in bytes, and when it and its inode were
changed, in nanoseconds since the epoch."""

_BLOCK = 1000
"""Files that are packed together."""
_PACKED = 2
"""The version of `marshal` that packs equal rows into equal bytes; later ones count references."""


class ScannedFolder(NamedTuple):
    """The files directly in one folder, without hidden ones, in the order of the system."""

    below: str
    """Its path below the scanned folder: empty, or ending with a slash."""
    blocks: tuple[bytes, ...]
    files: int
    stamp: bytes

    def rows(self) -> Iterator[FileRow]:
        """The files."""
        return unpacked(self.blocks)


class Scan(NamedTuple):
    """All files below a folder."""

    root: str
    """The folder, without symbolic links."""
    folders: tuple[ScannedFolder, ...]
    stamp: bytes


def scan(folder: Path) -> Scan:
    """Find all files. Links are followed if they lead to somewhere below the folder.

    Blocking. Raises `NeedsHuman` for other links, and `OSError` with the path.
    """
    root = os.path.realpath(folder)
    whole, folders, waiting = hashlib.sha256(), [], [""]
    while waiting:
        below = waiting.pop()
        try:
            found = _scanned(folder, root, below, waiting)
        except (FileNotFoundError, NotADirectoryError):
            if not below:
                raise
            continue  # deleted in the meantime
        whole.update(found.stamp + os.fsencode(below) + b"\0")
        folders.append(found)
    return Scan(root, tuple(folders), whole.digest())


def unpacked(blocks: tuple[bytes, ...]) -> Iterator[FileRow]:
    """The files of packed blocks."""
    for block in blocks:
        yield from marshal.loads(block)  # noqa: S302 - packed here


def identity_of(about: os.stat_result) -> tuple[int, int, int, int, int]:
    """What changes when a file does; see `FileRow`."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


@contextmanager
def opened(root: str, below: str) -> Iterator[int]:
    """A handle of a folder below a resolved one, for functions with `dir_fd`. Raises
    `FileNotFoundError` if it is elsewhere by now, by a link that was put in its place."""
    path = os.path.join(root, below)  # noqa: PTH118 - called for each folder
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not is_within(os.readlink(f"/proc/self/fd/{handle}"), root):  # noqa: PTH115
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        yield handle
    finally:
        os.close(handle)


def _scanned(folder: Path, root: str, below: str, waiting: list[str]) -> ScannedFolder:
    """Scan one folder, and add those in it to `waiting`."""
    blocks: list[bytes] = []
    rows: list[FileRow] = []
    count, digest = 0, hashlib.sha256()
    with opened(root, below) as handle, os.scandir(handle) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    about = entry.stat(follow_symlinks=False)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{below}{name}/")
                    continue
                elif (target := _target(folder, root, below, entry)) is not None:
                    about = target
                else:
                    continue
            except FileNotFoundError:
                continue  # deleted in the meantime
            except OSError as error:
                error.filename = f"{folder}/{below}{name}"
                raise
            rows.append((name, *identity_of(about)))
            if len(rows) == _BLOCK:
                blocks.append(marshal.dumps(rows, _PACKED))
                digest.update(blocks[-1])
                count += _BLOCK
                rows.clear()
    blocks.append(marshal.dumps(rows, _PACKED))
    digest.update(blocks[-1])
    return ScannedFolder(below, tuple(blocks), count + len(rows), digest.digest())


def _target(
    folder: Path, root: str, below: str, entry: "os.DirEntry[str]"
) -> os.stat_result | None:
    """The regular file that a link leads to; None if that, or what is there, is none."""
    if entry.is_symlink():
        real = os.path.realpath(f"{root}/{below}{entry.name}")
        if not is_within(real, root):
            raise NeedsHuman(
                f"{folder}/{below}{entry.name} is a symbolic link out of the dataset: replace it "
                "by the data, or point the dataset's `uri` to that"
            )
        if entry.is_dir():
            return None  # its target is listed in its own place
    about = entry.stat()
    return about if stat.S_ISREG(about.st_mode) else None
