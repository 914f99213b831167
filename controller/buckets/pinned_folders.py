"""Folders that hold exactly the objects of one dataset version: made whole, or not at all."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from controller.blobs.shelf import mode, remove_tree, use
from controller.buckets.protocol import Contents
from specs.digests import ManifestEntry
from specs.failures import NeedsHuman


def is_pinned(target: Path, manifest: Contents) -> bool:
    """Whether the folder is there with exactly these objects, as they were put there; if so it
    stays for now. Blocking."""
    return use(target) and _holds(target, manifest)


def make_pin(target: Path, manifest: Contents, link: Callable[[ManifestEntry, Path], None]) -> None:
    """Make the folder anew; `link` puts one object at a path. Blocking. Raises what `link` does,
    OSError, and NeedsHuman for keys that cannot be files beside each other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".pin-", dir=target.parent))
    try:
        for entry in manifest:
            inside = scratch / "new" / checked_key(entry.key)
            try:
                inside.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise NeedsHuman(
                    f"{entry.key!r} lies below another object of the dataset, as if that were a "
                    "folder: rename one, name fewer by a glob, or read it with `access: uri`"
                ) from None
            link(entry, inside)
        _replace(scratch, target)
    finally:
        remove_tree(scratch)


def checked_key(key: str) -> str:
    """Raises NeedsHuman for a key that leads elsewhere as a path."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise NeedsHuman(f"the manifest names {key!r}, which is no path inside a dataset")
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
    # Written after every file in it: whatever is written later shows by its time.
    os.utime(new)
    if target.exists():
        target.chmod(0o700)  # a folder that is moved is written to, unless root moves it
        target.rename(scratch / "old")
    try:
        new.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    target.chmod(mode(0o555))
