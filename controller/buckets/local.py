"""Datasets in local directories: listed by content, pinned as they were listed.

An object's version is the digest of its content. It is cached by the file's identity (inode, size,
and both times in nanoseconds), so that listing an unchanged file costs only a `stat`.
"""

import asyncio
import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from controller.blobs.last_use import discard_all
from controller.blobs.objects import Objects, explained
from controller.buckets.pinned_folders import checked_key, is_pinned, make_pin
from controller.buckets.protocol import Contents, Listing, ObjectChanged
from controller.buckets.roots import Roots
from controller.buckets.table_formats import table_below
from specs.digests import Manifest, ManifestEntry
from specs.failures import NeedsHuman
from specs.globs import ROOT, matches

SETTLED_AFTER = 1.0
"""Seconds without a write after which a file counts as complete. Whether the whole dataset is
complete is up to `quiet` or the marker; this only keeps half-written files from being hashed."""
EMPTY_SETTLED_AFTER = 30.0
"""The same for an empty file outside the repository: its writer may just have created it. One that
stays empty is data, such as the labels of an image with nothing in it."""

_TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".inprogress", "~")
MAGIC = "*?["


class DatasetPlace(NamedTuple):
    """Where a dataset is: a folder, and which paths below it belong to the dataset."""

    folder: Path
    glob: str
    committed: bool
    """Whether it is in the repository."""


def base_folder(uri: str, top: Path, folder: str) -> Path:
    """The folder that a path in the repository is relative to: the spec's or, for `//path`, the
    repository's `top`."""
    return top if uri.startswith(ROOT) else top / folder


def place_of(uri: str, repository: Path | None = None) -> DatasetPlace:
    """Parse `file:///data/flights/**/*.parquet`, `/data/flights` or a path in the repository, which
    is relative to the folder `repository` (see `base_folder`).

    A folder without a glob means everything below it. Raises `NeedsHuman` for another scheme, for
    `..`, and for a relative path without a repository.
    """
    parts = urlsplit("" if uri.startswith(ROOT) else uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise NeedsHuman(f"{uri} is not a local directory: write file:///absolute/path")
    # In a plain path `?` and `#` are literal; only URIs escape them.
    path = PurePosixPath(unquote(parts.path) if parts.scheme else uri.removeprefix(ROOT))
    if parts.scheme and not path.is_absolute():
        raise NeedsHuman(f"{uri} is not absolute: write file:///path, with three slashes")
    if ".." in path.parts or "\0" in str(path):
        raise NeedsHuman(f"{uri} contains '..': write the path without it")
    fixed = next((i for i, part in enumerate(path.parts) if set(part) & set(MAGIC)), None)
    glob = "**" if fixed is None else "/".join(path.parts[fixed:])
    folder = Path(*path.parts[:fixed]) if fixed is not None else Path(path)
    committed = not folder.is_absolute()
    if committed:
        if repository is None:
            raise NeedsHuman(f"{uri} is relative, but there is no repository: write file:///path")
        root = repository.resolve()
        folder = (root / folder).resolve()
        if not folder.is_relative_to(root):
            raise NeedsHuman(f"{uri} leads out of the repository by a symbolic link")
    return DatasetPlace(folder, glob, committed)


class LocalBucket:
    """A `Bucket` over local directories. Keeps digests and copies in the folder `cache`.

    Listing and pinning may raise `NeedsHuman`: a missing or unreadable directory, a full disk.
    """

    def __init__(
        self,
        cache: Path,
        *,
        roots: Roots = Roots(),  # noqa: B008 - a constant value
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._roots = roots
        self._clock = clock
        self._objects = Objects(cache / "objects")

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """See `Bucket`. Raises NeedsHuman for a symbolic link that leads out of the directory."""
        return await asyncio.to_thread(self._list, self._place(uri, repository), marker)

    async def pin(self, uri: str, manifest: Contents, *, repository: Path | None = None) -> Path:
        """See `Bucket`."""
        return await asyncio.to_thread(self._pin, self._place(uri, repository), manifest)

    def address(self, uri: str, key: str, *, repository: Path | None = None) -> str:
        """See `Bucket`."""
        return (self._place(uri, repository).folder / key).as_uri()

    def folder(self, uri: str, repository: Path | None = None) -> Path | None:
        """The folder that a dataset's objects are below; None for one in the repository."""
        place = self._place(uri, repository)
        return None if place.committed else place.folder

    def _place(self, uri: str, repository: Path | None) -> DatasetPlace:
        """Where the dataset is. Raises `OutsideRoots` if it may not be read."""
        place = place_of(uri, repository)
        if not place.committed:
            self._roots.check(uri, place.folder)
        return place

    def sweep(self, keep: Collection[str], before: float) -> int:
        """See `Bucket`."""
        gone = discard_all(self._cache / "pins", before, keep)
        self._objects.sweep((), before)  # pinned folders have links or copies of their own
        return gone

    def _list(self, place: DatasetPlace, marker: str | None) -> Listing:
        self._cache.mkdir(parents=True, exist_ok=True)
        with explained(place.folder):
            # First the marker, so that everything written before it is in the listing.
            marked = _written(place.folder / marker) if marker is not None else None
            if place.folder.is_file():
                raise NeedsHuman(
                    f"{place.folder} is a file, but a dataset is a folder or a glob: write its "
                    f"folder, or `*{place.folder.suffix}` in that, as the dataset's `uri`"
                )
            if not place.folder.is_dir():
                raise NeedsHuman(
                    f"{place.folder} is not a directory: create it, or correct the dataset's `uri`"
                )
            there = dict(_walk(place.folder, place.folder.resolve()))
            for key in there:
                if why := table_below(key, str(place.folder)):
                    raise NeedsHuman(why)
            found = {
                key: about
                for key, about in there.items()
                if matches(place.glob, key) and not is_excluded(key, marker)
            }
            _refuse_odd(place.folder, found)
            self._guard(place, found)
            newest, last = max(
                ((about.st_mtime_ns, key) for key, about in found.items()), default=(0, "")
            )
            is_marked = marked is not None and newest <= marked
            with closing(_Versions(self._cache / "versions.db")) as versions:
                entries, unsettled = self._versions(place, found, versions, complete=is_marked)
        return Listing(
            manifest=Manifest(tuple(entries)),
            unsettled=tuple(sorted(unsettled)),
            marked=None if marker is None else is_marked,
            unmarked=explain_unmarked(marker, last if marked is not None else None, is_marked),
        )

    def _versions(
        self,
        place: DatasetPlace,
        found: Mapping[str, os.stat_result],
        versions: "_Versions",
        *,
        complete: bool,
    ) -> tuple[Sequence[ManifestEntry], Sequence[str]]:
        """The entry of each settled object, and the keys of the others. `complete`: the marker says
        that all are complete, so empty files are meant to be empty."""
        entries, unsettled = [], []
        known = versions.known(place.folder)
        fresh: dict[str, tuple[str, str]] = {}
        now = self._clock()
        for key, about in found.items():
            identity = _identity(about)
            version = known[key][1] if key in known and known[key][0] == identity else None
            if version is None:
                is_filling = not (about.st_size or complete or place.committed)
                quiet = EMPTY_SETTLED_AFTER if is_filling else SETTLED_AFTER
                if 0 <= now - about.st_mtime < quiet:
                    unsettled.append(key)
                    continue
                version = self._hashed(place, key, identity)
                if version is None:
                    unsettled.append(key)
                    continue
                fresh[key] = (identity, version)
            entries.append(ManifestEntry(key, about.st_size, version))
        versions.update(place.folder, fresh, known.keys() - found.keys())
        return entries, unsettled

    def _pin(self, place: DatasetPlace, manifest: Contents) -> Path:
        self._guard(place, (entry.key for entry in manifest))
        target = self._cache / "pins" / manifest.digest.rpartition(":")[2]
        if not is_pinned(target, manifest):

            def link(entry: ManifestEntry, inside: Path) -> None:
                self._copy(place, entry)
                self._objects.link(entry.version, inside)

            with explained(self._cache):
                make_pin(target, manifest, link)
        return target

    def _copy(self, place: DatasetPlace, entry: ManifestEntry) -> None:
        """Copy the object to the cache, unless it is there, and check that it is as listed."""
        if self._objects.is_intact(entry.version, touch=True):
            return
        path = place.folder / checked_key(entry.key)
        try:
            with self._open(place, entry.key) as file:
                stored = self._objects.put_open(file)
        except FileNotFoundError:
            raise ObjectChanged(f"{path} was deleted after it was listed: list again") from None
        if stored.digest != entry.version:
            raise ObjectChanged(f"{path} was changed after it was listed: list again")

    def _hashed(self, place: DatasetPlace, key: str, identity: str) -> str | None:
        """The digest of the file with this identity; None if it was changed or deleted."""
        try:
            with self._open(place, key) as file:
                digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
                opened = _identity(os.fstat(file.fileno()))
            return digest if opened == identity == _identity((place.folder / key).stat()) else None
        except FileNotFoundError:
            return None

    def _guard(self, place: DatasetPlace, keys: Iterable[str]) -> None:
        """Raises `OutsideRoots` for an object that is one of the controller's own files, even if it
        was not when it was listed or copied."""
        if not place.committed and self._roots.may_contain_private(place.folder.resolve()):
            for key in keys:
                path = f"{place.folder}/{key}"
                self._roots.check_file(path, os.path.realpath(path))

    def _open(self, place: DatasetPlace, key: str) -> FileIO:
        root = place.folder.resolve()
        return self._roots.open(place.folder / key, root, checked=not place.committed)


class _Versions:
    """The persistent cache of digests. If deleted, everything is hashed again once."""

    def __init__(self, path: Path) -> None:
        try:
            self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS version (folder TEXT, key TEXT, identity TEXT,"
            " digest TEXT, PRIMARY KEY (folder, key)) WITHOUT ROWID"
        )

    def known(self, folder: Path) -> dict[str, tuple[str, str]]:
        """Key to (identity, digest), of one folder."""
        rows = self._db.execute(
            "SELECT key, identity, digest FROM version WHERE folder = ?", (str(folder),)
        )
        return {key: (identity, digest) for key, identity, digest in rows}

    def update(self, folder: Path, fresh: Mapping[str, tuple[str, str]], gone: "set[str]") -> None:
        """Remember and forget."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?)",
                [(str(folder), key, *about) for key, about in fresh.items()],
            )
            self._db.executemany(
                "DELETE FROM version WHERE folder = ? AND key = ?",
                [(str(folder), key) for key in gone],
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _refuse_odd(folder: Path, keys: Iterable[str]) -> None:
    for key in keys:
        if not key.isascii() and any("\udc80" <= each <= "\udcff" for each in key):
            name = os.fsencode(key).decode("utf-8", "backslashreplace")
            raise NeedsHuman(f"the file name {folder}/{name} is not UTF-8: rename the file")


def _walk(folder: Path, root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `folder` with its key. Links are followed if they lead below `root`."""
    waiting = [(str(folder), "")]
    while waiting:
        where, prefix = waiting.pop()
        try:
            entries = list(os.scandir(where))
        except FileNotFoundError:
            if not prefix:
                raise
            continue  # deleted in the meantime
        for entry in entries:
            if entry.name.startswith("."):
                continue
            key = prefix + entry.name
            if entry.is_symlink():
                if not Path(entry.path).resolve().is_relative_to(root):
                    raise NeedsHuman(
                        f"{entry.path} is a symbolic link out of the dataset: replace it by the "
                        "data, or point the dataset's `uri` to that"
                    )
                if entry.is_dir():
                    continue  # its target is listed in its own place
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, key + "/"))
                continue
            try:
                about = entry.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(about.st_mode):
                yield key, about


def _written(marker: Path) -> int | None:
    """When the marker was written, in nanoseconds since the epoch; None if there is none."""
    try:
        about = marker.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return about.st_mtime_ns if stat.S_ISREG(about.st_mode) else None


def explain_unmarked(marker: str | None, newest: str | None, is_marked: bool) -> str:
    """Why a dataset does not count as marked complete; empty if it does, or needs no marker.
    `newest` is the newest object, or None if there is no marker."""
    if marker is None or is_marked:
        return ""
    if newest is None:
        return f"its marker {marker} is missing"
    return f"its marker {marker} is older than {newest}"


def is_excluded(key: str, marker: str | None) -> bool:
    """Whether it is a marker, or a temporary file by its name: Hadoop and Spark keep uncommitted
    files in `_temporary`, and `~$book.xlsx` is a lock file of Excel."""
    *folders, name = key.split("/")
    return (
        name in ("_SUCCESS", marker)
        or key == marker
        or name.lower().endswith(_TEMPORARY)
        or name.startswith("~$")
        or "_temporary" in folders
    )


def _identity(about: os.stat_result) -> str:
    parts = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return "-".join(map(str, parts))
