"""Lists a scanned folder: which of its files are objects of a dataset, and their digests."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import compress
from os import fsencode
from pathlib import Path
from typing import NamedTuple

from controller.buckets.folder_scan import FileRow, Scan, ScannedFolder
from controller.buckets.hashing import CarefulOpen, FolderHasher
from controller.buckets.known_files import KnownFiles
from controller.buckets.manifest import ManifestWriter, Row, Sorter, StoredManifest
from controller.buckets.places import DatasetPlace, is_temporary, is_uncommitted, markers_in
from controller.buckets.table_formats import may_hold_log, table_below
from specs.failures import NeedsHuman
from specs.globs import names_in

SETTLED_AFTER = 1.0
"""Seconds without a write after which a file counts as complete. Whether the whole dataset is
complete is up to `quiet` or the marker; this only keeps half-written files from being hashed."""
EMPTY_SETTLED_AFTER = 30.0
"""The same for an empty file outside the repository: its writer may just have created it. One that
stays empty is data, such as the labels of an image with nothing in it."""
GRANULARITY = 1.0
"""Seconds within which two changes of a file can have the same time. What was hashed sooner after a
change is hashed again by the next listing."""


class FolderObjects(NamedTuple):
    """The objects of a dataset directly in one folder."""

    folder: ScannedFolder
    mask: bytearray
    """1 for each of the folder's files that is one, and 0 for the others."""

    def object_keys(self) -> Iterator[str]:
        """Their keys."""
        return (self.folder.below + row[0] for row in compress(self.folder.rows(), self.mask))


class FoundObjects(NamedTuple):
    """The objects of a dataset."""

    folders: Sequence[FolderObjects]
    newest: int
    """When the newest one was written, in nanoseconds since the epoch; 0 if there is none."""
    last: str
    """That one's key."""


def find_objects(place: DatasetPlace, scanned: Scan, marker: str | None) -> FoundObjects:
    """Find a dataset's objects among the files that were scanned. Raises `NeedsHuman` for a table
    below the folder, and for a name that is not UTF-8."""
    for folder in scanned.folders:
        if may_hold_log(folder.below):
            for row in folder.rows():
                if why := table_below(folder.below + row[0], str(place.folder)):
                    raise NeedsHuman(why)
    folders, newest = [], (0, "")
    for folder in scanned.folders:
        mask, latest = _objects_in(folder, place, marker)
        if any(mask):
            folders.append(FolderObjects(folder, mask))
        newest = max(newest, latest)
    return FoundObjects(folders, *newest)


def _objects_in(
    folder: ScannedFolder, place: DatasetPlace, marker: str | None
) -> tuple[bytearray, tuple[int, str]]:
    """The mask of a folder's objects, and when the newest was written, with its key."""
    found = bytearray(folder.files)
    newest = (0, "")
    below, names = folder.below, names_in(folder.below, place.glob)
    if names is None or is_uncommitted(below):
        return found, newest
    markers = markers_in(below, marker)
    for at, (name, _, _, _, written, _) in enumerate(folder.rows()):
        if names.match(name) is None or is_temporary(name) or name in markers:
            continue
        key = below + name
        if not key.isascii():
            _refuse_odd(place.folder, key)
        if written >= newest[0]:
            newest = max(newest, (written, key))
        found[at] = 1
    return found, newest


class LocalLister:
    """Makes the manifest of the objects that were found. For one listing; blocking.

    Symbolic links are opened by `careful`, and with `always_careful` every file. `complete`: the
    marker says that all objects are complete, so empty files are meant to be empty.
    """

    def __init__(
        self,
        known: KnownFiles,
        now: float,
        careful: CarefulOpen,
        *,
        always_careful: bool,
        complete: bool,
    ) -> None:
        self._known = known
        self._now = now
        self._recent = int((now - EMPTY_SETTLED_AFTER) * 1e9)
        self._careful = careful
        self._always_careful = always_careful
        self._complete = complete
        self.unsettled: list[str] = []
        """The objects that are being written; they are not in the manifest."""
        self.is_final = True
        """Whether the next listing finds the same, if its scan does."""

    def manifest(self, scanned: Scan, found: FoundObjects, manifests: Path) -> StoredManifest:
        """The settled objects, in a manifest below the folder `manifests`. Those whose digests are
        not known are hashed."""
        with closing(Sorter(manifests)) as sorter:
            for one in found.folders:
                sorter.add(self._entries(scanned.root, one))
            self._known.flush()
            self._known.forget_others(scanned.root, scanned.folders)
            writer = ManifestWriter(manifests)
            for row in sorter.rows():
                writer.add(row)
            return writer.done()

    def _entries(self, root: str, objects: FolderObjects) -> list[Row]:
        """The objects of one folder."""
        folder = objects.folder
        digests, is_stored = self._known.digests(root, folder)
        entries = []
        with FolderHasher(
            root, folder.below, self._careful, always_careful=self._always_careful
        ) as hasher:
            for at, row in compress(enumerate(folder.rows()), objects.mask):
                digest = digests[at]
                if digest is None:
                    is_new = max(row[4], row[5]) > self._recent
                    digest = None if is_new and self._is_being_written(row) else hasher.digest(row)
                    if digest is None:
                        self.unsettled.append(folder.below + row[0])
                        continue
                    if is_new and abs(self._now - row[5] / 1e9) < GRANULARITY:
                        self.is_final = False
                    else:
                        digests[at], is_stored = digest, False
                entries.append((folder.below + row[0], row[3], f"sha256:{digest.hex()}"))
        if not is_stored:
            self._known.update(root, folder, digests)
        return entries

    def _is_being_written(self, row: FileRow) -> bool:
        """Whether a file is too new to be complete."""
        _, _, _, size, written, _ = row
        is_filling = not (size or self._complete)
        quiet = EMPTY_SETTLED_AFTER if is_filling else SETTLED_AFTER
        return 0 <= self._now - written / 1e9 < quiet


def _refuse_odd(folder: Path, key: str) -> None:
    if any("\udc80" <= each <= "\udcff" for each in key):
        name = fsencode(key).decode("utf-8", "backslashreplace")
        raise NeedsHuman(f"the file name {folder}/{name} is not UTF-8: rename the file")
