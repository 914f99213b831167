"""PURE. How the objects of a dataset differ between two of its versions."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from controller.machine.core import Value
from specs.digests import ManifestEntry
from specs.snapshot import SNAPSHOT_KEYS

MOST_NAMED = 3
"""Objects of each kind that are named: the last by their keys, which often hold dates."""

ChangeKind = Literal["added", "replaced", "gone"]


class ChangedObject(Value):
    """One object that is not what it was."""

    key: str
    happened: ChangeKind
    size: int = 0
    """Bytes; of one that is gone, those it had."""
    rows: int | None = None
    """Where its own footer says so."""


class ObjectChanges(Value):
    """What came, went and was replaced."""

    objects: int
    """How many there are now."""
    added: int = 0
    replaced: int = 0
    gone: int = 0
    named: tuple[ChangedObject, ...] = ()


def compare_objects(was: Iterable[ManifestEntry], now: Iterable[ManifestEntry]) -> ObjectChanges:
    """Both in the order of their keys; in bounded memory. The log of a table is none of its
    objects."""
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
    """`2013-05.parquet added, 27,128 rows`, and how many there are beside those that are named;
    `shown` makes of a key what a reader sees."""
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
