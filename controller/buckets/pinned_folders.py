"""Folders with exactly the objects of one dataset version, created atomically."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from controller.blobs.last_use import mode, remove_tree, use
from controller.buckets.protocol import Contents
from specs.digests import ManifestEntry
from specs.failures import NeedsHuman


def is_pinned(target: Path, manifest: Contents) -> bool:
    """Whether the folder has exactly these objects, unmodified; if so, it is marked as used now.
    Blocking."""
    return use(target) and _holds(target, manifest)


def make_pin(target: Path, manifest: Contents, link: Callable[[ManifestEntry, Path], None]) -> None:
    """Create or replace the folder; `link` puts one object at a path. Blocking. Raises what `link`
    raises, `OSError`, and `NeedsHuman` for keys that cannot coexist as files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".pin-", dir=target.parent))
    try:
        for entry in manifest:
            inside = scratch / "new" / checked_key(entry.key)
            try:
                inside.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise NeedsHuman(
                    f"{entry.key!r} is below another object of the dataset as if that were a "
                    "folder: rename one, exclude one with a glob, or use `access: uri`"
                ) from None
            link(entry, inside)
        _replace(scratch, target)
    finally:
        remove_tree(scratch)


def checked_key(key: str) -> str:
    """The key, if it is a safe relative path. Raises `NeedsHuman` if not."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise NeedsHuman(
            f"the dataset has an object {key!r}, which is not a valid relative path: rename it"
        )
    return key


def _holds(pinned: Path, manifest: Contents) -> bool:
    if not pinned.is_dir():
        return False
    there = {
        path.relative_to(pinned).as_posix(): path.lstat()
        for path in pinned.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    wanted = {entry.key: entry.size for entry in manifest}
    made = pinned.stat().st_mtime_ns
    return there.keys() == wanted.keys() and all(
        stat.S_ISREG(about.st_mode) and about.st_size == wanted[key] and about.st_mtime_ns <= made
        for key, about in there.items()
    )


def _replace(scratch: Path, target: Path) -> None:
    new = scratch / "new"
    new.mkdir(exist_ok=True)
    for folder, _, _ in os.walk(new):
        if Path(folder) != new:
            Path(folder).chmod(mode(0o555))
    # Later than every file in it, so that a file modified later is noticed by its time.
    os.utime(new)
    if target.exists():
        target.chmod(0o700)  # needed to move a folder, except for root
        target.rename(scratch / "old")
    try:
        new.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    target.chmod(mode(0o555))
