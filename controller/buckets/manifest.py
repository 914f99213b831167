"""Manifests on disk: sorted, digested, written and read as streams of any length.

A manifest is a small index that names segments by their digests; a segment holds a few thousand
entries. The keys alone determine where a segment ends, so a change affects one segment only, and
the others are reused.
"""

import hashlib
import json
import marshal
import tempfile
import threading
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from secrets import token_hex

from controller.blobs.last_use import discard_all, move_into_place, use
from controller.buckets.protocol import Contents
from specs.digests import Json, ManifestEntry, canonical_json

Row = tuple[str, int, str]
"""The key, the size in bytes and the version of an object."""

_MEAN = 4096
"""Entries of a segment, on average."""
_MAX = 65_536
"""Entries of a segment at most, which bounds memory."""
_RUN = 50_000
"""Entries that are sorted in memory at once."""
_BLOCK = 1000
"""Entries of a run that are read back at once."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """The objects of one dataset version, on disk; iterated in the order of their keys."""

    digest: str
    """The dataset version: the digest of an equal `specs.digests.Manifest`."""
    count: int
    size: int
    """The total size of the objects, in bytes."""
    segments: tuple[Path, ...]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[ManifestEntry]:
        """Every object, with one segment in memory at a time."""
        for segment in self.segments:
            for row in json.loads(segment.read_bytes()):
                yield ManifestEntry(*row)

    def cuts(self, most: int, least: int) -> list[str]:
        """Keys that cut it into at most `most` parts of at least about `least` entries each."""
        parts = min(most, self.count // least, len(self.segments))
        places = (len(self.segments) * part // parts for part in range(1, parts))
        return [json.loads(self.segments[place].read_bytes())[0][0] for place in places]


class Sorter:
    """Sorts entries by their keys; they may be added by several threads.

    Uses one unnamed temporary file for what does not fit into memory. Blocking; for one use.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `close` closes it
        self._runs: list[list[tuple[int, int]]] = []
        self._rows: list[Row] = []
        self._lock = threading.Lock()

    def add(self, rows: Iterable[Row]) -> None:
        """Add entries, in any order."""
        with self._lock:
            self._rows += rows
            if len(self._rows) >= _RUN:
                self._spill()

    def rows(self) -> Iterator[Row]:
        """All entries, sorted."""
        self._rows.sort()
        return merge(*map(self._read, self._runs), self._rows) if self._runs else iter(self._rows)

    def close(self) -> None:
        """Free the temporary file."""
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
            yield from marshal.loads(self._file.read(size))  # noqa: S302 - our own temporary file


class ManifestWriter:
    """Writes the manifest of one version, whose entries are added in the order of their keys.
    Blocking."""

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
        """Add the next object. Raises `ValueError` for a key that does not come after the previous
        one and, here or in `done`, for one that is not valid Unicode."""
        key = row[0]
        if self._last is not None and key <= self._last:
            how = "more than once" if key == self._last else f"after {self._last!r}"
            raise ValueError(f"the manifest lists {key!r} {how}")
        if self._rows and (zlib.crc32(key.encode()) % _MEAN == 0 or len(self._rows) == _MAX):
            self._end_segment()
        self._rows.append(row)
        self._last = key
        self._size += row[1]

    def done(self) -> StoredManifest:
        """Finish the manifest and return it. Nothing may be added afterwards."""
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
    """Write a manifest of these objects below `folder`. Blocking."""
    if isinstance(contents, StoredManifest):
        return contents
    writer = ManifestWriter(folder)
    for entry in contents:
        writer.add((entry.key, entry.size, entry.version))
    return writer.done()


def read(folder: Path, digest: str) -> StoredManifest | None:
    """A manifest that was written, marked as used now; None if it is not there."""
    index = folder / "indexes" / digest.rpartition(":")[2]
    if not use(index):
        return None
    about = json.loads(index.read_bytes())
    paths = tuple(folder / "segments" / name for name in about["segments"])
    return StoredManifest(digest, about["count"], about["size"], paths)


def sweep(folder: Path, keep: Collection[str], before: float) -> int:
    """Delete the manifests that are not in `keep` and were neither written nor read since `before`
    (seconds since the epoch), and segments that no other manifest uses; how many manifests were
    deleted. Blocking.

    A segment whose index is not written yet is newer than `before`, so it is kept.
    """
    indexes = folder / "indexes"
    gone = discard_all(indexes, before, keep)
    left = indexes.iterdir() if indexes.is_dir() else ()
    wanted = {name for index in left for name in json.loads(index.read_bytes())["segments"]}
    discard_all(folder / "segments", before, wanted)
    return gone


def _write(path: Path, content: bytes) -> None:
    # Outside the folder, then renamed into it, so that only complete files are ever read.
    scratch = path.parent.parent / f"{token_hex(8)}.new"
    scratch.write_bytes(content)
    move_into_place(scratch, path)
