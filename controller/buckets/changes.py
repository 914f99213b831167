"""How a dataset's objects changed between two versions, with the row counts of new objects."""

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from controller.buckets.listing import remote_place_of
from controller.buckets.stores import Stores, is_remote
from controller.machine.pipelines.dataset_changes import (
    ChangedObject,
    ObjectChanges,
    compare_objects,
)
from specs.digests import ManifestEntry
from specs.failures import Failure

TAIL = 65_536
"""Bytes that are read from the end of an object first: enough for most footers."""
MAX_FOOTER = 16_000_000
"""Size in bytes up to which the footer of a Parquet file is read."""
_MAGIC = b"PAR1"
_END = struct.Struct("<I4s")

Read = Callable[[int, int], bytes]
"""Returns the bytes of an object from one offset to another."""


def differ(
    uri: str,
    was: Iterable[ManifestEntry],
    now: Iterable[ManifestEntry],
    folder: Path | None,
    stores: Stores,
) -> ObjectChanges:
    """How the objects of the dataset at `uri` differ. `folder` is where they are on this machine,
    if they are. An object that cannot be read has no row count. Blocking.
    """
    found = compare_objects(was, now)
    named = (_counted(one, uri, folder, stores) for one in found.named)
    return found.model_copy(update={"named": tuple(named)})


def _counted(one: ChangedObject, uri: str, folder: Path | None, stores: Stores) -> ChangedObject:
    readable = folder is not None or is_remote(uri)
    if one.happened == "gone" or not one.key.endswith(".parquet") or not readable:
        return one
    try:
        read = _local(folder / one.key) if folder else _remote(uri, one.key, stores)
        return one.model_copy(update={"rows": rows(read, one.size)})
    except (OSError, Failure):
        return one


def _local(path: Path) -> Read:
    def read(start: int, end: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    return read


def _remote(uri: str, key: str, stores: Stores) -> Read:
    import obstore

    place = remote_place_of(uri)

    def read(start: int, end: int) -> bytes:
        with stores.failing(uri, place.key(key)):
            store = stores.store(place.uri)
            return obstore.get_range(store, place.key(key), start=start, end=end).to_bytes()

    return read


def rows(read: Read, size: int) -> int | None:
    """The row count in the footer of a Parquet file of that size; None if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tail = read(max(0, size - TAIL), size)
    if len(tail) < _END.size or len(tail) != min(size, TAIL):
        return None  # replaced since it was listed
    length, magic = _END.unpack(tail[-_END.size :])
    needed = length + _END.size
    if magic != _MAGIC or needed > min(size, MAX_FOOTER):
        return None
    if needed > len(tail):
        tail = read(size - needed, size)
    try:
        found = pq.read_metadata(pa.BufferReader(_MAGIC + tail[-needed:]))
    except (pa.ArrowException, OSError):
        return None
    return int(found.num_rows)
