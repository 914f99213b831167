"""Manifests on the disk: sorted, digested, written and read as streams, however many objects.

A manifest is a small index that names segments by their digests; a segment holds a few thousand
entries. Where a segment ends is for the keys alone to say, so a change makes one segment new and
leaves all others what they were: they are recognised and not written again.
"""

import hashlib
import json
import marshal
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from secrets import token_hex

from controller.blobs.shelf import discard_all, lay, use
from controller.buckets.protocol import Contents
from specs.digests import Json, ManifestEntry, canonical_json

Row = tuple[str, int, str]
"""The key, the bytes and the version of an object."""

_MEAN = 4096
"""Entries of a segment, on average."""
_MOST = 65_536
"""Entries of a segment at most, whatever the keys say: what is in memory at once."""
_RUN = 50_000
"""Entries that are sorted in memory."""
_BLOCK = 1000
"""Entries of a run that are read back at once."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """The objects of one dataset version, on the disk; iterated in the order of their keys."""

    digest: str
    """The dataset version: what `specs.digests.Manifest` has as its digest."""
    count: int
    size: int
    """Bytes of all objects together."""
    segments: tuple[Path, ...]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[ManifestEntry]:
        """Every object, one segment in memory at a time."""
        for segment in self.segments:
            for row in json.loads(segment.read_bytes()):
                yield ManifestEntry(*row)

    def cuts(self, most: int, least: int) -> list[str]:
        """Keys that cut it into at most `most` parts of at least about `least` entries each."""
        parts = min(most, self.count // least, len(self.segments))
        places = (len(self.segments) * part // parts for part in range(1, parts))
        return [json.loads(self.segments[place].read_bytes())[0][0] for place in places]


class Sorter:
    """Takes entries in any order, from several threads; gives them sorted by their keys.

    What does not fit into memory waits in one nameless file. Blocking; for one use.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `close` closes it
        self._runs: list[list[tuple[int, int]]] = []
        self._rows: list[Row] = []
        self._lock = threading.Lock()

    def add(self, rows: Iterable[Row]) -> None:
        """Take some."""
        with self._lock:
            self._rows += rows
            if len(self._rows) >= _RUN:
                self._spill()

    def rows(self) -> Iterator[Row]:
        """All, sorted."""
        self._rows.sort()
        return merge(*map(self._read, self._runs), self._rows) if self._runs else iter(self._rows)

    def close(self) -> None:
        """Free the disk."""
        self._file.close()

    def _spill(self) -> None:
        self._rows.sort()
        blocks = []
        for begin in range(0, len(self._rows), _BLOCK):
            content = marshal.dumps(self._rows[begin : begin + _BLOCK])
            blocks.append((self._file.tell(), len(content)))
            self._file.write(content)
        self._runs.append(blocks)
        self._rows = []

    def _read(self, blocks: list[tuple[int, int]]) -> Iterator[Row]:
        for offset, size in blocks:
            self._file.seek(offset)
            yield from marshal.loads(self._file.read(size))  # noqa: S302 - our own nameless file


class ManifestWriter:
    """Takes the entries of one version in the order of their keys. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole = hashlib.sha256(b"[")
        self._rows: list[Row] = []
        self._segments: list[str] = []
        self._last: str | None = None
        self._count = self._size = 0
        for name in ("indexes", "segments"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, row: Row) -> None:
        """The next object. Raises ValueError for a key that does not come after the last one, and
        at the latest in `done` for one that is no Unicode."""
        key = row[0]
        if self._last is not None and key <= self._last:
            how = "more than once" if key == self._last else f"after {self._last!r}"
            raise ValueError(f"the manifest lists {key!r} {how}")
        if self._rows and (zlib.crc32(key.encode()) % _MEAN == 0 or len(self._rows) == _MOST):
            self._end_segment()
        self._rows.append(row)
        self._last = key
        self._size += row[1]

    def done(self) -> StoredManifest:
        """The manifest, which is on the disk now. Nothing may be added any more."""
        self._end_segment()
        self._whole.update(b"]")
        digest = self._whole.hexdigest()
        index = self._folder / "indexes" / digest
        if not use(index):
            about: Json = {
                "count": self._count,
                "size": self._size,
                "segments": self._segments,
            }
            _write(index, canonical_json(about))
        paths = tuple(self._folder / "segments" / name for name in self._segments)
        return StoredManifest(f"sha256:{digest}", self._count, self._size, paths)

    def _end_segment(self) -> None:
        if not self._rows:
            return
        content = _encode(self._rows).encode()
        self._whole.update((b"," if self._count else b"") + content[1:-1])
        self._count += len(self._rows)
        name = hashlib.sha256(content).hexdigest()
        segment = self._folder / "segments" / name
        if not use(segment):
            _write(segment, content)
        self._segments.append(name)
        self._rows = []


def write(folder: Path, contents: Contents) -> StoredManifest:
    """The same objects on the disk, below `folder`. Blocking."""
    if isinstance(contents, StoredManifest):
        return contents
    writer = ManifestWriter(folder)
    for entry in contents:
        writer.add((entry.key, entry.size, entry.version))
    return writer.done()


def read(folder: Path, digest: str) -> StoredManifest | None:
    """A manifest that was written, which stays for now; None if it is not there."""
    index = folder / "indexes" / digest.rpartition(":")[2]
    if not use(index):
        return None
    about = json.loads(index.read_bytes())
    paths = tuple(folder / "segments" / name for name in about["segments"])
    return StoredManifest(digest, about["count"], about["size"], paths)


def sweep(folder: Path, before: float) -> int:
    """Delete the manifests that were neither written nor read since `before` (seconds since the
    epoch), and the segments that only they had; how many manifests went. Blocking.

    A segment that is being written is younger than `before`, so its index may come later.
    """
    indexes = folder / "indexes"
    gone = discard_all(indexes, before)
    left = indexes.iterdir() if indexes.is_dir() else ()
    wanted = {name for index in left for name in json.loads(index.read_bytes())["segments"]}
    discard_all(folder / "segments", before, wanted)
    return gone


def _write(path: Path, content: bytes) -> None:
    # Beside the folder, where nothing is read: only whole files have a name that counts.
    scratch = path.parent.parent / f"{token_hex(8)}.new"
    scratch.write_bytes(content)
    lay(scratch, path)
