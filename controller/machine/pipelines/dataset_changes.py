"""PURE. The objects of a dataset that were added, replaced or removed between two versions."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from controller.machine.core import Value
from specs.digests import ManifestEntry
from specs.snapshot import SNAPSHOT_KEYS

MOST_NAMED = 3
"""How many objects of each kind are named: the last ones by key, as keys often have dates."""

ChangeKind = Literal["added", "replaced", "gone"]


class ChangedObject(Value):
    """One changed object."""

    key: str
    happened: ChangeKind
    size: int = 0
    """In bytes; of a removed object, its former size."""
    rows: int | None = None
    """If the file's own metadata has it."""


class ObjectChanges(Value):
    """The objects that were added, replaced and removed."""

    objects: int
    """How many objects there are now."""
    added: int = 0
    replaced: int = 0
    gone: int = 0
    named: tuple[ChangedObject, ...] = ()


def compare_objects(was: Iterable[ManifestEntry], now: Iterable[ManifestEntry]) -> ObjectChanges:
    """Compare two manifests, each in the order of its keys, in bounded memory. The log of a table
    does not count as an object."""
    before = (entry for entry in was if entry.key not in SNAPSHOT_KEYS)
    old = next(before, None)
    objects = 0
    counts: dict[ChangeKind, int] = {"added": 0, "replaced": 0, "gone": 0}
    named: dict[ChangeKind, deque[ChangedObject]] = {
        kind: deque(maxlen=MOST_NAMED) for kind in counts
    }

    def note(entry: ManifestEntry, happened: ChangeKind) -> None:
        counts[happened] += 1
        named[happened].append(ChangedObject(key=entry.key, happened=happened, size=entry.size))

    for entry in now:
        if entry.key in SNAPSHOT_KEYS:
            continue
        objects += 1
        while old is not None and old.key < entry.key:
            note(old, "gone")
            old = next(before, None)
        if old is not None and old.key == entry.key:
            if old.version != entry.version:
                note(entry, "replaced")
            old = next(before, None)
        else:
            note(entry, "added")
    while old is not None:
        note(old, "gone")
        old = next(before, None)
    every = tuple(one for kind in named.values() for one in kind)
    return ObjectChanges(objects=objects, **counts, named=every)


def describe_changes(what: ObjectChanges, shown: Callable[[str], str] = str) -> Iterator[str]:
    """`2013-05.parquet added, 27,128 rows` for each named object, then how many more there are.
    `shown` renders a key."""
    for happened, count in (
        ("added", what.added),
        ("replaced", what.replaced),
        ("gone", what.gone),
    ):
        named = [one for one in what.named if one.happened == happened]
        for one in named:
            rows = f", {one.rows:,} rows" if one.rows is not None else ""
            yield f"{shown(one.key)} {happened}{rows}"
        if count > len(named):
            yield f"{count - len(named):,} more {happened}"
